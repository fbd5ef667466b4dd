"""Two detectors in COCO's own numbers: counts by hand, the level of the test by simulation, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from chiasm.errors import ConfigError, DataError
from chiasm.score.regions.coco import score_coco
from chiasm.score.regions.coco_compare import compare_coco

pytest.importorskip("faster_coco_eval")


def truth(folder: Path, images: int) -> Path:
    """One cup of 100 x 100 in each image."""
    path = folder / "truth.json"
    listed = [{"id": i, "width": 400, "height": 400} for i in range(images)]
    boxes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [0, 0, 100, 100], "area": 1e4} for i in range(images)]
    path.write_text(json.dumps({"images": listed, "categories": [{"id": 1, "name": "cup"}], "annotations": boxes}))
    return path


def results(path: Path, found: np.ndarray) -> Path:
    """A detection of score .9 where `found`, and one beside the cup elsewhere."""
    rows = [
        {"image_id": i, "category_id": 1, "bbox": [0 if hit else 200, 0, 100, 100], "score": 0.9 - 1e-4 * i}
        for i, hit in enumerate(found.tolist())
    ]
    path.write_text(json.dumps(rows))
    return path


def test_values_are_those_of_score_coco_and_counts_are_of_objects(tmp_path: Path) -> None:
    # 20 cups: both find 8, only the first 9, only the second 1, neither 2.
    first = np.array([1] * 8 + [1] * 9 + [0] + [0] * 2)
    second = np.array([1] * 8 + [0] * 9 + [1] + [0] * 2)
    known = truth(tmp_path, 20)
    files = {"A": results(tmp_path / "a.json", first), "B": results(tmp_path / "b.json", second)}
    found = compare_coco(known, files, metrics=["AP", "AP50"], permutations=200, replicates=200)
    assert [one.metric for one in found.differences] == ["AP", "AP50"]
    gap = found.differences[0].gap
    assert (gap.wins, gap.losses, gap.both_wrong, gap.items, gap.images) == (9, 1, 2, 20, 20)
    alone = [score_coco(known, path, replicates=0).values[0].value for path in files.values()]
    assert [gap.first_value, gap.second_value] == pytest.approx(alone)
    assert found.differences[0].verdict == "first better"
    assert gap.ci_low > 0


def test_swapping_the_names_swaps_the_sign_and_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    known = truth(tmp_path, 30)
    a, b = (results(tmp_path / f"{name}.json", rng.random(30) < share) for name, share in (("a", 0.8), ("b", 0.5)))
    one = compare_coco(known, {"a": a, "b": b}, metrics=["AP50"], permutations=300, replicates=300).differences[0].gap
    other = compare_coco(known, {"b": b, "a": a}, metrics=["AP50"], permutations=300, replicates=300).differences[0].gap
    assert one.difference == pytest.approx(-other.difference)
    assert (one.wins, one.losses, one.p) == (other.losses, other.wins, pytest.approx(other.p))
    assert [one.ci_low, one.ci_high] == pytest.approx([-other.ci_high, -other.ci_low])


def test_equal_detectors_are_never_ranked_and_equally_good_ones_rarely(tmp_path: Path) -> None:
    known = truth(tmp_path, 25)
    rng = np.random.default_rng(0)
    same = results(tmp_path / "same.json", rng.random(25) < 0.6)
    copy = tmp_path / "copy.json"
    copy.write_text(same.read_text())
    gap = (
        compare_coco(known, {"a": same, "b": copy}, metrics=["AP50"], permutations=100, replicates=10)
        .differences[0]
        .gap
    )
    assert (gap.difference, gap.p, gap.ci_low) == (0, 1, None)
    small = 0
    for _ in range(60):
        a, b = (results(tmp_path / f"{name}.json", rng.random(25) < 0.6) for name in "ab")
        found = compare_coco(known, {"a": a, "b": b}, metrics=["AP50"], permutations=99, replicates=2)
        small += found.differences[0].gap.p <= 0.1
    assert small <= 13  # of 60 at level .1: 6 expected, 13 or more come about once in 200 such tests


def test_what_is_refused(tmp_path: Path) -> None:
    known, path = truth(tmp_path, 3), results(tmp_path / "a.json", np.ones(3))
    with pytest.raises(DataError, match="two files of results or more"):
        compare_coco(known, {"a": path})
    with pytest.raises(ConfigError, match="no metric 'mAP'"):
        compare_coco(known, {"a": path, "b": path}, metrics=["mAP"])
