"""The page: one file, no network, every number there, safe against model text, and a gallery that works."""

import html
import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from fake_examinees import DoesEverythingWrong, Hallucinates, Oracle, Pictures
from PIL import Image

from chiasm.errors import RunError
from chiasm.examine.run import examine
from chiasm.examine.run_folder import read_summary
from chiasm.report.figures import breakdowns, confusion, cost_table, headline, sentences
from chiasm.report.gallery import build_gallery
from chiasm.report.html import write_report
from chiasm.types import Answer


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "run"
    dataset = Pictures(60)
    examine(DoesEverythingWrong(dataset), dataset, folder, progress=False)
    return folder


def galleries(page: Path) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="galleries">(.*?)</script>', page.read_text("utf-8"), re.S)
    assert found
    return json.loads(found[1])


def test_the_page_is_one_file_that_asks_for_nothing(run_folder: Path, tmp_path: Path) -> None:
    page = write_report([run_folder], tmp_path / "new" / "page.html", title="A <b>title</b>")
    text = page.read_text("utf-8")
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]
    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)""", text) + re.findall(
        r"url\(([^)]+)\)|@import (.*)", text
    )
    assert all(source.startswith("#") for source in sources), sources
    assert "A &lt;b&gt;title&lt;/b&gt;" in text


def test_all_numbers_of_the_headline_are_on_the_page(run_folder: Path, tmp_path: Path) -> None:
    text = write_report([run_folder], tmp_path / "page.html").read_text("utf-8")
    for entry in read_summary(run_folder)["metrics"]:
        if entry["slice"] is None:
            assert f"{100 * entry['value']:.1f}" in text
            assert f"{100 * entry['ci_low']:.1f} – {100 * entry['ci_high']:.1f}" in text
    assert "Counted as wrong:" in text


def test_every_row_of_a_shown_picture_is_in_the_gallery(run_folder: Path, tmp_path: Path) -> None:
    [gallery] = galleries(write_report([run_folder], tmp_path / "page.html"))
    assert len(gallery["pictures"]) == 60
    assert len({item["id"] for item in gallery["items"]}) == 600
    assert all(picture["source"].startswith("data:image/jpeg;base64,") for picture in gallery["pictures"])
    item = next(item for item in gallery["items"] if item["id"] == "p3/detect")
    assert len(item["true"]) == len(Pictures()[3].objects or ())


def test_a_small_budget_still_shows_every_cause(run_folder: Path) -> None:
    rows = [json.loads(line) for line in (run_folder / "samples.jsonl").read_text().splitlines()]
    causes = {(error["kind"], error["cause"]) for row in rows for error in row["errors"]}
    gallery = build_gallery(run_folder, rows, max_pictures=len(causes), max_bytes=10**7)
    assert (gallery.shown, gallery.total) == (len(causes), 60)
    assert causes == {(kind, cause) for item in gallery.items for kind, cause, _ in item["answers"][0]["errors"]}
    tiny = build_gallery(run_folder, rows, max_pictures=60, max_bytes=5000)
    assert 1 <= tiny.shown < 10
    assert sum(len(picture["source"]) for picture in tiny.pictures) <= 5000


def test_model_text_cannot_leave_its_place(tmp_path: Path) -> None:
    nasty = "</script><script>alert(1)</script> <!-- \ud800 \u2028"

    class Writes(Oracle):
        def caption_of(self, example):  # type: ignore[no-untyped-def]
            return Answer(nasty, raw=nasty)

        def scene_of(self, example):  # type: ignore[no-untyped-def]
            return Answer("<img src=x onerror=alert(1)>")

    examine(Writes(Pictures(3)), Pictures(3), tmp_path / "run", progress=False)
    page = write_report([tmp_path / "run"], tmp_path / "page.html")
    assert "alert(1)</script>" not in page.read_text("utf-8")
    assert "<img src=x" not in page.read_text("utf-8")
    assert any(item["answers"][0]["said"] == nasty for item in galleries(page)[0]["items"])


def test_several_runs_share_one_page_and_missing_pictures_are_said(run_folder: Path, tmp_path: Path) -> None:
    nothing = {"scene": None, "objects": None, "captions": (), "questions": (), "references": ()}
    photo = tmp_path / "photo.png"
    Image.fromarray(Pictures()[1].image).save(photo)
    dataset = Pictures(
        3, changed={0: nothing | {"image": photo}, 1: nothing, 2: nothing | {"image": tmp_path / "no.jpg"}}
    )
    examine(Oracle(Pictures(3), name="second"), dataset, tmp_path / "run", progress=False)
    photo.unlink()
    page = write_report([run_folder, tmp_path / "run"], tmp_path / "page.html")
    assert [len(gallery["items"]) for gallery in galleries(page)] == [600, 9]
    assert [bool(picture["source"]) for picture in galleries(page)[1]["pictures"]] == [False, True, False]
    text = page.read_text("utf-8")
    assert "Nothing here is annotated" in text
    assert "1 picture could not be opened" in text


def test_folders_that_are_no_finished_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"manifest.json is missing"):
        write_report([tmp_path], tmp_path / "page.html")
    with pytest.raises(RunError, match=r"at least one run folder"):
        write_report([], tmp_path / "page.html")


def entry(metric: str, value: float | None, slice: dict[str, str] | None = None) -> dict[str, Any]:
    low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
    return {
        "metric": metric, "title": f"Title of {metric}", "slice": slice, "value": value, "ci_low": low, "ci_high": high,
        "n": 50, "images": 10, "method": "bootstrap", "dialect": "", "unparsed": 0,
    }  # fmt: skip


def test_figures_by_hand() -> None:
    metrics = [
        entry("scene.accuracy", 0.5), entry("answer.exact", 0.25), entry("detect.precision", None),
        entry("answer.exact", 0.2, {"kind": "count"}), entry("answer.exact", 0.4, {"kind": "size"}),
        entry("answer.exact", 0.4, {"objects": "0-1"}),
    ]  # fmt: skip
    bar = headline(metrics)["Questions"][0]
    assert (bar.value, bar.low, bar.interval) == (25, pytest.approx(15), "15.0 – 35.0")
    assert headline(metrics)["Objects"][0].value is None
    [panel] = breakdowns(metrics)  # one value of a slice key is no comparison
    assert [label for label, _ in panel.rows] == ["count", "size"]
    cost = {"scene.accuracy": {"change": 0.3, "ci_low": 0.2, "ci_high": 0.4}}
    error = {"kind": "wrong_scene", "meaning": "m", "count": 3, "causes": {"another scene": 3}, "cost": cost}
    summary = {"metrics": metrics, "errors": [error]}
    assert sentences(summary) == [
        "It names the scene of 50.0 % of 50 pictures (95 % interval 40.0 – 60.0) and answers 25.0 % of 50 questions "
        "(95 % interval 15.0 – 35.0) correctly.",
        "The costliest kind of error is wrong scene: without it title of scene.accuracy would be 30.0 points better.",
    ]
    assert cost_table(summary).rows[0].costs == [(30, "95 % interval 20.0 to 40.0"), None, None]
    matrix = confusion({"true": ["a", "b"], "said": ["a", "b", "c"], "counts": [[1, 0, 1], [0, 0, 0]]})
    assert matrix is not None
    assert matrix.rows[0] == ("a", 2, [(1, 0.5, True), (0, 0.0, False), (1, 0.5, False)])
    assert matrix.rows[1][1] == 0


def test_five_thousand_samples_fit_the_budget(tmp_path: Path) -> None:
    dataset = Pictures(500)
    examine(Hallucinates(dataset), dataset, tmp_path / "run", batch=100, progress=False)
    start = time.process_time()  # of this process alone, so that a busy machine does not fail the test
    page = write_report([tmp_path / "run"], tmp_path / "page.html")
    assert sum(len(gallery["items"]) for gallery in galleries(page)) == 5000
    assert time.process_time() - start < 5
    assert page.stat().st_size < 25_000_000


SCRIPT = """
<script>
const gallery = document.querySelector(".gallery"), seen = {};
const count = () => parseInt(gallery.querySelector(".count").textContent.replace(",", ""));
const press = (name, value) => gallery.querySelector(`[data-filter="${name}"][data-value="${value}"]`).click();
seen.start = count();
seen.cards = gallery.querySelectorAll(".card").length;
press("kind", "hallucination"); seen.hallucination = count();
press("task", "detect"); seen.hallucinationInDetect = count();
seen.boxes = gallery.querySelectorAll(".card .is-predicted").length;
press("kind", ""); press("task", ""); press("outcome", "all"); seen.all = count();
gallery.querySelector(".more").click(); seen.cardsAfterMore = gallery.querySelectorAll(".card").length;
const search = gallery.querySelector("input");
search.value = "p7/"; search.dispatchEvent(new Event("input")); seen.search = count();
gallery.querySelector(".card").click(); seen.open = viewer.open;
const title = () => viewer.querySelector(".viewer-bar span").textContent;
seen.first = title();
viewer.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" })); seen.second = title();
viewer.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
viewer.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" })); seen.last = title();
document.body.append(element("pre", { id: "seen", text: JSON.stringify(seen) }));
</script>
"""


def in_browser(page: Path, script: str, folder: Path) -> dict[str, Any]:
    """What `script`, run at the end of the page, leaves as JSON in an element with the id "seen"."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    page.write_text(page.read_text("utf-8").replace("</body>", script + "</body>"), "utf-8")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
               "--disable-background-networking", "--disable-component-update", "--disable-sync",
               f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.S)
    assert found, "the page's script did not run to its end"
    return json.loads(html.unescape(found[1]))


def test_the_gallery_filters_and_browses_in_a_browser(run_folder: Path, tmp_path: Path) -> None:
    seen = in_browser(write_report([run_folder], tmp_path / "page.html"), SCRIPT, tmp_path)
    rows = [json.loads(line) for line in (run_folder / "samples.jsonl").read_text().splitlines()]
    wrong = [row for row in rows if row["right"] is False]
    hallucinating = [row for row in wrong if any(error["kind"] == "hallucination" for error in row["errors"])]
    detecting = [row for row in hallucinating if row["task"] == "detect"]
    assert seen["start"] == len(wrong)
    assert seen["cards"] == min(48, len(wrong))
    assert seen["hallucination"] == len(hallucinating)
    assert seen["hallucinationInDetect"] == len(detecting) > 0
    assert seen["boxes"] == sum(len(row["parsed"]) for row in detecting)
    assert seen["all"] == 600
    assert seen["cardsAfterMore"] == 96
    assert seen["search"] == 10
    assert seen["open"]
    assert [seen[name].split(" · ")[0] for name in ("first", "second", "last")] == ["1 of 10", "2 of 10", "10 of 10"]
