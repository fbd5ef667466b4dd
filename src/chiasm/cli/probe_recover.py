"""`chiasm probe recover`, `perturb` and `readout`: what can be had back, what damage does, and what can be read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chiasm.cli.measurements import report_measurements
from chiasm.cli.output import errors_to_exit
from chiasm.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chiasm.models.features import Features
    from chiasm.models.protocol import VisionLanguageModel
    from chiasm.probe.captured import Captured, Grouping
    from chiasm.probe.result import Measurement
    from chiasm.types import Dataset

Model = Annotated[str, typer.Argument(help="chiasm-tiny, a model folder, or a name of the Hugging Face hub.")]
Pictures = Annotated[str, typer.Argument(help='For example "scenes:test" or "coco:FOLDER?split=val2017".')]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the measurements.")]
By = Annotated[
    Literal["picture", "folder"], typer.Option(help="What is independent: pictures (equal ones are one) or folders.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]
Seed = Annotated[int, typer.Option(help="Of split, shuffles and noise.")]
Batch = Annotated[int, typer.Option(min=1, help="Pictures looked at together.")]


def recover(
    model: Model,
    dataset: Pictures,
    out: Out,
    limit: Annotated[int, typer.Option("--limit", "-n", min=5, help="The first N pictures.")] = 200,
    given: Annotated[str, typer.Option("--from", help="Site that is given.")] = "connector",
    wanted: Annotated[str, typer.Option("--to", help="Site that is predicted.")] = "encoder",
    methods: Annotated[
        str,
        typer.Option(help='Of "ridge,mlp,sequence"; the first two if none is named, after a resampler the last.'),
    ] = "",
    curve: Annotated[bool, typer.Option(help="Learning curves too: smaller ridges, fewer training pictures.")] = True,
    export: Annotated[
        bool, typer.Option("--export", help="Keep the reconstructed features of the test pictures.")
    ] = False,
    by: By = "picture",
    batch: Batch = 16,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """How much of the encoder's features can be had back from the connector's output: R2, error, cosine, round trip."""
    with errors_to_exit():
        from chiasm.data.open import open_dataset
        from chiasm.models.cells import share_cells
        from chiasm.models.open import open_model
        from chiasm.probe.captured import connected
        from chiasm.probe.feature_file import write_features
        from chiasm.probe.reconstructors import Ridge, reconstructor_named
        from chiasm.probe.recover import learning_curve
        from chiasm.probe.recover import recover as measure
        from chiasm.probe.recovery_maps import write_recovery_maps

        chosen = [reconstructor_named(name.strip()) for name in methods.split(",") if name.strip()]
        data, opened = open_dataset(dataset), open_model(model)
        captured = _look(opened, data, list(dict.fromkeys((wanted, given))), limit, batch, by)
        here, there = captured.features[given], captured.features[wanted]
        in_place = share_cells(here.grids, there.grids)
        usual = ("ridge", "mlp") if in_place else ("sequence",)
        back = partial(connected, opened, batch=batch)
        with progress("recovering") as advance:

            def step(name: str) -> None:
                advance(0, name)

            found = measure(
                here,
                there,
                chosen or [reconstructor_named(name) for name in usual],
                clusters=captured.clusters,
                untrained=_untrained(opened, captured, batch, seed) if given == "connector" else None,
                connect=back if (given, wanted) == ("connector", "encoder") else None,
                seed=seed,
                progress=step,
            )
            measurements = list(found.measurements)
            if curve and in_place:
                sizes = (Ridge(here.tokens.shape[1] // 16), Ridge(here.tokens.shape[1] // 4), Ridge())
                measurements += learning_curve(here, there, sizes, clusters=captured.clusters, seed=seed, progress=step)
        write_recovery_maps(out, found.reconstructed, there, found.test.tolist(), captured.ids, captured.images)
        if export:
            test = [captured.ids[i] for i in found.test]
            for name, features in found.reconstructed.items():
                write_features(out / f"reconstructed-{name}.safetensors", features, test)
        report_measurements(out / "recover.json", measurements, model, data, len(captured.examples), as_json)


def perturb(
    model: Model,
    dataset: Pictures,
    out: Out,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The first N pictures.")] = 48,
    questions: Annotated[int, typer.Option(min=0, help="The first N questions of each picture.")] = 4,
    captions: Annotated[bool, typer.Option(help="Captions too, as `chiasm probe captions` compares them.")] = True,
    by: By = "picture",
    batch: Batch = 16,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """What answers and captions lose if the connector's output is masked, shortened, flattened, rotated or noisy."""
    with errors_to_exit():
        from chiasm.data.open import open_dataset
        from chiasm.errors import DataError
        from chiasm.models.open import open_model
        from chiasm.probe.caption_change import caption_change
        from chiasm.probe.clusters import numbered
        from chiasm.probe.feature_captions import YARDSTICKS, caption_from_features
        from chiasm.probe.perturb_effects import (
            AS_NOISE,
            mean_token,
            perturbation_effects,
            standard_damages,
            with_noise,
        )

        data, opened = open_dataset(dataset), open_model(model)
        captions = captions and "caption" in opened.dialect.prompts
        captured = _look(opened, data, ["connector"], limit, batch, by)
        damages = standard_damages(mean_token(captured.features["connector"]), seed)
        pictures = len(captured.examples)
        found: list[Measurement] = []
        if questions and any(q.answers for example in captured.examples for q in example.questions):
            with progress("answering", pictures) as advance:
                found += perturbation_effects(
                    opened, captured, damages, questions=questions, batch=batch, seed=seed, advance=advance
                )
        if captions:
            cases, cluster = with_noise(damages, seed), numbered(captured.clusters, pictures)
            with progress("captioning", -(-pictures // batch) * (len(cases) + len(YARDSTICKS))) as advance:
                written = caption_from_features(opened, captured, cluster, cases, batch=batch, advance=advance)
            found += caption_change(written, controls={one.name: one.name + AS_NOISE for one in damages}, seed=seed)
        if not found:
            raise DataError(
                f"{data.name} has no question with an answer, and no captions are written: nothing to measure"
            )
        main = [one for one in found if one.name.startswith(("answer.", "forced.kl", "kept.unchanged"))]
        report_measurements(out / "perturb.json", found, model, data, len(captured.examples), as_json, main)


def readout(
    model: Model,
    dataset: Pictures,
    out: Out,
    limit: Annotated[int, typer.Option("--limit", "-n", min=5, help="The first N pictures.")] = 600,
    sites: Annotated[
        str, typer.Option(help='In the order that a picture passes them: "encoder.2,encoder,connector".')
    ] = "encoder,connector.in,connector",
    width: Annotated[int, typer.Option(min=1, help="Principal directions that the probe is given at each site.")] = 256,
    by: By = "picture",
    batch: Batch = 16,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Which objects, attributes and counts a linear probe reads at each site. Needs annotated objects."""
    with errors_to_exit():
        from chiasm.data.open import open_dataset
        from chiasm.models.open import open_model
        from chiasm.probe.facts import facts_of
        from chiasm.probe.readout import appearance_types, pooled
        from chiasm.probe.readout import readout as measure

        data, opened = open_dataset(dataset), open_model(model)
        chosen = [site.strip() for site in sites.split(",") if site.strip()]
        captured = _look(opened, data, list(dict.fromkeys([*chosen, "encoder"])), limit, batch, by)
        random = _untrained(opened, captured, batch, seed) if "connector" in chosen else None
        with progress("reading", len(chosen)) as advance:
            found = measure(
                {site: pooled(captured.features[site]) for site in chosen},
                facts_of(captured.examples),
                appearance_types(captured.thumbnails),
                untrained=None if random is None else {"connector": pooled(random)},
                clusters=captured.clusters,
                width=width,
                seed=seed,
                advance=advance,
            )
        groups = [measurement for measurement in found if measurement.settings["fact"] == ""]
        report_measurements(out / "readout.json", found, model, data, len(captured.examples), as_json, shown=groups)


def _look(
    model: VisionLanguageModel, dataset: Dataset, sites: Sequence[str], limit: int, batch: int, by: Grouping
) -> Captured:
    from chiasm.probe.captured import capture_dataset

    with progress("looking", min(limit, len(dataset))) as advance:
        return capture_dataset(model, dataset, sites, limit, batch=batch, by=by, advance=advance)


def _untrained(model: VisionLanguageModel, captured: Captured, batch: int, seed: int) -> Features | None:
    """E_post of a connector with random weights; None, and a word on it, where this model's can't be reached."""
    from chiasm.errors import ConfigError
    from chiasm.probe.captured import connected
    from chiasm.probe.untrained import untrained_connector

    try:
        with untrained_connector(model, seed):
            return connected(model, captured.features["encoder"], batch)
    except ConfigError as error:
        typer.secho(f"no control: {error}", fg="yellow", err=True)
        return None
