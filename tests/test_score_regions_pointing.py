"""The pointing game by hand, and on broken files."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from chiasm.errors import DataError
from chiasm.score.measures import measures_of
from chiasm.score.regions.attribution import attribution_iou, energy_inside, pointed_at, read_map, region_cells
from chiasm.score.regions.pointing import distance_to, score_pointing
from chiasm.score.result import Score

MAP = np.array([[0.0, 1, 0, 0], [0, 4, 3, 0], [0, 0, 2, -5]])
REGION = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]], dtype=bool)


def test_maps_by_hand() -> None:
    assert pointed_at(MAP) == (1.5, 1.5)
    assert energy_inside(MAP, REGION) == pytest.approx(9 / 10)
    # The four largest cells are 4, 3, 2, 1; three of them are in the region of four: 3 / (4 + 4 - 3).
    assert attribution_iou(MAP, REGION) == pytest.approx(3 / 5)
    assert math.isnan(attribution_iou(MAP, np.zeros_like(REGION)))
    assert math.isnan(energy_inside(-np.ones((3, 4)), REGION))
    # Two equal peaks point between them.
    assert pointed_at(np.array([[1.0, 0, 1]])) == (1.5, 0.5)


@pytest.mark.parametrize("bad", [np.ones((3, 3)), np.zeros((0, 3)), np.array([[1.0, math.nan]]), np.zeros(4)])
def test_maps_that_point_nowhere(bad: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "map.npy", bad)
    with pytest.raises(DataError, match=r"map\.npy: .*(attribution map|points nowhere)"):
        read_map(tmp_path / "map.npy")
    with pytest.raises(DataError, match="no attribution map"):
        read_map(tmp_path / "none.npy")


def test_cells_of_a_region() -> None:
    # Four columns of 10 pixels and three rows of 20: centres at 5, 15, 25, 35 and 10, 30, 50.
    assert (region_cells({"bbox": [10, 20, 20, 40]}, 40, 60, (3, 4)) == REGION).all()
    square = {"segmentation": [[10, 20, 30, 20, 30, 60, 10, 60]]}
    pytest.importorskip("faster_coco_eval")
    assert (region_cells(square, 40, 60, (3, 4)) == REGION).all()


def test_distance_by_hand() -> None:
    # The region covers x 1..3 and y 1..3.
    assert distance_to((1.0, 3.0), REGION) == 0
    assert distance_to((5.0, 2.0), REGION) == 2
    assert distance_to((6.0, 7.0), REGION) == pytest.approx(5)
    assert distance_to((0.0, 0.0), np.zeros((3, 3), dtype=bool)) == math.inf


def write(folder: Path, regions: list[dict], points: list[dict]) -> tuple[Path, Path]:
    truth, said = folder / "truth.json", folder / "points.json"
    truth.write_text(json.dumps(regions))
    said.write_text(json.dumps(points))
    return truth, said


REGIONS = [
    {"id": 1, "image": "a", "category": "cup", "bbox": [100, 100, 50, 50]},
    {"id": 2, "image": "a", "category": "cup", "bbox": [0, 0, 10, 10]},
    {"id": 3, "image": "b", "category": "cup", "bbox": [0, 0, 10, 10]},
    {
        "id": 4, "image": "b", "category": "dog", "width": 200, "height": 100,
        "segmentation": [[150, 50, 200, 50, 200, 100, 150, 100]],
    },
]  # fmt: skip


def scored(folder: Path, points: list[dict], **options) -> Score:
    return score_pointing(*write(folder, REGIONS, points), replicates=20, **options)


def test_the_pointing_game_by_hand(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    points = [
        {"id": 1, "point": [120, 120]},  # inside
        {"id": "2", "point": [22, 19]},  # 12 right and 9 below: exactly 15
        {"id": 3, "point": [30, 5]},  # 20 to the right
        {"id": 4, "point": [10, 10]},
    ]
    score = scored(tmp_path, points)
    values = {(value.metric, value.slice): value.value for value in score.values}
    assert values["hit", None] == pytest.approx(2 / 4)
    assert values["hit", ("category", "cup")] == pytest.approx(2 / 3)
    assert values["mean over categories", None] == pytest.approx((2 / 3 + 0) / 2)
    assert [item.slices["reason"] for item in score.items] == ["hit", "hit", "near miss", "elsewhere"]
    assert scored(tmp_path, points, tolerance=0.0).values[0].value == 0.25


def test_missing_points(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    points = [{"id": i, "point": [120, 120]} for i in (1, 2, 3)]
    with pytest.raises(DataError, match="no prediction for 1 of 4"):
        scored(tmp_path, points)
    score = scored(tmp_path, points, missing="wrong")
    assert score.values[0].value == 0.25
    assert score.notes == ("1 of 4 rows have no point and count as wrong.",)


@pytest.mark.parametrize("point", [None, [1], [1, math.nan], ["1", 2], {"x": 1}])
def test_broken_points_are_named(tmp_path: Path, point: object) -> None:
    with pytest.raises(DataError, match=r"points\.json: point 1: point is"):
        scored(tmp_path, [{"id": i, "point": point} for i in (1, 2, 3, 4)])


def test_broken_regions_are_named(tmp_path: Path) -> None:
    truth, points = write(tmp_path, [{"id": 1, "bbox": [1, 2, 3]}], [{"id": 1, "point": [1, 2]}])
    with pytest.raises(DataError, match=r"truth\.json: region 1: bbox is"):
        score_pointing(truth, points)


def test_maps_in_place_of_points(tmp_path: Path) -> None:
    regions = [
        {"id": 1, "image": "a", "category": "cup", "bbox": [10, 20, 20, 40], "width": 40, "height": 60},
        {"id": 2, "image": "b", "category": "cup", "bbox": [30, 0, 10, 20], "width": 40, "height": 60},
    ]
    np.save(tmp_path / "map.npy", MAP)
    said = [{"id": 1, "map": "map.npy"}, {"id": 2, "point": [35, 10]}]
    score = score_pointing(*write(tmp_path, regions, said), tolerance=0, replicates=0)
    assert score.items[0].parsed == [15.0, 30.0]
    values = {value.metric: value.value for value in score.values if value.slice is None}
    expected = {"hit": 1.0, "mean over categories": 1.0, "energy inside": 0.9, "attribution IoU": 0.6}
    assert values == pytest.approx(expected)
    assert measures_of(score).keys() == values.keys()
    with pytest.raises(DataError, match="region 1: width and height is"):
        score_pointing(*write(tmp_path, [{**regions[0], "width": None}, regions[1]], said))
    with pytest.raises(DataError, match="no cell of the 4 x 3 map"):
        score_pointing(*write(tmp_path, [{**regions[0], "bbox": [0, 0, 1, 1]}, regions[1]], said))
