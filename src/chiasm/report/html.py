"""Write the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import chiasm
from chiasm.errors import RunError
from chiasm.examine.run_folder import read_manifest, read_rows, read_summary
from chiasm.report.figures import breakdowns, confusion, cost_table, headline, sentences
from chiasm.report.gallery import Gallery, build_gallery
from chiasm.report.probe_diagnosis import is_diagnosis, read_diagnosis, sentence, stages_chart
from chiasm.report.score_page import score_page

MAX_PICTURES = 500
MAX_PICTURE_BYTES = 16_000_000


def write_report(
    run_folders: Sequence[str | Path],
    out: str | Path,
    title: str = "",
    images: str | Path | None = None,
    diagnosis: str | Path | None = None,
) -> Path:
    """One self-contained HTML page of run folders of `chiasm examine`, or of `chiasm score`; returns its path.

    Examined models have a section each. Scores must be of one task; several of them are compared. `images` is a folder
    with the pictures of scored items, which a score folder only names. `diagnosis` is a folder of `chiasm diagnose` for
    one of the examined datasets; one in RUN/diagnosis is found without it.

    The pictures share a budget of `MAX_PICTURES` and `MAX_PICTURE_BYTES`; the page says how many it shows. All numbers
    are of all rows. Raises RunError for a folder that is missing, damaged, not finished or of the other sort.
    """
    folders = [Path(folder) for folder in run_folders]
    if not folders:
        raise RunError("a report needs at least one run folder; make one with `chiasm examine` or `chiasm score --out`")
    sorts = [read_manifest(folder).get("kind") == "score" for folder in folders]
    if all(sorts):
        if diagnosis:
            raise RunError("a diagnosis goes with run folders of `chiasm examine`, not of `chiasm score`")
        page = score_page(folders, Path(images) if images else None, MAX_PICTURES, MAX_PICTURE_BYTES)
        return write_page(out, "scores.html", title or page["title"], [page["page_data"]], page)
    if any(sorts):
        raise RunError("run folders of `chiasm score` and of `chiasm examine` don't fit on one page; make one of each")
    share = MAX_PICTURES // len(folders), MAX_PICTURE_BYTES // len(folders)
    sections = [_section(folder, *share) for folder in folders]
    beside = [folder / "diagnosis" for folder in folders if is_diagnosis(folder / "diagnosis")]
    for found in [Path(diagnosis)] if diagnosis else beside:
        _add_diagnosis(found, sections)
    galleries = [_gallery_data(section["gallery"]) for section in sections]
    return write_page(out, "report.html", title or "What the model sees", galleries, {"sections": sections})


def write_page(out: str | Path, template: str, title: str, galleries: Sequence[Any], content: dict[str, Any]) -> Path:
    """Fill a template of this folder; `galleries` is what gallery.js reads. Returns the path."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("chiasm.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(
        content, title=title, galleries=_script_json(galleries), version=chiasm.__version__
    )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(page.encode("utf-8", "replace"))
    return out


def _section(folder: Path, max_pictures: int, max_bytes: int) -> dict[str, Any]:
    manifest, summary, rows = read_manifest(folder), read_summary(folder), read_rows(folder)
    return {
        "manifest": manifest,
        "manifest_text": json.dumps(manifest, indent=2, ensure_ascii=False),
        "summary": summary,
        "sentences": sentences(summary),
        "headline": headline(summary["metrics"]),
        "costs": cost_table(summary),
        "breakdowns": breakdowns(summary["metrics"]),
        "confusion": confusion(summary["scenes"]),
        "gallery": build_gallery(folder, rows, max_pictures, max_bytes),
        "diagnosis": None,
    }


def _add_diagnosis(folder: Path, sections: Sequence[dict[str, Any]]) -> None:
    """Into the section of the same dataset and the same weights."""
    found = read_diagnosis(folder)
    data, weights = found.manifest.get("dataset"), found.manifest.get("weights")
    for number, section in enumerate(sections):
        manifest = section["manifest"]
        if manifest["dataset"]["fingerprint"] == data and manifest["model"].get("weights") == weights:
            chart = stages_chart(f"diagnosis-{number}", found)
            section["diagnosis"] = {"sentence": sentence(found), "chart": chart}
            return
    raise RunError(
        f"{folder} is of another model or of other pictures than the runs; name the diagnosis of one of them"
    )


def _gallery_data(gallery: Gallery) -> dict[str, Any]:
    """What gallery.js reads: the runs' names, and from which score on boxes are shown."""
    return {"runs": [""], "pictures": gallery.pictures, "items": gallery.items, "floor": 0, "detections": False}


def _script_json(content: Any) -> Markup:
    """JSON that is safe inside a script element: model text must not be able to end it."""
    return Markup(json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"))
