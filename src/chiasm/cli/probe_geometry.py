"""`chiasm probe geometry` and `spectrum`: who is near whom at each site, and how many directions features fill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chiasm.cli.measurements import print_measurements
from chiasm.cli.output import errors_to_exit
from chiasm.cli.progress import progress

if TYPE_CHECKING:
    from chiasm.probe.result import Measurement
    from chiasm.probe.space import Space
    from chiasm.probe.store import FeatureStore, Pooling

SCALINGS = ("raw", "centred", "z-scored")
Source = Annotated[str, typer.Argument(help="Feature store of `chiasm probe extract`; or a model, and then DATASET.")]
Sites = Annotated[str, typer.Option(help='For example "encoder,connector"; all that differ if nothing is said.')]
Clusters = Annotated[
    Literal["picture", "folder"], typer.Option(help="What is independent: pictures (equal ones are one) or folders.")
]
Preset = Annotated[
    Literal["vlm-connectors"] | None, typer.Option(help="The settings of the study VLM Connectors, for its numbers.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for JSON, and for the features of a model.")]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=8, help="Of a model: only the first N pictures.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")]


def geometry(
    store: Source,
    second: Annotated[
        str | None, typer.Argument(help="Store of another model to compare with (CLIP, DINOv2); or DATASET.")
    ] = None,
    sites: Sites = "",
    k: Annotated[str, typer.Option(help="How many nearest pictures are held against each other.")] = "10,50,100",
    metric: Annotated[Literal["l2", "cosine"], typer.Option(help="Distance between pictures.")] = "l2",
    scaling: Annotated[
        Literal["raw", "centred", "z-scored", "all"], typer.Option(help="Of each feature over all pictures.")
    ] = "z-scored",
    pooling: Annotated[
        Literal["mean", "max", "cls"], typer.Option(help="From tokens to one vector a picture.")
    ] = "mean",
    clusters: Clusters = "picture",
    control: Annotated[bool, typer.Option(help="Compare with an untrained connector too.")] = True,
    preset: Preset = None,
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Whether two sites, or two models, see the same pictures as similar."""
    with errors_to_exit():
        from chiasm.errors import ConfigError
        from chiasm.probe import store_geometry
        from chiasm.probe.geometry import Comparer, Geometry
        from chiasm.probe.shown_file import PICTURES, write_shown
        from chiasm.probe.store_spectrum import other_size

        ks, scalings = _numbers(k), SCALINGS if scaling == "all" else (scaling,)
        features, reference = _stores(store, second, sites, limit, out, preset)
        chosen, labels = _sites(sites, features), store_geometry.clusters_of(features, clusters)
        if len(chosen) < 2 and reference is None:
            raise ConfigError(f"{chosen[0]} alone can't be compared; name another site, or a second store")
        hows = [Geometry(ks, metric, one) for one in scalings]  # type: ignore[arg-type]
        comparers = [Comparer(how, labels) for how in hows]
        untrained = None
        if control and not preset and "connector" in chosen[1:]:
            untrained = _untrained(features, pooling)
        pairs = list(store_geometry.site_pairs(features, chosen, pooling, reference, untrained))
        if preset:
            measurements = store_geometry.measure_as_study(pairs, other_size(features))
        else:
            with progress("comparing"):
                measurements, curves = store_geometry.measure_geometry(pairs, comparers)
                if out:
                    write_shown(out, "overlap curves", curves)
                    with _unless_pictures_are_gone():
                        neighbours = store_geometry.galleries(features, pairs, comparers[-1], out / PICTURES)
                        write_shown(out, "neighbours", neighbours)
        about = {"metric": metric, "scaling": scaling, "pooling": pooling, "preset": preset or ""}
        about |= {"reference": reference.manifest["model"]} if reference else {}
        _report("geometry", measurements, features, about, out, as_json, measurements)


def spectrum(
    store: Source,
    second: Annotated[str | None, typer.Argument(metavar="[DATASET]", help="Pictures, where STORE is a model.")] = None,
    sites: Sites = "",
    clusters: Clusters = "picture",
    preset: Preset = None,
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """How many directions the tokens of a picture, and of all pictures, fill at each site."""
    with errors_to_exit():
        from chiasm.errors import ConfigError
        from chiasm.probe.shown_file import write_shown
        from chiasm.probe.store_geometry import clusters_of
        from chiasm.probe.store_spectrum import measure_as_study, measure_spectra

        features, reference = _stores(store, second, sites, limit, out, preset)
        if reference is not None:
            raise ConfigError("a spectrum is of one store; run the command for each, `chiasm probe report` shows both")
        chosen = _sites(sites, features)
        with progress("measuring"):
            if preset:
                measurements = measure_as_study(features, chosen)
            else:
                measurements, plots = measure_spectra(features, chosen, clusters_of(features, clusters))
                if out:
                    write_shown(out, "spectra", plots)
        # Ranks of different token counts don't compare: where some are of equally many, those alone are shown.
        equal = [one for one in measurements if " of " in one.name or one.name.startswith("dataset.")]
        shown = equal if any(" of " in one.name for one in equal) else measurements
        _report("spectrum", measurements, features, {"preset": preset or ""}, out, as_json, shown)


def _stores(
    first: str, second: str | None, sites: str, limit: int | None, out: Path | None, preset: str | None
) -> tuple[FeatureStore, FeatureStore | None]:
    """The store, made now from a model and a dataset where `first` is no store, and the one to compare it with."""
    from chiasm.errors import ConfigError
    from chiasm.probe.store import FeatureStore
    from chiasm.probe.store_folder import MANIFEST
    from chiasm.probe.study import SIDE
    from chiasm.probe.workers import Request, extract_here

    if (Path(first) / MANIFEST).is_file():
        if limit is not None:
            raise ConfigError(f"--limit is for a model and a dataset; {first} is a store, all of which is used")
        return FeatureStore.open(first), None if second is None else FeatureStore.open(second)
    if second is None:
        raise ConfigError(f"{first} is no feature store; make one with `chiasm probe extract`, or name a dataset too")
    if out is None:
        raise ConfigError("name a folder with --out: the features of the model are kept there")
    folder = out / "features"
    size = SIDE if preset else None
    extract_here(Request(first, (second,), folder, sites=tuple(_names(sites)), size=size, tokens=True, limit=limit))
    return FeatureStore.open(folder), None


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _sites(text: str, store: FeatureStore) -> list[str]:
    """In the order that a picture passes them."""
    from chiasm.probe.store_geometry import distinct_sites

    chosen = _names(text)
    if not chosen:
        return distinct_sites(store)
    for site in chosen:
        store.grids(site)  # raises ConfigError for one that it lacks
    return [site for site in store.sites if site in chosen]


def _numbers(text: str) -> tuple[int, ...]:
    from chiasm.errors import ConfigError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"--k {text}: give whole numbers from 1 on, like 10,50,100")
    return tuple(sorted({int(part) for part in parts}))


def _untrained(store: FeatureStore, pooling: Pooling) -> Space | None:
    """The control; None, and a word on it, where the model or the pictures can't be had again."""
    from chiasm.errors import ChiasmError
    from chiasm.probe.store_geometry import untrained_space
    from chiasm.probe.vision_side import open_vision_side

    if pooling == "cls":
        return None
    try:
        with progress("looking through an untrained connector", len(store)) as advance:
            side = open_vision_side(store.manifest["model"], store.identity["precision"])
            return untrained_space(store, side, pooling, advance=advance)
    except ChiasmError as error:
        typer.secho(f"no control: {error}", fg="yellow", err=True)
        return None


@contextmanager
def _unless_pictures_are_gone() -> Iterator[None]:
    from chiasm.errors import ConfigError

    try:
        yield
    except ConfigError as error:
        typer.secho(f"no gallery of neighbours: {error}", fg="yellow", err=True)


def _report(
    probe: str,
    measurements: list[Measurement],
    store: FeatureStore,
    about: dict[str, Any],
    out: Path | None,
    as_json: bool,
    shown: list[Measurement],
) -> None:
    from chiasm.probe.measurement_file import write_measurements

    pictures = store.identity["pictures"]
    made_of = {
        "model": store.manifest["model"],
        "dataset": pictures["name"],
        "fingerprint": pictures["fingerprint"],
        "pictures": len(store),
        **about,
    }
    if out:
        write_measurements(out / f"{probe}.json", measurements, made_of)
    title = f"{made_of['model']}, {len(store)} pictures of {pictures['name']}"
    print_measurements(measurements if as_json else shown, title, as_json)
    if as_json:
        return
    if out:
        typer.echo(f"all {len(measurements)} measurements: {out / f'{probe}.json'}")
    elif len(shown) < len(measurements):
        typer.echo(f"all {len(measurements)} measurements: with --out or --json")
