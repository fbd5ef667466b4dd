import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.errors import ConfigError, DataError, ImageError
from chiasm.score.result import Score
from chiasm.score.robustness.paired import read_run, score_robustness
from chiasm.score.robustness.perturb import GREY, blank, blur, occlude, shuffled_options

PICTURE = np.random.default_rng(0).integers(0, 120, size=(60, 90, 3)).astype(np.uint8)


def run(path: Path, rows: list[dict[str, Any]]) -> Score:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return read_run(path)


def test_occlusion_covers_its_share_and_depends_on_the_item_alone() -> None:
    covered = np.asarray(occlude(PICTURE, "a", 0.25))
    changed = (covered != PICTURE).any(axis=2)
    assert changed.mean() == pytest.approx(0.25, abs=0.02)
    assert (covered[changed] == GREY).all()
    assert (np.asarray(occlude(PICTURE, "a", 0.25)) == covered).all()
    assert any((np.asarray(occlude(PICTURE, name, 0.25)) != covered).any() for name in "bcd")
    assert (np.asarray(occlude(PICTURE, "a", 1)) == GREY).all()


def test_the_source_is_left_as_it_was() -> None:
    before = PICTURE.copy()
    occlude(PICTURE, "a")
    assert (before == PICTURE).all()


def test_blur_takes_detail_and_blank_takes_everything() -> None:
    assert np.asarray(blur(PICTURE, "a")).std() < PICTURE.std() / 2
    assert blur(PICTURE, "a").size == blank(PICTURE, "a").size == (90, 60)
    assert (np.asarray(blank(PICTURE, "a")) == GREY).all()
    with pytest.raises(ImageError, match="q7"):
        blank(b"", "q7")
    with pytest.raises(ConfigError):
        occlude(PICTURE, "a", 0)
    with pytest.raises(ConfigError):
        blur(PICTURE, "a", 0)


@given(st.integers(2, 8), st.text())
def test_options_come_in_another_order_of_themselves(n: int, item: str) -> None:
    options = [str(i) for i in range(n)]
    order = shuffled_options(options, item)
    assert sorted(order) == list(range(n))
    assert order != tuple(range(n))
    assert order == shuffled_options(options, item)


def test_one_option_cannot_be_shuffled() -> None:
    with pytest.raises(ConfigError, match="'q1' has 1"):
        shuffled_options(["a"], "q1")


def test_drop_flip_rate_and_test_by_hand(tmp_path: Path) -> None:
    # Ten items right at first. Blurred, six become wrong with another answer, one keeps its score but says it anew.
    clean = run(tmp_path / "c.jsonl", [{"id": i, "score": 1, "answer": "Cat"} for i in range(10)])
    rows = [{"id": str(i), "score": float(i >= 6), "answer": ("dog" if i < 6 else "the cat")} for i in range(10)]
    found = score_robustness(clean, {"blur": run(tmp_path / "b.jsonl", rows), "none": clean})
    values = {(v.metric, v.slice[1]): v.value for v in found.score.values if v.slice}
    assert values["drop", "blur"] == pytest.approx(0.6)
    assert values["flip_rate", "blur"] == pytest.approx(0.6)
    assert values["lost", "blur"] == pytest.approx(0.6)
    assert values["gained", "blur"] == 0
    # Six losses and no win of a fair coin: 2 / 2^6; times 2 by Holm for two perturbations.
    assert found.gaps["blur"].p == pytest.approx(2 / 64)
    assert found.p_adjusted["blur"] == pytest.approx(4 / 64)
    assert values["drop", "none"] == 0
    assert found.gaps["none"].p == 1


def test_flips_show_where_scores_hide_them(tmp_path: Path) -> None:
    # As many gained as lost: no drop, but every answer moved. An answer unparsed in one run alone has moved too.
    clean = run(tmp_path / "c.jsonl", [{"id": i, "score": i % 2, "answer": "yes"} for i in range(8)])
    other = run(tmp_path / "o.jsonl", [{"id": i, "score": 1 - i % 2, "answer": None if i else "no"} for i in range(8)])
    values = {v.metric: v.value for v in score_robustness(clean, {"paraphrase": other}).score.values}
    assert values == {"drop": 0, "flip_rate": 1, "lost": 0.5, "gained": 0.5}


def test_runs_without_answers_have_no_flip_rate(tmp_path: Path) -> None:
    clean = run(tmp_path / "c.jsonl", [{"id": i, "score": 0.5} for i in range(8)])
    metrics = {v.metric for v in score_robustness(clean, {"blank": clean}).score.values}
    assert metrics == {"drop", "lost", "gained"}


def test_questions_of_one_image_are_one_piece_of_evidence(tmp_path: Path) -> None:
    def rows(score: float) -> list[dict[str, Any]]:
        return [{"id": i, "image": f"p{i // 20}", "score": score if i < 60 else 1} for i in range(100)]

    found = score_robustness(run(tmp_path / "c.jsonl", rows(1)), {"blur": run(tmp_path / "b.jsonl", rows(0))})
    # 60 lost answers, but on 3 of 5 pictures: at best 2 of the 2^3 ways to sign them are as large.
    assert found.gaps["blur"].p > 0.2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": 1, "score": "1"}, "expected a number"), ({"id": 1}, "None"), ({"score": 1}, "no 'id'"),
        ({"id": 1, "score": float("nan")}, "nan"), ({"id": 0, "score": 1}, "second item"),
        ({"id": 1, "score": [1]}, "expected a number"),
    ],
)  # fmt: skip
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"line 2.*{message}"):
        run(tmp_path / "r.jsonl", [{"id": 0, "score": 1}, row])


def test_runs_that_do_not_belong_together(tmp_path: Path) -> None:
    clean = run(tmp_path / "c.jsonl", [{"id": i, "score": 1} for i in range(8)])
    with pytest.raises(DataError, match=r"blur.*no item in common"):
        score_robustness(clean, {"blur": run(tmp_path / "b.jsonl", [{"id": "x", "score": 1}, {"id": "y", "score": 1}])})
    with pytest.raises(DataError, match="no perturbed run"):
        score_robustness(clean, {})
    part = score_robustness(clean, {"blur": run(tmp_path / "b.jsonl", [{"id": i, "score": 1} for i in range(6)])})
    assert "2 items" in part.score.notes[0]
