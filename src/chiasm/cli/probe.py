"""`chiasm probe`: what each stage of a model keeps of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from chiasm.cli.output import errors_to_exit
from chiasm.cli.probe_geometry import geometry, spectrum
from chiasm.cli.probe_recover import perturb, readout, recover
from chiasm.cli.probe_report import report
from chiasm.cli.probe_use import captions, patch, replace, use
from chiasm.cli.quick_help import QUICK_HELP

probe_app = typer.Typer(
    help="Measure what each stage of a model keeps of a picture. docs/measurements.md says how to read the numbers.",
    no_args_is_help=True,
    context_settings=QUICK_HELP,
)


@probe_app.command()
def extract(
    model: Annotated[
        str, typer.Argument(help="chiasm-tiny, a model folder or a name of the Hugging Face hub; encoders too.")
    ],
    pictures: Annotated[
        list[str], typer.Argument(help='Files and folders, or one dataset: "scenes:test", "coco:FOLDER?split=val2017".')
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Feature store; an unfinished one is gone on with.")],
    sites: Annotated[
        str,
        typer.Option(help='For example "encoder.5,encoder,connector"; "encoder,connector.in,connector" if not said.'),
    ] = "",
    tokens: Annotated[bool, typer.Option("--tokens", help="Keep every token, not only a sample.")] = False,
    sample: Annotated[int, typer.Option(min=1, help="Tokens sampled, shared out among the pictures.")] = 16384,
    size: Annotated[
        str, typer.Option(help="native, or the side in pixels of a square that pictures are squeezed to first.")
    ] = "native",
    dtype: Annotated[Literal["fp32", "bf16"], typer.Option(help="Precision that is computed in and kept.")] = "fp32",
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Only the first N pictures.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures looked at together.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the token sample.")] = 0,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes, by Ray Data on this machine or its cluster. Or start under torchrun.")
    ] = 1,
) -> None:
    """Take features of pictures at several sites, the language model not run, into a store for the other probes."""
    with errors_to_exit():
        from chiasm.errors import ConfigError
        from chiasm.probe.workers import Request, extract_here, extract_with_ray

        if size != "native" and not size.isdecimal():
            raise ConfigError(f"--size {size} is neither native nor a number of pixels")
        request = Request(
            model,
            tuple(pictures),
            out,
            precision=dtype,
            sites=tuple(site.strip() for site in sites.split(",") if site.strip()),
            size=None if size == "native" else int(size),
            tokens=tokens,
            sample=sample,
            seed=seed,
            limit=limit,
            batch=batch,
        )
        index = extract_here(request) if workers == 1 else extract_with_ray(request, workers)
        if index is None:  # another process of torchrun reports
            return
        typer.echo(f"features: {out}, {index['pictures'] - index['problems']} pictures")
        if index["problems"]:
            typer.secho(f"{index['problems']} pictures gave no features; items.jsonl says why", fg="yellow", err=True)
        if index["duplicates"]:
            first = ", ".join(index["duplicates"][0])
            typer.secho(
                f"{len(index['duplicates'])} groups of equal pictures, listed in index.json; the first: {first}",
                fg="yellow",
                err=True,
            )


for command in (geometry, spectrum, recover, readout, perturb, use, patch, captions, replace, report):
    probe_app.command()(command)
