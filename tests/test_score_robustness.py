import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chiasm.data.images import open_image
from chiasm.errors import ConfigError, DataError, ImageError
from chiasm.score.measure import Measure, ratio
from chiasm.score.result import Item, Score
from chiasm.score.robustness import paired
from chiasm.score.robustness.given_scores import MEAN_SCORE, read_given_scores
from chiasm.score.robustness.perturb import GREY, blank, blur, occlude, perturb_folder, shuffled_options

PICTURE = np.random.default_rng(0).integers(0, 120, size=(60, 90, 3)).astype(np.uint8)


def run(path: Path, rows: list[dict[str, Any]]) -> Score:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return read_given_scores(path)


def score_robustness(clean: Score, perturbed: dict[str, Score]) -> dict[tuple[str, str | None], Any]:
    """Values by metric and perturbation."""
    score = paired.score_robustness(clean, perturbed, "score", MEAN_SCORE)
    return {(value.metric, value.slice and value.slice[1]): value for value in score.values}


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
    expected = {"perturbed": 0.4, "drop": 0.6, "flip_rate": 0.6, "lost": 0.6, "gained": 0}
    assert found["clean", None].value == 1
    for metric, value in expected.items():
        assert found[metric, "blur"].value == pytest.approx(value), metric
    # Six losses and no win of a fair coin: 2 / 2^6; times 2 by Holm for two perturbations.
    assert found["p_adjusted", "blur"].value == pytest.approx(4 / 64)
    assert found["drop", "none"].value == 0
    assert found["drop", "none"].ci_low is None
    assert found["p_adjusted", "none"].value == 1


def test_flips_show_where_scores_hide_them(tmp_path: Path) -> None:
    # As many gained as lost: no drop, but every answer moved. An answer unparsed in one run alone has moved too.
    clean = run(tmp_path / "c.jsonl", [{"id": i, "score": i % 2, "answer": "yes"} for i in range(8)])
    other = run(tmp_path / "o.jsonl", [{"id": i, "score": 1 - i % 2, "answer": None if i else "no"} for i in range(8)])
    found = score_robustness(clean, {"paraphrase": other})
    values = {metric: value.value for (metric, _), value in found.items()}
    assert values == {
        "clean": 0.5, "perturbed": 0.5, "drop": 0, "p_adjusted": 1, "flip_rate": 1, "lost": 0.5, "gained": 0.5,
    }  # fmt: skip


def test_runs_without_answers_have_no_flip_rate(tmp_path: Path) -> None:
    clean = run(tmp_path / "c.jsonl", [{"id": i, "score": 0.5} for i in range(8)])
    metrics = {metric for metric, _ in score_robustness(clean, {"blank": clean})}
    assert metrics == {"clean", "perturbed", "drop", "p_adjusted", "lost", "gained"}


def test_questions_of_one_image_are_one_piece_of_evidence(tmp_path: Path) -> None:
    def rows(score: float) -> list[dict[str, Any]]:
        return [{"id": i, "image": f"p{i // 20}", "score": score if i < 60 else 1} for i in range(100)]

    found = score_robustness(run(tmp_path / "c.jsonl", rows(1)), {"blur": run(tmp_path / "b.jsonl", rows(0))})
    # 60 lost answers, but on 3 of 5 pictures: at best 2 of the 2^3 ways to sign them are as large.
    assert found["p_adjusted", "blur"].value > 0.2


def counted(name: str, **sums: list[float]) -> Score:
    items = [
        Item(str(i), str(i), None, f"{name}{i}", None, {key: column[i] for key, column in sums.items()})
        for i in range(len(next(iter(sums.values()))))
    ]
    return Score("task", "", (), tuple(items))


def test_a_metric_to_be_low_drops_when_it_rises() -> None:
    clean = counted("a", wrong=[0, 0, 1, 0, 0, 0], items=[1] * 6)
    worse = counted("b", wrong=[1, 1, 0, 1, 1, 0], items=[1] * 6)
    score = paired.score_robustness(clean, {"blur": worse}, "error", ratio("wrong", "items", "lower"))
    values = {value.metric: value for value in score.values}
    assert values["drop"].value == pytest.approx(4 / 6 - 1 / 6)
    assert values["drop"].ci_low < values["drop"].value < values["drop"].ci_high  # type: ignore[operator]
    assert (values["lost"].value, values["gained"].value) == (pytest.approx(4 / 6), pytest.approx(1 / 6))
    with pytest.raises(ConfigError, match="does not rank"):
        paired.score_robustness(clean, {"blur": worse}, "error", ratio("wrong", "items", None))


def test_only_items_that_the_metric_counts_are_compared() -> None:
    # Of six items two are of another task, where the answers change too.
    clean = counted("a", right=[1, 1, 1, 1, 0, 0], asked=[1, 1, 1, 1, 0, 0])
    other = counted("b", right=[0, 1, 1, 1, 0, 0], asked=[1, 1, 1, 1, 0, 0])
    values = {v.metric: v for v in paired.score_robustness(clean, {"x": other}, "acc", ratio("right", "asked")).values}
    assert (values["drop"].value, values["drop"].n) == (0.25, 4)
    assert values["flip_rate"].n == values["lost"].n == 4


def test_items_are_not_lost_or_gained_by_a_metric_that_is_no_mean() -> None:
    f1 = Measure(lambda sums: 2 * sums["tp"] / (sums["said"] + sums["true"]), "items")
    clean = counted("a", tp=[1, 1, 0, 0], said=[1, 1, 0, 0], true=[1, 1, 0, 0], items=[1] * 4)
    # A false alarm on an item that had nothing to score: F1 falls, the item's own does not.
    alarm = counted("b", tp=[1, 1, 0, 0], said=[1, 1, 1, 0], true=[1, 1, 0, 0], items=[1] * 4)
    metrics = {v.metric: v.value for v in paired.score_robustness(clean, {"x": alarm}, "f1", f1).values}
    assert metrics["drop"] == pytest.approx(1 - 4 / 5)
    assert not {"lost", "gained"} & metrics.keys()


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
    fewer = run(tmp_path / "b.jsonl", [{"id": i, "score": 1} for i in range(6)])
    score = paired.score_robustness(clean, {"blur": fewer}, "score", MEAN_SCORE)
    assert "2 items" in score.notes[0]
    assert score.notes[1].startswith("blur: score 1 without and 1 with it on 6 items of 6 images; p = 1 by")


def test_a_folder_is_perturbed_under_its_own_names(tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    for name in ("a.png", "sub/b.jpg", "sub/c.webp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PICTURE).save(folder / name)
    assert perturb_folder(folder, out, "occlude", 0.5) == 3
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == ["a.png", "sub/b.jpg", "sub/c.webp"]
    assert (np.asarray(open_image(out / "a.png")) == np.asarray(occlude(PICTURE, "a.png", 0.5))).all()
    perturb_folder(folder, out, "blank")
    assert (np.asarray(open_image(out / "sub/c.webp")) == GREY).all()
    with pytest.raises(ConfigError, match="no strength"):
        perturb_folder(folder, out, "blank", 0.5)
    with pytest.raises(ConfigError, match="no folder"):
        perturb_folder(folder / "a.png", out, "blur")
    with pytest.raises(ConfigError, match="one another"):
        perturb_folder(folder, folder / "blurred", "blur")
