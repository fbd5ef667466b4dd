"""The page of what probes and diagnoses found."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.errors import RunError
from chiasm.probe.measurement_file import KIND, read_measurements
from chiasm.probe.shown_file import FILES, PICTURES
from chiasm.report.drawing import Chart
from chiasm.report.html import write_page
from chiasm.report.probe_diagnosis import is_diagnosis, read_diagnosis, sentence, stages_chart, verdict_gallery
from chiasm.report.probe_pictures import maps_chart, neighbours_chart
from chiasm.report.probe_sections import LEADS, TITLES, Section, charts_of

MOST_ROWS = 24
"""Measurements that are listed at once; more are folded away."""


def write_probe_report(
    results: Sequence[Path],
    out: Path,
    title: str = "",
    images: Path | None = None,
    figures: Path | None = None,
) -> Path:
    """One self-contained HTML page of result folders of `chiasm probe` and `chiasm diagnose`; returns its path.

    `images` is a folder with the pictures of diagnosed questions, where their dataset can't be opened again. With
    `figures` every chart is also written there as SVG and PDF. Raises RunError for a folder without results.
    """
    sections: list[Section] = []
    galleries: list[dict[str, Any]] = []
    on_paper: list[Chart] = []
    for source in sorted((found for path in results for found in _sources(path)), key=_place):
        anchor = _anchor(source.stem if source.is_file() else "diagnosis", sections)
        if source.is_dir():
            sections.append(_diagnosis(source, anchor, images, galleries))
        else:
            sections.append(_section(source, anchor))
            on_paper += _picture_charts(sections[-1])
    if figures is not None:
        for chart in [*(chart for section in sections for chart in section.charts), *on_paper]:
            chart.write(figures)
    return write_page(out, "probes.html", title or "What each stage keeps", galleries, {
        "sections": sections, "most_rows": MOST_ROWS,
    })  # fmt: skip


def _sources(path: Path) -> list[Path]:
    """The files of measurements in a folder, or the folder of a diagnosis itself."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise RunError(f"{path}: no such folder; make one with `chiasm probe ... --out`, or `chiasm diagnose`")
    if is_diagnosis(path):
        return [path]
    found = [file for file in sorted(path.glob("*.json")) if _kind(file) == KIND]
    if not found:
        raise RunError(f"{path} holds no results of `chiasm probe` and no finished diagnosis")
    return found


def _place(source: Path) -> int:
    """On the page: a diagnosis first, then probes in the order of `TITLES`, those of one kind as they were named."""
    order = list(TITLES)
    if source.is_dir():
        return -1
    return order.index(source.stem) if source.stem in order else len(order)


def _kind(file: Path) -> Any:
    try:
        content = json.loads(file.read_text("utf-8"))
    except ValueError:
        return None
    return content.get("kind") if isinstance(content, dict) else None


def _section(file: Path, anchor: str) -> Section:
    measurements = read_measurements(file)
    shown: dict[str, list[dict[str, Any]]] = {kind: _rows(file.parent / name) for kind, name in FILES.items()}
    about = json.loads(file.read_text("utf-8"))["made_of"]
    probe = file.stem
    title = TITLES.get(probe, probe)
    charts = charts_of(probe, anchor, measurements, shown)
    galleries = [_with_pictures(one, file.parent) for one in shown["neighbours"]] if probe == "geometry" else []
    maps = _maps(shown["recovery maps"], file.parent) if probe == "recover" else {}
    return Section(anchor, title, LEADS.get(probe, ""), about, measurements, charts, galleries, maps)


def _diagnosis(folder: Path, anchor: str, images: Path | None, galleries: list[dict[str, Any]]) -> Section:
    found = read_diagnosis(folder)
    chart = stages_chart(anchor, found)
    number = None
    if found.wrong:
        number = len(galleries)
        galleries.append(verdict_gallery(found, images))
    pictures = len({item["image"] for item in found.items})
    about = {"model": found.manifest.get("model"), "dataset": found.manifest.get("pictures"), "pictures": pictures}
    charts = [chart] if chart else []
    return Section(anchor, "Where answers are lost", sentence(found), about, (), charts, gallery=number, wide=True)


def _picture_charts(section: Section) -> list[Chart]:
    """Galleries and maps for paper; the page builds its own."""
    charts = [neighbours_chart(f"{section.anchor}-neighbours-{i}", one) for i, one in enumerate(section.neighbours, 1)]
    return charts + [maps_chart(f"{section.anchor}-maps-{name}", rows) for name, rows in section.maps.items()]


def _rows(file: Path) -> list[dict[str, Any]]:
    return json.loads(file.read_text("utf-8"))["rows"] if file.is_file() else []


def _with_pictures(gallery: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The gallery with its pictures as data URIs in place of their files' names."""

    def picture(one: dict[str, Any]) -> dict[str, Any]:
        return one | {"source": _data_uri(folder / PICTURES / one["file"])}

    rows = [
        row
        | {"picture": picture(row["picture"])}
        | {side: [picture(one) for one in row[side]] for side in ("before", "after")}
        for row in gallery["rows"]
    ]
    return gallery | {"rows": rows}


def _maps(rows: Sequence[dict[str, Any]], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """By reconstructor, each map with its picture, and `top`, the error that is drawn darkest."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["reconstructor"], []).append(row | {"source": _data_uri(folder / PICTURES / row["file"])})
    for those in found.values():
        top = float(np.quantile(np.concatenate([np.ravel(row["error"]) for row in those]), 0.98)) or 1.0
        for row in those:
            row["top"] = top
            row["mean"] = float(np.mean(row["error"]))
    return found


def _data_uri(path: Path) -> str:
    if not path.is_file():
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _anchor(stem: str, sections: Sequence[Section]) -> str:
    """Unique on the page: geometry, geometry-2."""
    before = Counter(section.anchor.rstrip("-0123456789") for section in sections)[stem]
    return f"{stem}-{before + 1}" if before else stem
