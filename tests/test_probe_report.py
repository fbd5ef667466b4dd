"""The page of probes and diagnoses: one file, every measurement, charts that say what they show, and a gallery."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_examinees import DoesEverythingWrong, Pictures
from PIL import Image
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.errors import RunError
from chiasm.examine.run import examine
from chiasm.models.features import Features
from chiasm.probe.measurement_file import write_measurements
from chiasm.probe.recovery_maps import token_errors, write_recovery_maps
from chiasm.probe.result import Measurement, Yardstick
from chiasm.probe.shown_file import write_shown
from chiasm.report.drawing import blank, label_ends
from chiasm.report.html import write_report
from chiasm.report.probe_charts import dots_chart, lines_chart
from chiasm.report.probe_diagnosis import interval_text, read_diagnosis, sentence, stages_chart, verdict_gallery
from chiasm.report.probe_page import write_probe_report

MADE_OF = {"model": "tiny <b>&", "dataset": "scenes:test", "fingerprint": "f", "pictures": 1200}
NULL, CEILING = Yardstick(0.1, 0.05, 0.15, "permuted"), Yardstick(0.9, method="halves")


def measured(name: str, *sites: str, value: float | None = 0.5, **settings: Any) -> Measurement:
    ends = (None, None) if value is None else (value - 0.1, value + 0.1)
    flags = ("nothing to measure",) if value is None else ()
    return Measurement(name, sites, value, *ends, NULL, CEILING, n=1200, clusters=9, settings=settings, flags=flags)


RESULTS: dict[str, list[Measurement]] = {
    "geometry": [
        measured("knor@10", "encoder", "connector", scaling="raw"),
        measured("procrustes", "encoder", "connector", scaling="raw"),
        measured("hubness@10", "encoder", scaling="raw"),
    ],
    "spectrum": [measured("effective_rank", "encoder"), measured("effective_rank", "connector", value=None)],
    "recover": [
        measured("ridge.r2", "connector", "encoder"),
        measured("ridge.round_trip_r2", "connector", "encoder"),
        *(measured(f"ridge.r2@{n}", "connector", "encoder", value=n / 100) for n in (9, 18, 72)),
    ],
    "readout": [
        measured("object.balanced_accuracy", "encoder", fact=""),
        measured("object.balanced_accuracy cup", "encoder", fact="cup"),
    ],
    "perturb": [
        measured("caption.kl mask@0.5", "connector", "answer", damage="mask", level=0.5, distortion=0.4),
        measured("caption.kl mask@0.9", "connector", "answer", damage="mask", level=0.9, distortion=0.8),
        measured("caption.kl remove@0.5", "connector", "answer", value=None, damage="remove", level=0.5),
    ],
    "use": [
        measured("use.swapped", "connector", "answer"),
        measured("use.swapped", "connector", "answer", kind="size"),
    ],
    "patch": [measured("carried.image", f"decoder.{i}", value=1 - i / 4, layer=i, where="image") for i in range(4)],
    "never heard of": [measured("something@3 else", "connector")],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every probe, and of one that the page does not know."""
    folder = tmp_path_factory.mktemp("results")
    for probe, found in RESULTS.items():
        write_measurements(folder / f"{probe}.json", found, MADE_OF)
    curve = {"value": [0.2, 0.4, 0.5], "low": [0.1, 0.3, 0.4], "high": [0.3, 0.5, 0.6]}
    both = {"sites": ["encoder", "connector"], "metric": "l2", "scaling": "raw"}
    write_shown(folder, "overlap curves", [{**both, "overlap": curve, "null": curve, "ceiling": {"value": [1, 1, 1]}}])
    write_shown(folder, "spectra", [{"site": "encoder", "picture": [0.6, 0.3, 0.1], "dataset": [0.9, 0.1]}])
    (folder / "pictures").mkdir()
    for name in ("0.jpg", "1.jpg"):
        Image.new("RGB", (8, 8), "red").save(folder / "pictures" / name)
    one, other = ({"id": name, "file": name, "shared": name == "1.jpg"} for name in ("0.jpg", "1.jpg"))
    row = {"picture": one, "kept": 0.5, "before": [other, one], "after": [one, other]}
    write_shown(folder, "neighbours", [{"sites": ["encoder", "connector"], "k": 10, "rows": [row]}])
    return folder


@pytest.fixture(scope="module")
def page(results: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    write_probe_report([results], folder / "new" / "page.html")
    assert [path.name for path in (folder / "new").iterdir()] == ["page.html"]
    return (folder / "new" / "page.html").read_text("utf-8")


def svgs(page: str) -> list[str]:
    return re.findall(r"<svg .*?</svg>", page, re.DOTALL)


def test_the_page_asks_for_nothing_and_holds_every_measurement(page: str) -> None:
    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)""", page) + re.findall(r"url\(([^)]+)\)", page)
    assert all(source.startswith(("#", "data:image/jpeg")) for source in sources), sources
    assert "tiny &lt;b&gt;&amp; · 1,200 pictures of scenes:test" in page
    for found in RESULTS.values():
        for one in found:
            assert f'<th scope="row">{one.name}' in page
    assert "nothing to measure" in page


def test_sections_come_in_the_order_in_which_a_picture_passes_and_strangers_last(page: str) -> None:
    assert re.findall(r'<section class="run" id="([^"]+)"', page) == list(RESULTS)


def test_charts_are_sound_and_their_ids_differ(page: str) -> None:
    ids: list[str] = []
    for svg in svgs(page):
        root = ElementTree.fromstring(svg)  # raises if it is not well formed
        here = [node.attrib["id"] for node in root.iter() if "id" in node.attrib]
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(here)
        ids += here
    assert len(ids) == len(set(ids)) > 20


def test_charts_take_the_colours_of_the_page_and_keep_their_words(page: str) -> None:
    everything = "".join(svgs(page))
    assert "var(--ink)" in everything
    assert "var(--blue)" in everything
    assert "#0072b2" not in everything
    words = re.findall(r"<text[^>]*>([^<]+)</text>", everything)
    for word in ("k, nearest neighbours", "share of neighbours kept", "share of the energy, %", "training pictures",
                 "distortion of E_post", "decoder layer", "ceiling", "null", "R²"):  # fmt: skip
        assert word in words, word


def test_every_chart_is_written_for_paper(results: Path, tmp_path: Path) -> None:
    write_probe_report(
        [results / "geometry.json", results / "patch.json"], tmp_path / "page.html", figures=tmp_path / "f"
    )
    names = {path.name for path in (tmp_path / "f").iterdir()}
    charts = ("geometry-overlap-encoder-connector-raw", "geometry-neighbours-1", "patch-layers")
    assert {f"{name}.{form}" for name in charts for form in ("svg", "pdf")} <= names
    assert (tmp_path / "f" / "patch-layers.pdf").read_bytes().startswith(b"%PDF")
    assert "#0072b2" in (tmp_path / "f" / "patch-layers.svg").read_text()


def test_two_results_of_one_probe_have_their_own_places(results: Path, tmp_path: Path) -> None:
    write_probe_report([results / "patch.json", results / "patch.json"], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert re.findall(r'<section class="run" id="([^"]+)"', text) == ["patch", "patch-2"]


def test_what_holds_no_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        write_probe_report([tmp_path / "nowhere"], tmp_path / "page.html")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(RunError, match="no results"):
        write_probe_report([tmp_path], tmp_path / "page.html")
    with pytest.raises(RunError, match="no file of measurements"):
        write_probe_report([tmp_path / "a.json"], tmp_path / "page.html")
    result = CliRunner().invoke(app, ["probe", "report", str(tmp_path), "-o", str(tmp_path / "page.html")])
    assert result.exit_code == 1
    assert "holds no results" in result.output


def test_a_chart_without_a_value_is_none() -> None:
    nothing = measured("x", "encoder", value=None)
    assert dots_chart("n", "t", [("a", nothing)], "u") is None
    assert lines_chart("n", "t", "c", {"a": [(1, nothing)]}, ("x", "y")) is None


def test_names_at_the_ends_of_lines_never_overlap() -> None:
    figure, axes = blank()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    label_ends(axes, [(1, y, f"line {y}", "#1c1b19") for y in (0.50, 0.501, 0.99, 1.0, 0.502)])
    figure.draw_without_rendering()
    spans = sorted((box.y0, box.y1) for box in (text.get_window_extent() for text in axes.texts))
    assert all(above[0] >= below[1] - 1 for below, above in pairwise(spans))


# Recovery: four pictures of 1 x 2 tokens of one feature. The first three give mean 0 and deviation 1.
TRUTH = Features(torch.tensor([[1.0], [-1.0], [1.0], [-1.0], [1.0], [-1.0], [3.0], [0.0]]), ((1, 2),) * 4, "encoder")


def test_the_error_of_a_token_is_in_deviations_of_the_other_pictures() -> None:
    guess = Features(torch.tensor([[1.0], [0.0]]), ((1, 2),), "encoder")
    assert token_errors(guess, TRUTH, [3])[0].tolist() == [[4.0, 0.0]]
    mean = Features(torch.zeros(6, 1), ((1, 2),) * 3, "encoder")
    errors = np.concatenate(token_errors(mean, TRUTH.select([3, 0, 1, 2]), [1, 2, 3]))
    assert errors == pytest.approx(np.full((3, 2), 1 / 2.25))  # picture 0 alone: mean 1.5, deviation 1.5


def test_maps_are_written_with_their_pictures(tmp_path: Path) -> None:
    guess = TRUTH.select([2, 3])

    def images(which: Sequence[int]) -> list[Image.Image]:
        return [Image.new("RGB", (30, 20)) for _ in which]

    path = write_recovery_maps(tmp_path, {"ridge": guess}, TRUTH, [2, 3], ["a", "b", "c", "d"], images)
    rows = json.loads(path.read_text())["rows"]
    assert {row["id"] for row in rows} == {"c", "d"}
    assert rows[0]["error"] == [[0.0, 0.0]]
    assert all((tmp_path / "pictures" / row["file"]).is_file() for row in rows)
    write_measurements(tmp_path / "recover.json", RESULTS["recover"], MADE_OF)
    write_probe_report([tmp_path], tmp_path / "page.html")
    assert "Where ridge fails to recover encoder" in (tmp_path / "page.html").read_text()


STAGES = ("encoder", "connector", "language model", "can't tell")


def diagnosis(
    folder: Path,
    dataset: str = "f",
    shares: Sequence[float] = (0.5, 0.3, 0.2, 0.0),
    weights: str | None = None,
) -> Path:
    """A finished diagnosis of ten questions, four answered wrongly, one for each verdict."""
    folder.mkdir(parents=True)
    manifest = {
        "kind": "diagnosis", "model": "tiny", "weights": weights, "pictures": "scenes:test", "dataset": dataset,
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    found = {stage: {"value": s, "ci_low": max(0, s - 0.1), "ci_high": s + 0.1}
             for stage, s in zip(STAGES, shares, strict=True)}  # fmt: skip
    about = {"asked": 10, "wrong": 4, "accuracy": 0.6, "blind_accuracy": 0.3, "present": {}, "reason": ""}
    right = {"name": "size", **about, "wrong": 0, "shares": found}
    kinds = [{"name": "color", **about, "shares": found}, right, {"name": None, **about, "shares": found}]
    sizes = [{"name": "small", **about, "shares": found}, {"name": "no single object", **about, "shares": found}]
    sites = ["encoder", "connector"]
    summary = {"questions": 10, "left_out": 0, "sites": sites, "kinds": kinds, "sizes": sizes}
    (folder / "diagnosis.json").write_text(json.dumps(summary))
    items = []
    for number in range(10):
        item: dict[str, Any] = {
            "id": f"q{number}", "image": f"scenes/test/{number:07d}", "kind": "color", "question": "Which <i>colour?",
            "truth": ["red"], "said": "blue", "right": number > 3, "hits": {"encoder": 1, "connector": 0.5},
        }  # fmt: skip
        if number <= 3:
            item |= {"verdict": STAGES[3 - number], "probability": [0.1, 0.2, 0.7]}
        items.append(json.dumps(item))
    (folder / "items.jsonl").write_text("\n".join(items) + "\n")
    return folder


def test_a_diagnosis_has_a_bar_for_each_kind_with_wrong_answers(tmp_path: Path) -> None:
    found = read_diagnosis(diagnosis(tmp_path / "d"))
    chart = stages_chart("d", found)
    assert chart is not None
    words = re.findall(r"<text[^>]*>([^<]+)</text>", chart.svg)
    assert words.count("50 (40–60)") == 4
    assert [word for word in words if word.endswith("(4)")] == [
        "color (4)", "small object (4)", "no single object (4)", "all (4)",
    ]  # fmt: skip
    assert "small where the root of its box's share of the picture is below 15 %" in chart.caption
    assert not any(word.startswith("size") for word in words)
    assert sentence(found) == (
        "Of 4 wrong answers to 10 questions, the largest part was lost in the encoder: 50 % (95 % interval 40–60)."
    )
    assert interval_text({"value": 0.5, "ci_low": None, "ci_high": None}) == "50"
    untold = read_diagnosis(diagnosis(tmp_path / "u", shares=(0, 0, 0, 1)))
    assert "none can be traced to a stage" in sentence(untold)
    mostly = read_diagnosis(diagnosis(tmp_path / "m", shares=(0.1, 0.2, 0, 0.7)))
    assert "for 70 % the readouts can’t tell" in sentence(mostly)
    assert "Of the others the largest part was lost in the connector: 20 % of all (95 % interval 1" in sentence(mostly)


def test_the_gallery_begins_with_verdicts_and_says_what_the_readouts_say(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (40, 20)).save(images / "0000003.png")
    gallery = verdict_gallery(read_diagnosis(diagnosis(tmp_path / "d")), images)
    said = [item["answers"][0]["errors"][0][0] for item in gallery["items"]]
    assert said == ["at-encoder", "at-connector", "at-language-model", "untold"]
    assert gallery["items"][0]["answers"][0]["read"] == "by the readouts: encoder 100 %, connector 50 %"
    assert gallery["pictures"][0]["size"] == (40, 20)
    assert gallery["pictures"][0]["source"].startswith("data:")
    assert gallery["pictures"][1]["source"] == ""


def test_pictures_of_a_drawn_world_are_drawn_again(tmp_path: Path) -> None:
    from chiasm.data.open import open_dataset

    folder = diagnosis(tmp_path / "d", open_dataset("scenes:test").fingerprint())
    assert all(picture["source"] for picture in verdict_gallery(read_diagnosis(folder), None)["pictures"])
    write_probe_report([folder], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "Where answers are lost" in text
    assert "Which <i>" not in text


def test_half_a_diagnosis_is_refused(tmp_path: Path) -> None:
    folder = diagnosis(tmp_path / "d")
    (folder / "items.jsonl").unlink()
    with pytest.raises(RunError, match="no finished diagnosis"):
        write_probe_report([folder], tmp_path / "page.html")


def test_the_report_of_a_run_shows_its_diagnosis_and_refuses_another(tmp_path: Path) -> None:
    dataset = Pictures(6)
    run = tmp_path / "run"
    examine(DoesEverythingWrong(dataset), dataset, run, progress=False)
    plain = write_report([run], tmp_path / "plain.html").read_text()
    assert "Where wrong answers arise" not in plain
    weights = DoesEverythingWrong(dataset).describe()["weights"]
    given = diagnosis(tmp_path / "given", dataset.fingerprint(), weights=weights)
    assert "50 (40–60)" in write_report([run], tmp_path / "a.html", diagnosis=given).read_text()
    diagnosis(run / "diagnosis", dataset.fingerprint(), weights=weights)
    assert "50 (40–60)" in write_report([run], tmp_path / "b.html").read_text()
    for other in (diagnosis(tmp_path / "g", "g"), diagnosis(tmp_path / "w", dataset.fingerprint(), weights="w")):
        with pytest.raises(RunError, match="another model or of other pictures"):
            write_report([run], tmp_path / "c.html", diagnosis=other)
