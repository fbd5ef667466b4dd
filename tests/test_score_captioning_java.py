"""METEOR and SPICE beside the other caption numbers, on what the Java programs answered once."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from chiasm.errors import DataError
from chiasm.score.captioning import java_tools
from chiasm.score.captioning.bridges import Bridged
from chiasm.score.captioning.meteor import METEOR, meteor_statistics
from chiasm.score.captioning.score import score_captions
from chiasm.score.measures import measures_of

# Answers of meteor-1.5.jar, -l en -norm, to "SCORE ||| reference ||| hypothesis", and its score of each.
ANSWERS = {
    "the dogs ran quickly home / the dog ran fast home": (
        "5 5 1 1 2 2 1 1 1 1 0 0 0 0 0 0 1 1 0 0 1 5 5", 0.8153846153846153,
    ),
    "a cat / a cat": ("2 2 1 1 1 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 1 2 2", 1.0),
    "a man is riding a large horse / a person rides the big horse in a field": (
        "7 9 3 4 1 1 2 2 0 0 0 0 0 0 0 0 2 2 0 1 3 5 6", 0.23226862318762884,
    ),
    "the cars / the automobile": ("2 2 1 1 0 0 1 1 0 0 0 0 1 1 0 0 0 0 0 0 1 2 2", 0.85),
}  # fmt: skip
TOTAL = 0.3869034655776741
COUNTS = tuple(tuple(map(float, line.split())) for line, _ in ANSWERS.values())


def summed(rows: list[dict[str, float]]) -> dict[str, np.ndarray]:
    return {name: np.array(sum(row[name] for row in rows)) for name in rows[0]}


@pytest.mark.parametrize("case", ANSWERS)
def test_the_programs_own_score_of_each_caption(case: str) -> None:
    line, score = ANSWERS[case]
    statistics = meteor_statistics([float(number) for number in line.split()])
    assert float(METEOR.of(summed([statistics]))) == pytest.approx(score, abs=1e-12)


def test_the_programs_own_total() -> None:
    assert float(METEOR.of(summed([meteor_statistics(counts) for counts in COUNTS]))) == pytest.approx(TOTAL, abs=1e-12)


def test_nothing_matched_is_0_and_not_undefined() -> None:
    statistics = meteor_statistics([3.0, 4.0, 1.0, 1.0, *[0.0] * 19])
    assert float(METEOR.of(summed([statistics]))) == 0


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    pairs = [case.split(" / ") for case in ANSWERS]
    truth, said = tmp_path / "truth.json", tmp_path / "said.json"
    truth.write_text(json.dumps({f"{n}": [reference] for n, (_, reference) in enumerate(pairs)}))
    said.write_text(json.dumps({f"{n}": caption for n, (caption, _) in enumerate(pairs)}))
    return truth, said


def test_meteor_in_the_table(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    each = tuple(score for _, score in ANSWERS.values())
    monkeypatch.setattr(java_tools, "meteor", lambda *_: Bridged(TOTAL, each, COUNTS))
    score = score_captions(*files, meteor_jar="meteor-1.5.jar")
    found = {value.metric: value.value for value in score.values}
    assert found["meteor"] == pytest.approx(TOTAL)
    assert "meteor" in measures_of(score)
    assert not any("METEOR" in note for note in score.notes)


@pytest.mark.parametrize(
    ("answered", "message"),
    [(Bridged(0.5, (), COUNTS), "another version"), (Bridged(TOTAL, (), ((1.0,),) * 4), "23 numbers")],
)
def test_another_meteor_is_refused(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, answered: Bridged, message: str
) -> None:
    monkeypatch.setattr(java_tools, "meteor", lambda *_: answered)
    with pytest.raises(DataError, match=message):
        score_captions(*files, meteor_jar="meteor-1.5.jar")


def test_spice_leaves_out_what_it_cannot_compare(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spice(jar: Path, said: dict[str, str], truth: dict[str, list[str]]) -> Bridged:
        assert jar == tmp_path / "spice-1.0.jar"
        assert said["1"] == "a cat"
        assert truth["1"] == ["a cat"]
        return Bridged(0.0, (0.2, 0.6, math.nan, 0.1))

    monkeypatch.setattr(java_tools, "spice", spice)
    score = score_captions(*files, spice_folder=tmp_path)
    found = {value.metric: value for value in score.values}
    assert found["spice"].value == pytest.approx(0.3)
    assert found["spice"].n == 3
