"""Multiple choice under another order of its options: flips are of options, not of letters, and letters have a bias."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from chiasm.cli.app import app
from chiasm.errors import DataError
from chiasm.score.choice.mmbench import score_mmbench
from chiasm.score.choice.scienceqa import score_scienceqa
from chiasm.score.choice.seed import score_seed
from chiasm.score.measure import ratio
from chiasm.score.result import Item, Score
from chiasm.score.robustness.paired import score_robustness
from chiasm.score.robustness.rotations import score_rotations
from chiasm.score.robustness.shuffle_files import shuffle_options_file

SEED = {
    "questions": [
        {"question_id": n, "data_id": n, "question_type_id": 1, "answer": "ABCD"[n % 4], "question": "?"}
        | {f"choice_{letter}": f"{letter} of {n}" for letter in "abcd"}
        for n in range(12)
    ],
    "question_type": {"Scene": 1},
}
SCIENCE = {str(n): {"choices": ["x", "an x", "z"], "answer": n % 3, "split": "test"} for n in range(12)}
CIRCULAR = [
    {"index": number + step * 1_000_000, "image": str(number), "answer": "ABCD"[(number - step) % 4]}
    | {letter: f"{(place + step) % 4} of {number}" for place, letter in enumerate("ABCD")}
    for number in range(8)
    for step in range(4)
]
"""Eight questions; in pass 1 + s the option of place p is the one that was at p + s, so truth moves s places back."""


def numbers(score: Score) -> dict[tuple[str, str | None], float | None]:
    return {(value.metric, value.slice and value.slice[1]): value.value for value in score.values}


@pytest.mark.parametrize(("content", "scorer"), [(SEED, score_seed), (SCIENCE, score_scienceqa)])
def test_a_model_that_reads_its_options_survives_their_shuffle(tmp_path: Path, content: Any, scorer: Any) -> None:
    clean, shuffled = tmp_path / "q.json", tmp_path / "shuffled" / "q.json"
    clean.write_text(json.dumps(content))
    assert shuffle_options_file(clean, shuffled) == 12

    def answered(questions: Path, letter_of: Callable[[Item], str]) -> Score:
        said = tmp_path / "said.jsonl"
        said.write_text("\n".join(json.dumps({"question_id": n, "text": "A"}) for n in range(12)))
        rows = [{"question_id": item.id, "text": letter_of(item)} for item in scorer(questions, said).items]
        said.write_text("\n".join(map(json.dumps, rows)))
        return scorer(questions, said)

    def found(letter_of: Callable[[Item], str]) -> dict[tuple[str, str | None], float | None]:
        runs = answered(clean, letter_of), answered(shuffled, letter_of)
        return numbers(score_robustness(runs[0], {"shuffle": runs[1]}, "accuracy", ratio("right", "questions")))

    reader = found(lambda item: item.truth)
    assert (reader["drop", "shuffle"], reader["flip_rate", "shuffle"]) == (0, 0)
    assert all(reader["bias", letter] == 0 for letter in "ABC")
    # Whoever always says A names another option wherever the first one moved.
    always_a = found(lambda item: "A")
    firsts = [answered(path, lambda item: "A").items for path in (clean, shuffled)]
    moved = sum(one.options["A"] != other.options["A"] for one, other in zip(*firsts, strict=True))
    assert 0 < moved < 12
    assert always_a["flip_rate", "shuffle"] == pytest.approx(moved / 12)
    assert (always_a["chosen", "A"], always_a["chosen", "B"]) == (1, 0)


def circular(folder: Path, said: Callable[[dict[str, Any]], str], rows: list[dict[str, Any]] = CIRCULAR) -> Path:
    """A file with truth and answers in one."""
    path = folder / "circular.tsv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "prediction"], delimiter="\t")
        writer.writeheader()
        writer.writerows(row | {"prediction": said(row)} for row in rows)
    return path


def rotated(path: Path) -> dict[tuple[str, str | None], float | None]:
    return numbers(score_rotations(score_mmbench(path, path)))


def test_rotations_do_nothing_to_who_reads(tmp_path: Path) -> None:
    found = rotated(circular(tmp_path, lambda row: row["answer"]))
    assert (found["clean", None], found["consistency", None]) == (1, 1)
    for number in "234":
        assert (found["drop", f"pass {number}"], found["flip_rate", f"pass {number}"]) == (0, 0)
    for letter in "ABCD":
        assert (found["chosen", letter], found["right", letter], found["bias", letter]) == (0.25, 0.25, 0)


def test_rotations_show_who_always_says_a(tmp_path: Path) -> None:
    found = rotated(circular(tmp_path, lambda row: "A"))
    # Two of eight questions have their truth at A in any pass, never the same two: a flip each, but no drop.
    assert (found["clean", None], found["consistency", None]) == (0.25, 0)
    for number in "234":
        assert (found["drop", f"pass {number}"], found["flip_rate", f"pass {number}"]) == (0, 1)
        assert (found["lost", f"pass {number}"], found["gained", f"pass {number}"]) == (0.25, 0.25)
    assert [found["bias", letter] for letter in "ABCD"] == [0.75, -0.25, -0.25, -0.25]


def test_one_answer_that_is_lost_on_the_way(tmp_path: Path) -> None:
    # Question 3 is unparsed in pass 2 alone: a flip and a loss there, and one of eight is not consistent.
    found = rotated(circular(tmp_path, lambda row: "?" if row["index"] == 1_000_003 else row["answer"]))
    assert found["consistency", None] == pytest.approx(7 / 8)
    assert (found["flip_rate", "pass 2"], found["drop", "pass 2"]) == (1 / 8, 1 / 8)
    assert (found["flip_rate", "pass 3"], found["drop", "pass 3"]) == (0, 0)
    assert sum(found["chosen", letter] for letter in "ABCD") == pytest.approx(31 / 32)  # type: ignore[misc]


def test_fewer_options_are_in_fewer_passes(tmp_path: Path) -> None:
    two = [
        {"index": 100 + step * 1_000_000, "image": "100", "answer": "BA"[step], "A": "xy"[step], "B": "yx"[step]}
        | {"C": "", "D": ""}
        for step in range(2)
    ]
    path = circular(tmp_path, lambda row: row["answer"], CIRCULAR + two)
    score = score_rotations(score_mmbench(path, path))
    assert {value.slice[1]: value.n for value in score.values if value.metric == "drop" and value.slice} == {
        "pass 2": 9, "pass 3": 8, "pass 4": 8,
    }  # fmt: skip
    assert numbers(score)["consistency", None] == 1
    assert any("1 items of the clean run are not in pass 3" in note for note in score.notes)


def test_one_pass_has_nothing_to_compare(tmp_path: Path) -> None:
    path = circular(tmp_path, lambda row: row["answer"], [row for row in CIRCULAR if row["index"] < 1_000_000])
    with pytest.raises(DataError, match="one pass"):
        rotated(path)


def test_the_command_takes_a_run_of_mmbench_alone(tmp_path: Path) -> None:
    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["score", *map(str, arguments)])

    path, folder = circular(tmp_path, lambda row: "A"), tmp_path / "run"
    assert run("mmbench", "--gt", path, "--pred", path, "--out", folder).exit_code == 0
    result = run("robustness", folder, "--json", "--fail-if", "bias[letter=A]>0.1")
    assert result.exit_code == 1
    assert "bias is 0.7500" in result.stderr
    said = json.loads(result.stdout)
    assert said["task"] == "robustness"
    assert "MMBench are compared by their accuracy" in run("robustness", folder, "--metric", "f1").stderr
    blurred = run("robustness", folder, f"blur={folder}", "--json")
    assert json.loads(blurred.stdout)["dialect"].startswith("accuracy.circular of mmbench")
