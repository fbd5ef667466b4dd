"""Every `chiasm score TASK` on the smallest files that it takes: its numbers, its run folder, its limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.score.score_folder import read_score

Files = Callable[..., str]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Writes a file by what it holds, arrays as .npy, pictures as PNG, all else as JSON, and returns its path."""

    def write(name: str, content: Any) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Image.Image):
            content.save(path)
        elif isinstance(content, np.ndarray):
            np.save(path, content)
        elif isinstance(content, str):
            path.write_text(content)
        else:
            path.write_text(json.dumps(content))
        return str(path)

    return write


def captions(files: Files) -> tuple[list[str], dict[str, float]]:
    truth, said = files("t.json", {"1": ["a red cup", "the cup"]}), files("s.json", {"1": "a red cup"})
    return ["captions", "--gt", truth, "--pred", said], {"bleu_1": 1.0, "rouge_l": 1.0}


def chair(files: Files) -> tuple[list[str], dict[str, float]]:
    instances = {
        "images": [{"id": 1}],
        "categories": [{"id": 3, "name": "robot"}, {"id": 4, "name": "cup"}],
        "annotations": [{"image_id": 1, "category_id": 4}],
    }
    words = files("w.json", {"robot": ["android"], "cup": []})
    said = files("s.json", {"1": "an android with two cups"})
    truth = files("i.json", instances)
    # Of two mentions, the android is not there; the reference has seen no more.
    rest = ["--references", files("r.json", {"1": ["a cup"]}), "--words", words]
    return ["chair", "--gt", truth, "--pred", said, *rest], {"chair_i": 0.5, "chair_s": 1.0, "recall": 1.0}


def clipscore(files: Files) -> tuple[list[str], dict[str, float]]:
    images, said = files("i.npy", np.eye(2)), files("s.npy", np.array([[0.6, 0.8], [0.0, 1.0]]))
    # Cosines .6 and 1; each is its own reference, so that the harmonic means are 2 * 1.5 / 2.5 and 2 * 2.5 / 3.5.
    expected = {"clipscore": 2.0, "ref_clipscore": (1.2 + 5 / 3.5) / 2}
    return ["clipscore", "--images", images, "--pred", said, "--gt", said], expected


def textvqa(files: Files) -> tuple[list[str], dict[str, float]]:
    """TextVQA's own file, with LLaVA's answers, which go by the image and the prompt."""
    rows = [
        {"question_id": 7, "image_id": "x", "question": "what brand?", "answers": ["Nokia"] * 10},
        {"question_id": 8, "image_id": "x", "question": "what time?", "answers": ["5:41"] * 2 + ["6"] * 8},
    ]
    said = [
        {"question_id": "x", "prompt": "what time?\nAnswer shortly.", "text": "5:41"},
        {"question_id": "x", "prompt": "What brand?\nAnswer shortly.", "text": "nokia"},
    ]
    lines = files("s.jsonl", "\n".join(map(json.dumps, said)))
    return ["textvqa", "--gt", files("t.json", {"data": rows}), "--pred", lines], {"accuracy": 0.8}


def infovqa(files: Files) -> tuple[list[str], dict[str, float]]:
    rows = {"data": [{"questionId": 4, "question": "Total?", "answers": ["12.50"], "answer_type": ["single span"]}]}
    said = [{"questionId": 4, "answer": "12.5O"}]
    return ["infovqa", "--gt", files("t.json", rows), "--pred", files("s.json", said)], {"anls": 0.8}


def mme(files: Files) -> tuple[list[str], dict[str, float]]:
    files("mme/color.txt", "a.jpg\tIs it red?\tYes\tyes\na.jpg\tIs it blue?\tNo\tyes\n")
    return [
        "mme",
        "--pred",
        str(Path(files("mme/count.txt", "b.jpg\tOne?\tYes\tyes\nb.jpg\tTwo?\tNo\tno\n")).parent),
    ], {"perception": 250.0}


def groups(files: Files) -> tuple[list[str], dict[str, float]]:
    table = "id,group,answer,prediction\n1,a,yes,Yes.\n2,a,no,yes\n3,b,no,no\n"
    return ["groups", "--pred", files("t.csv", table)], {"accuracy": 2 / 3, "accuracy.group": 0.5}


def winoground(files: Files) -> tuple[list[str], dict[str, float]]:
    rows = [
        {"id": 1, "c0_i0": 0.9, "c1_i0": 0.1, "c0_i1": 0.2, "c1_i1": 0.8},
        {"id": 2, "c0_i0": 0.9, "c1_i0": 0.1, "c0_i1": 0.95, "c1_i1": 0.99},
    ]
    expected = {"text_score": 1.0, "image_score": 0.5, "group_score": 0.5}
    return ["winoground", "--pred", files("t.json", rows)], expected


def sugarcrepe(files: Files) -> tuple[list[str], dict[str, float]]:
    rows = "id\tpositive\tnegative\ttype\n1\t.8\t.2\tswap-att\n2\t.5\t.5\tswap-obj\n"
    return ["sugarcrepe", "--pred", files("t.tsv", rows)], {"accuracy": 0.5}


def cross_modal(files: Files) -> tuple[list[str], dict[str, float]]:
    # Two pictures, three texts; the second picture's own text comes after a stranger's.
    matrix = np.array([[0.9, 0.8, 0.1], [0.3, 0.95, 0.4]])
    pairs, similarity = files("p.json", [0, 0, 1]), files("m.npy", matrix)
    expected = {"image_to_text.hit@1": 0.5, "image_to_text.hit@2": 1.0, "text_to_image.hit@1": 2 / 3}
    return ["cross-modal", "--gt", pairs, "--similarity", similarity, "--at", "1", "--at", "2"], expected


def cross_modal_of_embeddings(files: Files) -> tuple[list[str], dict[str, float]]:
    images, texts = files("i.npy", np.eye(2)), files("t.npy", np.array([[5.0, 1.0], [0.0, 0.1]]))
    return ["cross-modal", "--gt", files("p.json", [0, 1]), "--images", images, "--texts", texts], {
        "image_to_text.hit@1": 1.0,
        "text_to_image.mrr": 1.0,
    }


def similarity(files: Files) -> tuple[list[str], dict[str, float]]:
    e = np.eye(3)
    made, texts, sources = files("m.npy", e[1:2]), files("t.npy", e[1:2]), files("s.npy", e[:1])
    rest = ["--gt", files("g.npy", np.array([[0.0, 0.6, 0.8]])), "--sources", sources, "--source-texts", sources]
    expected = {"clip_t": 1.0, "clip_i": 0.6, "clip_i_source": 0.0, "direction": 1.0}
    return ["similarity", "--pred", made, "--texts", texts, *rest, "--ids", files("ids.json", ["a"])], expected


def edits(files: Files) -> tuple[list[str], dict[str, float]]:
    grey = np.full((20, 20, 3), 100, np.uint8)
    changed, mask = grey.copy(), np.zeros((20, 20), np.uint8)
    changed[:10], mask[:, :10] = 200, 255  # the upper half changed, the left half was asked for
    files("before/a.png", Image.fromarray(grey))
    files("after/a.png", Image.fromarray(changed))
    folder = Path(files("masks/a.png", Image.fromarray(mask))).parents[1]
    expected = {"iou": 1 / 3, "dice": 0.5, "inside": 0.5, "covered": 0.5}
    folders = ["--before", folder / "before", "--pred", folder / "after", "--gt", folder / "masks"]
    return ["edit", *map(str, folders)], expected


def compliance(files: Files) -> tuple[list[str], dict[str, float]]:
    low, high = float(np.log(0.2)), float(np.log(0.8))
    header = "id,wished,before_yes,before_no,after_yes,after_no,kept,kept_yes,kept_no"
    rows = [f"1,a red car,{low},{high},{high},{low},a road,{high},{low}", f"2,rain,{low},{high},{low},{high},,,"]
    table = files("t.csv", "\n".join([header, *rows]))
    return ["compliance", "--pred", table], {"compliance": 0.5, "gain": 0.3, "complied": 0.5, "kept": 0.8}


def vqascore(files: Files) -> tuple[list[str], dict[str, float]]:
    rows = [{"id": 1, "text": "a {red} car", "yes": float(np.log(0.6)), "no": float(np.log(0.2))}]
    return ["vqascore", "--pred", files("t.json", rows)], {"vqascore": 0.6, "vqascore_yes_over_no": 0.75}


def pictures(files: Files) -> tuple[list[str], dict[str, float]]:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path = Path(files("made/a.png", Image.fromarray(noise)))
    other = Path(files("true/a.png", Image.fromarray(noise)))
    return ["pictures", "--pred", str(path.parent), "--gt", str(other.parent)], {"ssim": 1.0}


TASKS = (
    captions, chair, clipscore, textvqa, infovqa, mme, groups, winoground, sugarcrepe, cross_modal,
    cross_modal_of_embeddings, similarity, edits, compliance, vqascore, pictures,
)  # fmt: skip


def run(*arguments: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(app, ["score", *arguments])


@pytest.mark.parametrize("case", TASKS, ids=lambda case: case.__name__)
def test_numbers_and_run_folder(case: Callable[..., Any], files: Files, tmp_path: Path) -> None:
    arguments, expected = case(files)
    result = run(*arguments, "--json", "--out", str(tmp_path / "run"))
    assert result.exit_code == 0, result.output
    printed = json.loads(result.output)
    found = {value["metric"]: value["value"] for value in printed["metrics"] if value["slice"] is None}
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    kept = read_score(tmp_path / "run")
    assert {value.metric: value.value for value in kept.values if value.slice is None} == found
    again = run(*arguments, "--out", str(tmp_path / "run"))
    assert again.exit_code == 0, "the same score may be written again"
    name = next(iter(expected))
    limited = run(*arguments, "--fail-if", f"{name}>=-1")
    assert limited.exit_code == 1
    assert f"{name} is" in limited.output


def test_a_changed_picture_is_another_run(files: Files, tmp_path: Path) -> None:
    """A folder among the inputs is known by all of its files."""
    arguments, _ = pictures(files)
    assert run(*arguments, "--out", str(tmp_path / "run")).exit_code == 0
    inputs = json.loads((tmp_path / "run" / "manifest.json").read_text())["inputs"]
    assert inputs["predictions"]["files"] == 1
    blank = Image.new("RGB", (32, 32))
    files("made/a.png", blank)
    files("true/a.png", blank)
    result = run(*arguments, "--out", str(tmp_path / "run"))
    assert result.exit_code == 1
    assert "holds another run (other inputs)" in result.output


def test_every_dialect_has_a_run_folder(files: Files, tmp_path: Path) -> None:
    rows = {"data": [{"question_id": 7, "image_id": "x", "answers": ["Nokia"] * 10}]}
    said = files("s.json", [{"question_id": 7, "answer": "nokia"}])
    result = run("textvqa", "--gt", files("t.json", rows), "--pred", said, "--dialects", "--out", str(tmp_path / "all"))
    assert result.exit_code == 0, result.output
    scores = {folder.name: read_score(folder).values[0].value for folder in (tmp_path / "all").iterdir()}
    assert scores["official"] == scores["vizwiz"] == 0
    assert scores["evalai"] == scores["lmms"] == 1


@pytest.mark.parametrize(
    "given",
    [
        ("cross-modal", "--gt", "p", "--images", "i"),
        ("cross-modal", "--gt", "p", "--similarity", "m", "--dot"),
        ("cross-modal", "--gt", "p"),
        ("clipscore", "--images", "i", "--pred", "s", "--model", "m", "--ids", "x"),
    ],
)
def test_options_that_do_not_go_together(given: tuple[str, ...]) -> None:
    assert run(*given).exit_code == 2


def test_java_tools_that_are_not_there(files: Files) -> None:
    arguments, _ = captions(files)
    for option, where in (("--meteor", "cs.cmu.edu"), ("--spice", "SPICE")):
        result = run(*arguments, option, "nowhere")
        assert result.exit_code == 1
        assert where in result.output


def test_log_probabilities_that_are_none(files: Files) -> None:
    table = files("t.csv", "id,text,yes,no\n1,a cup,-0.1,\n")
    result = run("vqascore", "--pred", table)
    assert result.exit_code == 1
    assert "id '1': expected two log-probabilities" in result.output.replace("\n", " ")


def test_every_task_is_listed_in_a_group() -> None:
    listed = run("--help").output
    for group in ("Captions", "Answers", "Yes or no", "Boxes and masks", "Retrieval", "Generated and edited"):
        assert group in listed
    assert "─ Commands" not in listed, "a task without a group"
