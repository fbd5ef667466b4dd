"""Ratings and preferences of people: import, agreement, strengths, calibration, aspects."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.errors import DataError
from chiasm.score.judgement.agreement import Level, score_ratings
from chiasm.score.judgement.aspects import aspect_table
from chiasm.score.judgement.bradley_terry import bradley_terry, score_preferences
from chiasm.score.judgement.calibration import calibrated_mean
from chiasm.score.judgement.preference_files import Preference, read_preferences
from chiasm.score.judgement.ratings import Rating, read_ratings
from chiasm.score.result import Score, Value

NAN = np.nan
# The worked example of Krippendorff 2011, section C: four observers, twelve units, missing values.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)


def alpha_of(values: np.ndarray, level: Level) -> float | None:
    """Krippendorff's alpha of a table (raters, units), NaN where a rater skipped a unit."""
    ratings = [
        Rating(item=str(unit), system="", rater=str(rater), value=float(values[rater, unit]))
        for rater, unit in np.argwhere(~np.isnan(values))
    ]
    return next(value.value for value in score_ratings(ratings, level).values if value.metric == "alpha")


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_equals_the_published_example(level: Any, alpha: float) -> None:
    assert alpha_of(PUBLISHED, level) == pytest.approx(alpha, abs=5e-4)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(2, 8), st.sampled_from(["nominal", "ordinal", "interval"]))
def test_alpha_equals_the_krippendorff_package(seed: int, raters: int, units: int, level: Any) -> None:
    package = pytest.importorskip("krippendorff")
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 5, size=(raters, units)).astype(float)
    values[rng.random(values.shape) < 0.2] = NAN
    paired = values[:, (~np.isnan(values)).sum(axis=0) >= 2]
    if len(np.unique(paired[~np.isnan(paired)])) < 2:
        assert alpha_of(values, level) is None
    else:
        assert alpha_of(values, level) == pytest.approx(package.alpha(values, level_of_measurement=level))


def test_alpha_at_its_landmarks() -> None:
    assert alpha_of(np.array([[1.0, 2, 3], [1, 2, 3]]), "nominal") == pytest.approx(1)
    # Two raters who always disagree: Do = 1, De = 2 * 2 * 2 / (4 * 3) = 2/3, so 1 - 3/2.
    assert alpha_of(np.array([[1.0, 2], [2, 1]]), "nominal") == pytest.approx(-0.5)
    assert alpha_of(np.array([[1.0, NAN], [NAN, 2.0]]), "ordinal") is None


def test_strengths_of_two_systems_are_the_log_odds() -> None:
    # 30 wins against 10: odds 3, so strengths +- log(3) / 2.
    strengths = bradley_terry(np.array([[0, 30], [10, 0]]))
    assert strengths == pytest.approx([np.log(3) / 2, -np.log(3) / 2])


def test_strengths_reproduce_how_often_each_system_wins() -> None:
    # At the likelihood's maximum, expected wins equal observed ones.
    wins = np.random.default_rng(0).integers(1, 20, size=(3, 5, 5)).astype(float)
    wins[:, range(5), range(5)] = 0
    strengths = bradley_terry(wins)
    chance = 1 / (1 + np.exp(strengths[:, None, :] - strengths[:, :, None]))
    expected = (chance * (wins + wins.swapaxes(1, 2))).sum(axis=2)
    assert expected == pytest.approx(wins.sum(axis=2), rel=1e-6)
    assert strengths.sum(axis=1) == pytest.approx(np.zeros(3), abs=1e-9)


def test_an_undefeated_system_has_no_finite_strength() -> None:
    assert np.isnan(bradley_terry(np.array([[0, 5, 5], [0, 0, 3], [0, 2, 0]]))).all()
    rows = [Preference(str(i), "r", "best", "other", "best") for i in range(9)]
    score = score_preferences(rows)
    values = {(v.metric, v.slice and v.slice[1]): v.value for v in score.values}
    assert values["strength", "best"] is None
    assert values["win_rate", "best"] == 1
    assert "best never lost to" in score.notes[0]
    with pytest.raises(DataError, match="no preferences"):
        score_preferences([])


def test_the_interval_of_a_strength_covers_it() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for seed in range(300):
        rows = [Preference(str(i), "r", "a", "b", "a" if rng.random() < 0.7 else "b") for i in range(80)]
        value = next(v for v in score_preferences(rows, replicates=200, seed=seed).values if v.slice == ("system", "a"))
        assert value.ci_low is not None
        covered += value.ci_low <= np.log(0.7 / 0.3) / 2 <= value.ci_high  # type: ignore[operator]
    assert 0.92 <= covered / 300 <= 0.98


def test_ties_count_half_and_the_left_side_is_watched() -> None:
    rows = [Preference(str(i), "r", "a", "b", w) for i, w in enumerate(["a", "a", "a", "b", None, None])]
    values = {(v.metric, v.slice and v.slice[1]): v for v in score_preferences(rows).values}
    assert values["win_rate", "a"].value == pytest.approx(4 / 6)
    assert values["win_rate", "b"].value == pytest.approx(2 / 6)
    assert values["strength", "a"].value == pytest.approx(np.log(2) / 2)
    assert values["strength", "a"].n == 6
    assert values["left_share", None].value == pytest.approx(3 / 4)


def test_ratings_come_from_csv_and_json_lines_alike(tmp_path: Path) -> None:
    rows = [
        {"item": "é\n1", "rater": "ann", "rating": 4, "system": "x"}, {"item": 2, "rater": "ann", "rating": None},
        {"item": 2, "rater": "bob", "rating": 2.5},
    ]  # fmt: skip
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "r.csv").write_bytes(
        '\ufeffitem,rater,rating,system\r\n"é\n1",ann,4,x\r\n2,ann,,\r\n2,bob,2.5,\r\n'.encode()
    )
    expected = [Rating("é\n1", "ann", 4, "x"), Rating("2", "bob", 2.5)]
    assert read_ratings(tmp_path / "r.jsonl") == expected
    assert read_ratings(tmp_path / "r.csv") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item,rater,rating\na,b,good\n", "entry 1.*'good'"), ("item,rater,rating\na,b,nan\n", "entry 1.*'nan'"),
        ("item,rater,rating\na,b,1\na,b,2\n", "entry 2.*second rating"),
        ("item,rater,rating\na,b\n", "line 2.*2 cells"),
        ("item,rater\na,b\n", "no 'rating'"), ("item,rater,rating\n,b,1\n", "entry 1.*'item'"),
        ("item,rater,rating\n", "no ratings"), ('item,rater,rating\n"a,b,1\n', "not readable as a table"),
    ],
)  # fmt: skip
def test_bad_ratings_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_ratings(path)


def test_preferences_name_their_winner(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("item,left,right,winner\n1,a,b,left\n2,a,b,b\n3,b,a,tie\n")
    assert [row.winner for row in read_preferences(path).rows] == ["a", "b", None]
    for row, message in [("1,a,b,c", "'c'"), ("1,a,a,a", "between two systems"), ("1,a,b,", "winner is ''")]:
        path.write_text(f"item,left,right,winner\n{row}\n")
        with pytest.raises(DataError, match=message):
            read_preferences(path)


def test_pick_a_pics_own_rows(tmp_path: Path) -> None:
    rows = [
        {"caption": "a cat", "model_0": "x", "model_1": "y", "label_0": 1.0, "label_1": 0.0, "user_id": 7},
        {"caption": "a cat", "model_0": "y", "model_1": "x", "label_0": 0.5, "label_1": 0.5, "user_id": 8},
        {"caption": "a dog", "model_0": "x", "model_1": "x", "label_0": 0.0, "label_1": 1.0, "user_id": 8},
        {"caption": "a dog", "model_0": "x", "model_1": "y", "label_0": 0, "label_1": 0, "has_label": False},
    ]
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    found = read_preferences(path)
    assert found.rows == (Preference("a cat", "7", "x", "y", "x"), Preference("a cat", "8", "y", "x", None))
    assert [note.rpartition(":")[2] for note in found.notes] == [" 1 rows.", " 1 pairs."]
    table = tmp_path / "p.csv"
    table.write_text("caption,model_0,model_1,label_0,label_1,has_label\na cat,x,y,1.0,0.0,True\nb,x,y,0,0,False\n")
    assert read_preferences(table).rows == (Preference("a cat", "", "x", "y", "x"),)
    path.write_text(json.dumps([rows[0] | {"label_0": 1, "label_1": 1}]))
    with pytest.raises(DataError, match=r"entry 1.*1 and 1"):
        read_preferences(path)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "p", "generations": ["x/1.png", "y/1.png", "z/1.png"], "ranking": [1, 3, 1], "id": "p"},
        {"prompt": "p", "image_path": ["1.png", "2.png", "3.png"], "rank": [0, 2, 0], "systems": ["x", "y", "z"]},
        {"prompt": "p", "image_path": ["x/1.png", "y/1.png", "z/1.png"], "human_preference": [1, 0, 1]},
    ],
)
def test_a_ranking_is_all_of_its_pairs(tmp_path: Path, row: dict[str, Any]) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps([row]))
    assert [(p.left, p.right, p.winner) for p in read_preferences(path).rows] == [
        ("x", "y", "x"), ("x", "z", None), ("y", "z", "z"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "p", "generations": ["1.png", "2.png"], "ranking": [1, 2]}, "which system made it"),
        ({"prompt": "p", "generations": ["x/1.png"], "ranking": [1, 2]}, "one length"),
        ({"prompt": "p", "generations": ["x/1.png", "y/1.png"], "ranking": [1, "?"]}, "expected numbers"),
        ({"prompt": "p", "image_path": ["1", "2"], "rank": [1, 2], "systems": ["x"]}, "'systems'"),
        ({"prompt": "p", "chosen": 1}, "'chosen'; expected item, left"),
    ],
)
def test_rankings_that_say_nothing_are_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps([row]))
    with pytest.raises(DataError, match=f"entry 1.*{message}"):
        read_preferences(path)


def test_mean_ratings_by_system_with_agreement() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for item in range(30):
        for system, shift in (("good", 2), ("bad", 0)):
            true = rng.integers(1, 4) + shift
            rows += [Rating(str(item), rater, float(true + (rng.random() < 0.2)), system) for rater in "abc"]
    values = {(v.metric, v.slice and v.slice[1]): v for v in score_ratings(rows).values}
    alpha = values["alpha", None]
    assert alpha.n == 60
    assert alpha.ci_low is not None
    assert 0.7 < alpha.ci_low < alpha.value < alpha.ci_high <= 1  # type: ignore[operator]
    assert values["mean_rating", "good"].ci_low > values["mean_rating", "bad"].ci_high  # type: ignore[operator]


def test_calibration_removes_a_judges_bias() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        people = rng.normal(3, 1, size=300)
        judge = people + 1.5 + rng.normal(0, 0.3, size=300)
        names = [str(i) for i in range(300)]
        value = calibrated_mean(dict(zip(names, judge, strict=True)), dict(zip(names[:60], people[:60], strict=True)))
        covered += value.ci_low <= 3 <= value.ci_high  # type: ignore[operator]
    assert 0.92 <= covered / 300 <= 0.98
    for judged, labelled in [({"a": 1.0}, {"b": 1.0}), ({"a": 1.0, "b": 2.0}, {"a": 1.0}), ({"a": NAN}, {})]:
        with pytest.raises(DataError):
            calibrated_mean(judged, labelled)


def test_aspects_keep_what_is_missing_visible() -> None:
    fid, faithful = Value("fid", 12.0, 10), Value("tifa", 0.8, 10)
    people = (Value("win_rate", 0.6, 5, slice=("system", "x")), Value("win_rate", 0.4, 5, slice=("system", "y")))
    blurred = Value("flip_rate", 0.3, 5, slice=("perturbation", "blur"))
    shared = Score("preferences", "", people, ())
    table = aspect_table(
        {"x": [Score("f", "", (fid, faithful), ()), shared], "y": [shared, Score("r", "", (blurred,), ())]}
    )
    assert table.rows == (
        ("alignment", "tifa"), ("realism", "fid"), ("robustness", "flip_rate[perturbation=blur]"),
        ("human preference", "win_rate"),
    )  # fmt: skip
    assert table.cells["human preference", "win_rate", "y"].value == 0.4
    assert table.cells["realism", "fid", "x"] is fid
    assert ("realism", "fid", "y") in table.missing()
    with pytest.raises(DataError, match="two values of fid"):
        aspect_table({"x": [Score("f", "", (fid, fid), ())]})
    with pytest.raises(DataError, match="two aspects"):
        aspect_table({}, {"a": ["fid"], "b": ["fid"]})
