"""The page of scores: numbers as scored, faults that add up, every text safe, and a gallery that filters and sorts."""

import json
import random
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_report import galleries, in_browser
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.errors import RunError
from chiasm.report.html import write_report
from chiasm.report.pictures import find_pictures
from chiasm.report.score_answers import calibration, yes_ratios
from chiasm.report.score_cards import ItemCards
from chiasm.report.score_faults import faults_of
from chiasm.report.score_gallery import best_threshold, score_gallery
from chiasm.report.score_headline import headline, verdicts
from chiasm.report.score_runs import Run, read_runs
from chiasm.report.score_slices import slice_tables
from chiasm.score.bootstrap import parts
from chiasm.score.captioning.chair import Vocabulary, chair_item
from chiasm.score.choice.pope import score_pope
from chiasm.score.compare import compare
from chiasm.score.faults import find_faults
from chiasm.score.judgement.bradley_terry import score_preferences
from chiasm.score.measures import measures_of
from chiasm.score.regions.coco import score_coco
from chiasm.score.result import Item, Score, Value
from chiasm.score.score_folder import write_score
from chiasm.score.vqa.accuracy import score_vqa

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> <!-- \u2028 é𝄞"


def pope_run(folder: Path, name: str, wrong_no: int, wrong_yes: int, dialect: Any = "official") -> Path:
    """40 questions on 10 pictures, half of them yes; the first `wrong_no` true ones are denied, the first `wrong_yes`
    false ones affirmed."""
    questions, answers = [], []
    for k in range(40):
        label = "yes" if k % 2 == 0 else "no"
        wrong = k // 2 < (wrong_no if label == "yes" else wrong_yes)
        said = {"yes": "no", "no": "yes"}[label] if wrong else label
        text = f"Is there a {'dog' if k < 8 else 'cup'} here?"
        questions.append({"question_id": k, "image": f"photo_{k // 4:03d}.jpg", "text": text, "label": label})
        answers.append({"question_id": k, "answer": said.capitalize() if dialect == "official" else said})
    truth, predictions = folder / "pope_random.jsonl", folder / f"{name}.jsonl"
    for path, rows in ((truth, questions), (predictions, answers)):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    score = score_pope([truth], [predictions], dialect=dialect)
    write_score(folder / name, score, {"truth": truth, "predictions": predictions}, {"dialect": dialect}, "chiasm a b")
    return folder / name


@pytest.fixture
def two_runs(tmp_path: Path) -> list[Path]:
    return [pope_run(tmp_path, "careful", 2, 1), pope_run(tmp_path, "eager", 0, 12)]


def run_of(score: Score) -> Run:
    return Run("run", Path("run"), {"paths": {}}, score, {}, find_faults(score))


def test_headline_has_every_number_beside_its_baselines(two_runs: list[Path]) -> None:
    rows = {row.metric: row for row in headline(read_runs(two_runs))}
    accuracy = rows["accuracy"]  # 40 - 3 and 40 - 12 right
    assert [mark.text for mark in accuracy.marks if mark] == ["0.925", "0.700"]
    assert [mark.value for mark in accuracy.marks if mark] == pytest.approx([92.5, 70])
    assert dict((name, (text, at)) for name, text, at in accuracy.baselines) == {
        "all yes": ("0.500", 50), "chance": ("0.500", 50),
    }  # fmt: skip
    assert not any(metric.startswith("baseline") for metric in rows)


def test_an_axis_reaches_as_far_as_its_values() -> None:
    score = Score("t2i", "", (Value("fid", 40.0, 9, 30.0, 50.0), Value("mean GIoU", 0.5, 9, -0.25, 0.75)), ())
    fid, giou = headline([run_of(score)])
    assert fid.marks[0]
    assert giou.marks[0]
    assert (fid.marks[0].value, fid.marks[0].low, fid.marks[0].high) == (80, 60, 100)
    assert (giou.marks[0].value, giou.marks[0].low, giou.marks[0].high) == (60, 0, 80)  # from -0.25 to 1


def test_a_metric_that_should_be_low_says_so() -> None:
    item = chair_item("7", "a dog", ["cat"], [], Vocabulary())
    score = Score("chair", "own COCO words", (Value("chair_i", 1.0, 1), Value("recall", 0.0, 1)), (item,))
    rows = headline([replace(run_of(score), measures=measures_of(score))])
    assert [row.better for row in rows] == ["lower is better", ""]


def test_verdicts_are_those_of_compare_and_refuse_to_rank_noise(two_runs: list[Path], tmp_path: Path) -> None:
    runs = read_runs(two_runs)
    found = verdicts(runs)
    assert found is not None
    expected = compare({run.name: run.score for run in runs}, measures_of(runs[0].score)).differences
    assert [(row.metric, row.p, row.sentence) for row in found.rows] == [
        (one.metric, one.p_adjusted, one.sentence) for one in expected
    ]
    for row, one in zip(found.rows, expected, strict=True):
        assert (row.value > 50) == (one.gap.difference > 0)  # 0 is in the middle
        if row.low is not None and row.high is not None and one.gap.ci_low is not None:
            assert 0 <= row.low <= row.value <= row.high <= 100
    close = read_runs([two_runs[0], pope_run(tmp_path, "close", 1, 1)])
    same = verdicts(close)
    assert same is not None
    assert {row.verdict for row in same.rows} == {"not told apart"}
    assert "can't be told apart" in same.lead[0]
    assert verdicts(runs[:1]) is None


def test_runs_of_different_dialects_are_shown_and_not_ranked(two_runs: list[Path], tmp_path: Path) -> None:
    runs = read_runs([two_runs[0], pope_run(tmp_path, "lmms", 2, 1, dialect="lmms")])
    found = verdicts(runs)
    assert found is not None
    assert not found.rows
    assert "different rules" in found.notes[0]
    page = write_report([run.folder for run in runs], tmp_path / "page.html").read_text("utf-8")
    assert "Several dialects:" in page


def test_the_waterfall_starts_at_the_value_and_ends_with_all_faults_put_right(two_runs: list[Path]) -> None:
    [run] = read_runs(two_runs[:1])
    found = faults_of(run).waterfall
    assert found is not None
    assert found.now.end == pytest.approx(92.5)
    assert [(step.title, step.text) for step in found.steps] == [
        ("Missed object: denied", "+0.050"), ("Hallucination: yes-bias", "+0.025"),
    ]  # fmt: skip
    assert [step.start for step in found.steps] == pytest.approx([92.5, 97.5])
    assert found.steps[-1].end == pytest.approx(100)


def test_fault_rows_count_and_price_kinds_and_causes(two_runs: list[Path]) -> None:
    [run] = read_runs(two_runs[:1])
    found = faults_of(run)
    assert [(row.kind, row.cause, row.count) for row in found.rows] == [
        ("missed_object", "", 2), ("missed_object", "denied", 2),
        ("hallucination", "", 1), ("hallucination", "yes-bias", 1),
    ]  # fmt: skip
    costs = [row.costs[found.columns.index("accuracy")] or (0, "", "") for row in found.rows]
    assert [text for _, text, _ in costs] == ["+0.050", "+0.050", "+0.025", "+0.025"]
    assert [share for share, _, _ in costs] == pytest.approx([100, 100, 50, 50])


def test_yes_ratio_by_hand(two_runs: list[Path]) -> None:
    [ratio] = yes_ratios(read_runs(two_runs[1:])[0])
    assert (ratio.part, ratio.said, ratio.true, ratio.n) == ("", 80, 50, 40)  # 20 true and 12 false ones of 40


def test_calibration_by_hand() -> None:
    """Four answers at .95, one wrong, and two at .15, both wrong: (4 x |.75 - .95| + 2 x |0 - .15|) / 6."""
    sure = [(0.95, True)] * 3 + [(0.95, False)] + [(0.15, False)] * 2
    items = tuple(
        Item(str(k), str(k), "yes", "yes", "yes" if right else "no", statistics(right) | {"confidence": confidence})
        for k, (confidence, right) in enumerate(sure)
    )
    found = calibration(run_of(Score("pope", "official", (), items)))
    assert found is not None
    assert [(one.n, one.right) for one in found.bins] == [(2, 0), (4, 0.75)]
    assert found.error == pytest.approx((4 * 0.2 + 2 * 0.15) / 6)
    without = tuple(replace(item, statistics=statistics(True)) for item in items)
    assert calibration(run_of(Score("pope", "official", (), without))) is None


def statistics(right: bool) -> dict[str, float]:
    return {
        "questions": 1.0,
        "right": float(right),
        "yes_said": 1.0,
        "yes_true": float(right),
        "yes_right": float(right),
    }


def test_hallucinated_words_are_struck_and_missed_objects_listed(tmp_path: Path) -> None:
    caption = f"Two dogs by a dining table, and no cats {NASTY}"
    item = chair_item("7", caption, ["dog", "chair"], [], Vocabulary())
    score = Score("chair", "own COCO words", (), (item,))
    run = run_of(score)
    answer = ItemCards().answer(run, [item], list(run.faults))
    assert [text for text, struck in answer["parts"] if struck] == ["dining table", "cats"]
    assert "".join(text for text, _ in answer["parts"]) == caption
    assert ["missed_object", "omission", "chair"] in answer["errors"]


@given(st.lists(st.sampled_from(["a", "dog", "hot dogs", "Cat's", "train", "…", "\n", "ß", "no"]), max_size=12))
def test_a_caption_in_pieces_is_the_caption(words: list[str]) -> None:
    caption = " ".join(words)
    item = chair_item("7", caption, [], [], Vocabulary())
    run = run_of(Score("chair", "own COCO words", (), (item,)))
    parts = ItemCards().answer(run, [item], list(run.faults))["parts"]
    assert parts is None or "".join(text for text, _ in parts) == caption
    assert len([1 for _, struck in parts or () if struck]) == len(item.parsed)


def test_pictures_are_found_by_name_stem_number_and_coco_file_name(tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "deep"
    folder.mkdir(parents=True)
    for name in ("000000000139.jpg", "A b.PNG", "x_5.jpg", "y_5.jpg"):
        Image.new("RGB", (4, 3)).save(folder / name, "PNG")
    (tmp_path / "gt.json").write_text(json.dumps({"images": [{"id": 9, "file_name": "sub/x_5.jpg"}, {"id": 1}]}))
    names = ["139", "a b", "val/A b.PNG", "5", "9", "nothing", str(folder / "y_5.jpg")]
    found = find_pictures(names, tmp_path / "photos", [tmp_path / "gt.json", tmp_path / "no.json"])
    assert {name: path.name for name, path in found.items()} == {
        "139": "000000000139.jpg", "a b": "A b.PNG", "val/A b.PNG": "A b.PNG", "9": "x_5.jpg",
        str(folder / "y_5.jpg"): "y_5.jpg",
    }  # fmt: skip
    assert find_pictures(names, None, ()) == {str(folder / "y_5.jpg"): folder / "y_5.jpg"}


def test_nothing_that_a_model_or_a_file_says_becomes_markup(tmp_path: Path) -> None:
    answers = [{"answer": NASTY, "answer_id": k} for k in range(10)]
    truth, predictions = tmp_path / "gt.json", tmp_path / f"{'<b>&'}.json"
    question = {"question_id": NASTY, "image_id": NASTY, "question": NASTY, "question_type": NASTY, "answers": answers}
    other = question | {"question_id": "2", "question_type": "plain"}
    truth.write_text(json.dumps([question, other]))
    rows = [{"question_id": NASTY, "answer": "\ud800" + NASTY}, {"question_id": "2", "answer": NASTY}]
    predictions.write_text(json.dumps(rows))
    score = score_vqa(truth, predictions)
    write_score(tmp_path / "a<i>run", score, {"truth": truth, "predictions": predictions}, command=f"x '{NASTY}'")
    page = write_report([tmp_path / "a<i>run"], tmp_path / "page.html")
    text = page.read_text("utf-8")
    assert "alert(1)</script>" not in text
    assert "<img src=x" not in text
    assert "a<i>run" not in text
    assert galleries(page)[0]["items"][0]["prompt"] == NASTY
    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)""", text)
    assert all(source.startswith("#") for source in sources), sources


def test_a_detector_has_a_card_a_picture_with_every_box(shared_data: Path, tmp_path: Path) -> None:
    truth = shared_data / "coco-mini/annotations/instances_val2017.json"
    predictions = shared_data / "coco-mini/predictions/fastestdet_val2017.json"
    write_score(
        tmp_path / "det", score_coco(truth, predictions, replicates=20), {"truth": truth, "predictions": predictions}
    )
    page = write_report([tmp_path / "det"], tmp_path / "page.html", images=shared_data / "coco-mini/val2017")
    [gallery] = galleries(page)
    content = json.loads(truth.read_text("utf-8"))
    assert len(gallery["items"]) == len(gallery["pictures"]) == 79
    assert sum(len(item["answers"][0]["predicted"]) for item in gallery["items"]) == len(
        json.loads(predictions.read_text("utf-8"))
    )
    drawn = sum(len(item["true"]) for item in gallery["items"])
    distinct = {(row["image_id"], row["category_id"], *row["bbox"]) for row in content["annotations"]}
    assert drawn == len(distinct)
    styles = {box[5] for item in gallery["items"] for box in item["true"]}
    assert styles == {"true", "ignored"}  # crowds are ignored
    assert 0 < gallery["floor"] < 1


def test_the_threshold_of_best_f1_by_hand() -> None:
    """Two objects; right at .9, wrong at .8, right at .7, wrong at .2: F1 is .67, .5, .8, .67 down to each."""

    def detection(k: int, score: float, right: bool) -> Item:
        shown = {"name": "cup", "box": (0, 0, 1, 1), "score": score}
        reason = "found" if right else "background"
        counts = {"detections": 1.0, reason: 1.0, "iou": 0.0} | ({"objects": 1.0} if right else {})
        return Item(f"1/detection/{k}", "1", shown, shown, shown if right else None, counts, slices={"reason": reason})

    items = tuple(detection(k, *one) for k, one in enumerate([(0.9, True), (0.8, False), (0.7, True), (0.2, False)]))
    assert best_threshold(run_of(Score("coco-bbox", "COCO", (), items))) == 0.7


def test_a_small_page_still_has_every_cause(two_runs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.report.score_gallery.MAX_CARDS", 2)
    gallery = score_gallery(read_runs(two_runs), None, 10, 10**6)
    assert (gallery.shown, gallery.total) == (2, 40)
    causes = {error[1] for item in gallery.items for answer in item["answers"] for error in answer["errors"]}
    assert causes == {"denied", "yes-bias"}


def test_what_does_not_fit_on_one_page_is_refused(two_runs: list[Path], tmp_path: Path) -> None:
    vqa = [{"question_id": 1, "image_id": 1, "answers": ["a"] * 10}]
    (tmp_path / "gt.json").write_text(json.dumps(vqa))
    (tmp_path / "vqa.json").write_text(json.dumps([{"question_id": 1, "answer": "b"}]))
    write_score(tmp_path / "vqa", score_vqa(tmp_path / "gt.json", tmp_path / "vqa.json"), {})
    with pytest.raises(RunError, match="one task, and these runs are of pope, vqa"):
        write_report([two_runs[0], tmp_path / "vqa"], tmp_path / "page.html")
    (tmp_path / "examined").mkdir()
    (tmp_path / "examined" / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match="don't fit on one page"):
        write_report([two_runs[0], tmp_path / "examined"], tmp_path / "page.html")
    failed = CliRunner().invoke(app, ["report", str(tmp_path / "nothing")])
    assert failed.exit_code == 1
    twice = CliRunner().invoke(app, ["report", str(two_runs[0]), str(two_runs[0]), "-o", str(tmp_path / "page.html")])
    assert twice.exit_code == 1


def test_the_page_says_how_to_make_it_again_and_what_doctor_finds(two_runs: list[Path], tmp_path: Path) -> None:
    text = write_report(two_runs, tmp_path / "page.html").read_text("utf-8")
    for command in ("chiasm a b", f"chiasm compare {two_runs[0]}", f"chiasm errors {two_runs[1]}", "chiasm doctor"):
        assert command in text
    assert "40 records" in text
    (tmp_path / "eager.jsonl").unlink()
    assert "no longer there" in write_report(two_runs, tmp_path / "page.html").read_text("utf-8")


def test_five_thousand_scored_samples_fit_the_budget(tmp_path: Path) -> None:
    random.seed(0)
    for k in range(250):
        Image.effect_noise((320, 240), 40).convert("RGB").save(tmp_path / f"{k}.jpg")
    said = ["a dog", "two red cars", "nothing", "phone", "3"]
    truth = [
        {"question_id": k, "image_id": str(k % 250), "question": f"What is number {k} of the things in this picture?",
         "question_type": said[k % 3], "answers": [{"answer": random.choice(said), "answer_id": i} for i in range(10)]}
        for k in range(5000)
    ]  # fmt: skip
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    predictions = [{"question_id": k, "answer": random.choice(said)} for k in range(5000)]
    (tmp_path / "pred.json").write_text(json.dumps(predictions))
    inputs = {"truth": tmp_path / "gt.json", "predictions": tmp_path / "pred.json"}
    write_score(tmp_path / "run", score_vqa(inputs["truth"], inputs["predictions"]), inputs)
    start = time.process_time()  # of this process alone, so that a busy machine does not fail the test
    page = write_report([tmp_path / "run"], tmp_path / "page.html", images=tmp_path)
    assert time.process_time() - start < 5
    assert page.stat().st_size < 25_000_000
    [gallery] = galleries(page)
    assert (len(gallery["items"]), len(gallery["pictures"])) == (5000, 250)


SCRIPT = """
<script>
const gallery = document.querySelector(".gallery"), seen = {};
const count = () => parseInt(gallery.querySelector(".count").textContent.replace(",", ""));
const press = (name, value) => gallery.querySelector(`[data-filter="${name}"][data-value="${value}"]`).click();
seen.first = count();
press("run", 1); seen.second = count();
press("kind", "hallucination"); seen.hallucination = count();
press("kind", ""); press("outcome", "differ"); seen.differ = count();
const search = gallery.querySelector("input[type=search]");
search.value = "a dog"; search.dispatchEvent(new Event("input")); seen.searched = count();
search.value = ""; search.dispatchEvent(new Event("input"));
document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true }));
seen.slash = document.activeElement === search;
const cards = gallery.querySelectorAll(".card");
cards[0].focus();
cards[0].dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
seen.walked = document.activeElement === cards[1];
seen.csv = csvOf([["a,b", 'c"d', "=1+2", "-0.5", "-x", "two\\nlines"]]);
const table = document.querySelector('table[data-name="scores"]');
const firsts = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[1].dataset.value));
table.tHead.rows[0].cells[1].querySelector("button").click(); seen.falling = firsts();
table.tHead.rows[0].cells[1].querySelector("button").click(); seen.rising = firsts();
seen.sort = table.tHead.rows[0].cells[1].getAttribute("aria-sort");
seen.saves = document.querySelectorAll(".save").length - document.querySelectorAll("table.sortable").length;
document.body.append(element("pre", { id: "seen", text: JSON.stringify(seen) }));
</script>
"""


def test_the_page_filters_sorts_and_saves_in_a_browser(two_runs: list[Path], tmp_path: Path) -> None:
    seen = in_browser(write_report(two_runs, tmp_path / "page.html"), SCRIPT, tmp_path)
    assert (seen["first"], seen["second"], seen["hallucination"]) == (3, 12, 12)
    assert seen["differ"] == 13  # 2 denied by the first, 12 affirmed by the second, of which the first shares one
    assert seen["searched"] == 5  # of the questions on dogs, 0 to 7: 0 and 2 denied, 3, 5 and 7 affirmed
    assert seen["slash"]
    assert seen["walked"]
    assert seen["csv"] == '"a,b","c""d",\'=1+2,-0.5,\'-x,"two\nlines"\r\n'
    assert seen["falling"] == sorted(seen["falling"], reverse=True)
    assert seen["rising"] == seen["falling"][::-1] or seen["rising"] == sorted(seen["rising"])
    assert seen["sort"] == "ascending"
    assert seen["saves"] == 0


def test_a_page_has_no_part_without_content(tmp_path: Path) -> None:
    """Features have no items, faults or slices; of preferences the win rates are there by system alone."""
    score = Score("features", "given features", (Value("fid", 4.0, 200),), ())
    truth = tmp_path / "real.npy"
    truth.write_bytes(b"\x93NUMPY")
    write_score(tmp_path / "fid", score, {"truth": truth, "predictions": truth})
    page = write_report([tmp_path / "fid"], tmp_path / "page.html").read_text("utf-8")
    for part in ("<h3>What the faults cost", "<h3>Gallery", "<h3>Data quality", "of 0 pictures"):
        assert part not in page
    pairs = "item,left,right,winner\n1,a,b,a\n2,a,b,b\n3,b,a,a\n"
    (tmp_path / "p.csv").write_text(pairs)
    preferred = score_preferences(tmp_path / "p.csv")
    write_score(tmp_path / "people", preferred, {"file": tmp_path / "p.csv"})
    tables = {(table.key, table.metric): dict(table.rows) for table in slice_tables(read_runs([tmp_path / "people"]))}
    assert {system: marks[0].text for system, marks in tables["system", "win_rate"].items()} == {
        "a": "0.667", "b": "0.333",
    }  # fmt: skip


def test_labels_with_numbers_stand_in_their_order() -> None:
    items = [Item(str(k), str(k), "", "", "", {"n": 1.0}, slices={"words": label}) for k, label in enumerate(
        ("10 or more", "2 to 4", "1 word")
    )]  # fmt: skip
    assert [where[1] for where, _ in parts(items, ["words"]) if where] == ["1 word", "2 to 4", "10 or more"]
