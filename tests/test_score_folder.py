import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chiasm.errors import DataError, RunError
from chiasm.score.bootstrap import summarise
from chiasm.score.measure import ratio
from chiasm.score.result import Item, Score
from chiasm.score.score_folder import read_score, write_score
from chiasm.types import Box

ITEMS = (
    Item("1", "a", "Yes.", True, "yes", {"right": 1.0, "asked": 1.0}, "first word", None, {"split": "random"}),
    Item("2", "a", "U+2028 \u2028 \r and \ud83d", None, "no", {"right": 0.0, "asked": 1.0}, "none", "neither", {}),
)
VALUES = summarise(ITEMS, {"accuracy": ratio("right", "asked")}, ["split"])
SCORE = Score("a task of its own", "official", VALUES, ITEMS, ("1 answer could not be parsed",))


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "predictions.json"
    path.write_text("[]")
    return {"predictions": path}


def test_a_score_comes_back_as_it_was(tmp_path: Path, inputs: dict[str, Path]) -> None:
    write_score(tmp_path / "run", SCORE, inputs, {"split": "random"})
    assert read_score(tmp_path / "run") == SCORE
    empty = Score("pope", "official", (), ())
    write_score(tmp_path / "empty", empty, inputs)
    assert read_score(tmp_path / "empty") == empty


def test_the_files_say_what_the_house_plan_asks(tmp_path: Path, inputs: dict[str, Path]) -> None:
    write_score(tmp_path / "run", SCORE, inputs)
    manifest, summary = (
        json.loads((tmp_path / "run" / f"{name}.json").read_text()) for name in ("manifest", "summary")
    )
    # sha256 of the two characters "[]", by sha256sum
    assert manifest["inputs"]["predictions"] == {
        "sha256": "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
        "bytes": 2,
    }
    assert (summary["items"], summary["images"], summary["unparsed"]) == (2, 1, 1)
    assert summary["metrics"][1]["slice"] == {"split": "random"}
    assert len((tmp_path / "run" / "samples.jsonl").read_bytes().splitlines()) == 2


def test_what_scorers_put_into_items_is_written_plainly(tmp_path: Path, inputs: dict[str, Path]) -> None:
    item = Item("1", "a", np.float32(0.5), Box(0, 1, 2, 3), np.array([1, 2]), {"iou": np.float64(0.25)})
    write_score(tmp_path / "run", Score("refcoco", "", (), (item,)), inputs)
    (back,) = read_score(tmp_path / "run").items
    assert (back.prediction, back.truth, back.statistics) == (0.5, [1, 2], {"iou": 0.25})
    assert back.parsed == {"x1": 0, "y1": 1, "x2": 2, "y2": 3}


@pytest.mark.parametrize("bad", [float("nan"), object()])
def test_what_can_not_be_written_leaves_no_trace(bad: object, tmp_path: Path, inputs: dict[str, Path]) -> None:
    with pytest.raises(RunError, match="item '1' can't be written as JSON"):
        write_score(tmp_path / "run", replace(SCORE, items=(replace(ITEMS[0], parsed=bad),)), inputs)
    assert not (tmp_path / "run").exists()


def test_the_same_inputs_may_be_scored_again_and_others_not(tmp_path: Path, inputs: dict[str, Path]) -> None:
    write_score(tmp_path / "run", SCORE, inputs)
    (tmp_path / "run" / "report.html").write_text("kept")
    write_score(tmp_path / "run", replace(SCORE, notes=()), inputs)
    assert read_score(tmp_path / "run").notes == ()
    assert (tmp_path / "run" / "report.html").exists()
    inputs["predictions"].write_text("[ ]")
    with pytest.raises(RunError, match=r"holds another run \(other inputs\)"):
        write_score(tmp_path / "run", SCORE, inputs)
    assert read_score(tmp_path / "run").notes == ()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, inputs: dict[str, Path]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "samples.jsonl").write_text("theirs")
    with pytest.raises(RunError, match=r"but no manifest\.json"):
        write_score(tmp_path / "run", SCORE, inputs)
    with pytest.raises(RunError, match="is a file"):
        write_score(inputs["predictions"], SCORE, inputs)
    with pytest.raises(DataError, match="No such file"):
        write_score(tmp_path / "other", SCORE, {"predictions": tmp_path / "nothing.json"})
    assert (tmp_path / "run" / "samples.jsonl").read_text() == "theirs"


def test_an_unfinished_or_damaged_folder_is_never_read_in_part(tmp_path: Path, inputs: dict[str, Path]) -> None:
    run = tmp_path / "run"
    with pytest.raises(RunError, match=r"has no manifest\.json"):
        read_score(run)
    write_score(run, SCORE, inputs)
    whole = (run / "samples.jsonl").read_text()
    for damaged in (whole[:-20], whole.splitlines()[0] + "\n", "", '{"index": 1}\n{"index": 2}\n'):
        (run / "samples.jsonl").write_text(damaged)
        with pytest.raises(RunError, match="is damaged"):
            read_score(run)
    (run / "samples.jsonl").write_text(whole)
    (run / "summary.json").unlink()
    with pytest.raises(RunError, match=r"has no summary\.json"):
        read_score(run)


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_write_that_is_cut_off_leaves_no_score_and_can_be_done_again(
    written: int, tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_score(tmp_path / "run", SCORE, inputs)
    replaced = 0

    def cut_off(source: Path, target: Path) -> None:
        nonlocal replaced
        if replaced == written:
            raise KeyboardInterrupt
        replaced += 1
        Path(source).replace(target)

    with monkeypatch.context() as patch:
        patch.setattr("chiasm.score.score_folder.os.replace", cut_off)
        for folder in ("run", "new"):
            replaced = 0
            with pytest.raises(KeyboardInterrupt):
                write_score(tmp_path / folder, SCORE, inputs)
    for folder in ("run", "new"):
        with pytest.raises(RunError, match=r"has no .*summary\.json"):
            read_score(tmp_path / folder)
        write_score(tmp_path / folder, SCORE, inputs)
        assert read_score(tmp_path / folder) == SCORE
