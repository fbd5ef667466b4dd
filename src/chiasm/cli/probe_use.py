"""`chiasm probe use`, `patch`, `captions` and `replace`: what the decoder makes of what it is given of a picture."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chiasm.cli.measurements import report_measurements
from chiasm.cli.output import errors_to_exit
from chiasm.cli.progress import progress

if TYPE_CHECKING:
    from chiasm.models.protocol import VisionLanguageModel
    from chiasm.probe.captured import Captured
    from chiasm.probe.perturb import Perturb
    from chiasm.probe.result import Measurement

Model = Annotated[str, typer.Argument(help="chiasm-tiny, a model folder, or a name of the Hugging Face hub.")]
Questions = Annotated[str, typer.Argument(help='Pictures with questions: "scenes:test", "questions:FILE".')]
Pictures = Annotated[str, typer.Argument(help='For example "scenes:test" or "coco:FOLDER?split=val2017".')]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the measurements.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")]
Seed = Annotated[int, typer.Option(help="Of the intervals, and of what is drawn.")]
Batch = Annotated[int, typer.Option(min=3, help="Pictures looked at together, and swapped with each other.")]


def use(
    model: Model,
    dataset: Questions,
    out: Out,
    limit: Annotated[int, typer.Option("--limit", "-n", min=3, help="The first N pictures with questions.")] = 64,
    batch: Batch = 16,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """How much likelier the right answers are with the picture than with another, or with a mean of pictures."""
    with errors_to_exit():
        from chiasm.data.open import open_dataset
        from chiasm.models.open import open_model
        from chiasm.probe.asked import Asked
        from chiasm.probe.use import answer_logprobs
        from chiasm.probe.use import use as measure

        data = open_dataset(dataset)
        asked, opened = Asked.of(data, limit), open_model(model)
        with progress("asking", 2 * len(asked.examples)) as advance:
            logprobs = answer_logprobs(opened, asked, batch=batch, advance=advance)
        found = measure(logprobs, seed)
        main = [one for one in found if "kind" not in one.settings or one.name.startswith("use.")]
        report_measurements(out / "use.json", found, model, data, len(asked.examples), as_json, main)


def patch(
    model: Model,
    dataset: Questions,
    out: Out,
    layers: Annotated[
        str, typer.Option(help='Decoder layers, "0,8,16,-1"; every one if none are named, at most eight evenly spread.')
    ] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=2, help="The first N pictures with questions.")] = 24,
    batch: Batch = 16,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Which tokens carry the picture's part in the answer, at each decoder layer."""
    with errors_to_exit():
        from chiasm.data.open import open_dataset
        from chiasm.models.open import open_model
        from chiasm.probe.asked import Asked
        from chiasm.probe.patching import carried, patched_logprobs

        data = open_dataset(dataset)
        asked, opened = Asked.of(data, limit), open_model(model)
        chosen = _layers(layers, opened.decoder_layers)
        with progress("patching", len(asked.examples)) as advance:
            logprobs = patched_logprobs(opened, asked, chosen, batch=batch, advance=advance)
        report_measurements(out / "patch.json", carried(logprobs, seed), model, data, len(asked.examples), as_json)


def captions(
    model: Model,
    dataset: Pictures,
    out: Out,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=8, help="The first N; reconstructions are learned from three quarters.")
    ] = 160,
    reconstruct: Annotated[
        str | None,
        typer.Option(
            help="ridge, mlp, sequence, or none, to caption all pictures; if not said what suits the connector."
        ),
    ] = None,
    damage: Annotated[
        list[str] | None,
        typer.Option(
            help="KIND@LEVEL as `chiasm probe perturb` has them, repeatable; rank@4 and mask_mean@0.5 if not said."
        ),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Instead of the model's own prompt for captions.")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Longest caption, 64 if nothing is said.")] = None,
    preset: Annotated[
        Literal["vlm-connectors"] | None,
        typer.Option(help="Prompt, length, reconstruction and damages of the study VLM Connectors."),
    ] = None,
    clip: Annotated[str | None, typer.Option(help="A CLIP model, for CLIPScore.")] = None,
    bert: Annotated[str | None, typer.Option(help="A BERT or RoBERTa model, for BERTScore, with --bert-layer.")] = None,
    bert_layer: Annotated[int, typer.Option(help="17 of RoBERTa-large, 9 of BERT-base.")] = 9,
    batch: Batch = 16,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """What is written from the connector's output as it is, reconstructed and damaged; does distortion foretell it?"""
    with errors_to_exit():
        from chiasm.data.open import open_dataset
        from chiasm.examine.caption_signals import bertscores, clipscores
        from chiasm.models.open import open_model
        from chiasm.probe import study_captions as study
        from chiasm.probe.caption_change import caption_change
        from chiasm.probe.captured import capture_dataset
        from chiasm.probe.clusters import numbered
        from chiasm.probe.feature_captions import (
            INTACT,
            LIMIT,
            YARDSTICKS,
            caption_from_features,
            write_captions,
        )

        if preset:
            prompt, tokens = prompt or study.PROMPT, tokens or study.LIMIT
        data, opened = open_dataset(dataset), open_model(model)
        with progress("looking", min(limit, len(data))) as advance:
            captured = capture_dataset(opened, data, ["encoder", "connector"], limit, batch=batch, advance=advance)
        if preset:
            reconstruct = reconstruct or study.reconstructor(
                captured.features["connector"], captured.features["encoder"]
            )
        captured, cases, found = _reconstructed(opened, captured, reconstruct, batch, seed)
        damages = study.study_damages(captured.features["connector"], seed) if preset and not damage else None
        cases |= {one.name: one.perturb for one in damages} if damages else _damages(captured, damage, seed)
        pictures = len(captured.examples)
        with progress("captioning", -(-pictures // batch) * (len(cases) + len(YARDSTICKS))) as advance:
            cluster = numbered(captured.clusters, pictures)
            written = caption_from_features(
                opened, captured, cluster, cases, prompt=prompt, limit=tokens or LIMIT, batch=batch, advance=advance
            )
        files = write_captions(written, out / "captions")
        texts = {INTACT: written.intact} | {name: case.captions for name, case in written.cases.items()}
        by_clip = clipscores(clip, captured.images(range(pictures)), texts) if clip else {}
        by_bert = bertscores(bert, bert_layer, files) if bert else {}
        signals = {
            name: {signal: of[name] for signal, of in (("clipscore", by_clip), ("bertscore", by_bert)) if name in of}
            for name in texts
        }
        found += caption_change(written, signals, seed=seed)
        report_measurements(out / "captions.json", found, model, data, pictures, as_json)


def replace(
    model: Model,
    dataset: Annotated[str, typer.Argument(help="Captions or questions to learn from.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder; unfinished training in it is gone on with.")],
    connector: Annotated[
        Literal["linear", "mlp", "resampler", "flow"], typer.Option("--with", help="What kind of connector.")
    ] = "mlp",
    loss: Annotated[
        Literal["caption", "match", "both"],
        typer.Option(
            help="Captions and answers through the frozen decoder, likeness to the original's output, or both."
        ),
    ] = "both",
    test: Annotated[
        str | None,
        typer.Option(help="Dataset to measure on; without it the first --limit of DATASET, not learned from."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=3, help="Measure on the first N pictures.")] = 32,
    steps: Annotated[int, typer.Option(min=1, help="Of training.")] = 200,
    pictures: Annotated[int, typer.Option(min=1, help="Pictures a step.")] = 8,
    learning_rate: Annotated[float, typer.Option(min=0, help="The highest.")] = 1e-3,
    batch: Batch = 16,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train another connector between the same encoder and decoder, and hold it against the original."""
    with errors_to_exit():
        from chiasm.data.open import open_dataset
        from chiasm.examine.replacement import compare_replacement
        from chiasm.models.open import open_model
        from chiasm.training.replacement import ReplacementPlan, train_replacement, untrained_replacement

        data, opened = open_dataset(test or dataset), open_model(model)
        plan = ReplacementPlan(
            connector, loss, dataset, held_out=0 if test else limit, steps=steps, batch=pictures,
            learning_rate=learning_rate, seed=seed,
        )  # fmt: skip
        identity = {"model": model, "dataset": open_dataset(dataset).fingerprint()}
        with redirect_stdout(sys.stderr):  # where training draws its progress
            trained = train_replacement(opened, plan, out, identity)
        with progress("comparing", 4 * min(limit, len(data))) as advance:
            found = compare_replacement(
                opened, trained, untrained_replacement(opened, plan), data, limit, batch=batch, seed=seed,
                advance=advance,
            )  # fmt: skip
        report_measurements(out / "replacement-measured.json", found, model, data, min(limit, len(data)), as_json)


def _layers(text: str, depth: int) -> list[int]:
    from chiasm.errors import ConfigError

    if not text:
        return sorted({round(k * (depth - 1) / 7) for k in range(8)})
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--layers {text}: give whole numbers, like 0,8,-1") from None


def _reconstructed(
    model: VisionLanguageModel, captured: Captured, method: str | None, batch: int, seed: int
) -> tuple[Captured, dict[str, Perturb], list[Measurement]]:
    """The pictures that nothing was learned from, their E_post after a round trip, and what was recovered: by ridge if
    no method is named, or where tokens have no place in the picture by a sequence model."""
    if method == "none":
        return captured, {}, []
    from functools import partial

    from chiasm.models.cells import share_cells
    from chiasm.probe.captured import connected
    from chiasm.probe.feature_captions import round_trip, some_pictures
    from chiasm.probe.reconstructors import reconstructor_named
    from chiasm.probe.recover import recover

    e_post, e_pre = captured.features["connector"], captured.features["encoder"]
    usual = "ridge" if share_cells(e_post.grids, e_pre.grids) else "sequence"
    reconstructor = reconstructor_named(method or usual)
    with progress("reconstructing"):
        found = recover(
            e_post,
            e_pre,
            (reconstructor,),
            clusters=captured.clusters,
            connect=partial(connected, model, batch=batch),
            seed=seed,
        )
    some = some_pictures(captured, found.test.tolist())
    name = reconstructor.name
    return some, {name: round_trip(model, found.reconstructed[name], some.ids, batch)}, list(found.measurements)


def _damages(captured: Captured, names: list[str] | None, seed: int) -> dict[str, Perturb]:
    from chiasm.data.suggest import did_you_mean
    from chiasm.errors import ConfigError
    from chiasm.probe.perturb_effects import mean_token, standard_damages

    known = {one.name: one.perturb for one in standard_damages(mean_token(captured.features["connector"]), seed)}
    names = names or ["rank@4", "mask_mean@0.5"]
    for name in names:
        if name not in known:
            raise ConfigError(f"no damage is called {name!r}{did_you_mean(name, known)}")
    return {name: known[name] for name in names}
