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
from chiasm.report.gallery import build_gallery

MAX_PICTURES = 500
MAX_PICTURE_BYTES = 16_000_000


def write_report(run_folders: Sequence[str | Path], out: str | Path, title: str = "What the model sees") -> Path:
    """One self-contained HTML page with a section for each run folder; returns its path.

    The pictures share a budget of `MAX_PICTURES` and `MAX_PICTURE_BYTES`; the page says how many it shows. All numbers
    are of all rows. Raises RunError for a folder that is missing, damaged or not finished.
    """
    if not run_folders:
        raise RunError("a report needs at least one run folder; make one with `chiasm examine`")
    sections = [
        _section(Path(folder), MAX_PICTURES // len(run_folders), MAX_PICTURE_BYTES // len(run_folders))
        for folder in run_folders
    ]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("chiasm.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    galleries = [{"pictures": s["gallery"].pictures, "items": s["gallery"].items} for s in sections]
    page = environment.get_template("report.html").render(
        title=title, sections=sections, galleries=_script_json(galleries), version=chiasm.__version__
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
    }


def _script_json(content: Any) -> Markup:
    """JSON that is safe inside a script element: model text must not be able to end it."""
    return Markup(json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"))
