"""The kinds of place: what is likely there, and where in the picture it stands."""

from __future__ import annotations

from functools import cache

from chiasm.data.worlds.vocabulary import OBJECT_NAMES, SCENE_NAMES

# Relative weights of what belongs to a place.
_TYPICAL: dict[str, dict[str, float]] = {
    "beach": {"boat": 5, "crab": 5, "umbrella": 4, "ball": 4, "bird": 3, "hat": 3, "shoe": 3, "fish": 2, "bottle": 2,
              "chair": 3, "dog": 1, "sign": 4, "airplane": 2, "star": 1},
    "desk": {"book": 5, "lamp": 5, "phone": 5, "clock": 3, "cup": 4, "key": 5, "bottle": 2, "cat": 2, "apple": 2,
             "guitar": 2, "sign": 4, "chair": 2},
    "farm": {"cat": 3, "dog": 3, "bird": 3, "tree": 4, "house": 3, "apple": 3, "flower": 4, "hat": 3, "butterfly": 3,
             "chair": 2, "sign": 4, "guitar": 2, "bicycle": 1},
    "forest": {"mushroom": 6, "butterfly": 5, "flower": 4, "bird": 3, "guitar": 3, "dog": 2, "moon": 2, "house": 2,
               "apple": 2, "sign": 4, "bicycle": 2},
    "kitchen": {"cup": 5, "bottle": 5, "apple": 5, "clock": 4, "chair": 4, "cat": 2, "mushroom": 3, "fish": 2,
                "lamp": 2, "phone": 2, "flower": 1, "sign": 3},
    "night sky": {"star": 6, "moon": 6, "rocket": 6, "airplane": 4, "house": 2, "tree": 2, "bird": 1, "sign": 3},
    "snow": {"tree": 4, "hat": 4, "shoe": 4, "house": 3, "dog": 4, "bird": 2, "star": 1, "car": 2, "moon": 2,
             "sign": 4, "bottle": 1, "lamp": 1},
    "street": {"car": 6, "bicycle": 6, "sign": 7, "house": 2, "dog": 3, "tree": 3, "umbrella": 4, "cat": 1,
               "airplane": 1, "ball": 2, "phone": 1},
    "underwater": {"fish": 7, "crab": 6, "boat": 3, "key": 4, "star": 3, "bottle": 2, "shoe": 2, "book": 1, "rocket": 1,
                   "sign": 3},
}  # fmt: skip

OUT_OF_PLACE = 0.25
"""The chance that an object is drawn from all classes alike, whatever the place."""

SCENERY: dict[str, str] = {"forest": "tree"}
"""What a background itself shows: never an object there and never asked about, since the truth would be unclear."""

_FLYING = frozenset({"airplane", "bird", "butterfly", "moon", "rocket", "star"})
_SWIMMING = frozenset({"fish"})

# Zone -> range of an object's lower edge, as a fraction of the way from the horizon to the bottom of the picture.
# Negative values are above the horizon, in fractions of the way to the top.
_GROUND: dict[str, tuple[float, float]] = {
    "beach": (0.25, 0.96),
    "desk": (0.15, 0.96),
    "farm": (0.12, 0.96),
    "forest": (0.15, 0.96),
    "kitchen": (0.15, 0.82),
    "night sky": (0.20, 0.92),
    "snow": (0.12, 0.96),
    "street": (0.12, 0.96),
    "underwater": (0.10, 0.95),
}
_ALOFT = (-0.75, -0.05)
_AFLOAT = (0.0, 0.16)

HORIZON: dict[str, tuple[float, float]] = {
    "beach": (0.36, 0.52),
    "desk": (0.34, 0.50),
    "farm": (0.34, 0.50),
    "forest": (0.42, 0.58),
    "kitchen": (0.38, 0.52),
    "night sky": (0.74, 0.84),
    "snow": (0.36, 0.54),
    "street": (0.40, 0.54),
    "underwater": (0.68, 0.82),
}
"""Place -> range of the height where the ground begins, as a fraction of the picture's height from the top."""


def lower_edge_range(scene: str, name: str, horizon: float) -> tuple[float, float]:
    """Where the lower edge of an object may be, as fractions of the picture's height."""
    if name in _FLYING or (scene == "underwater" and name in _SWIMMING):
        low, high = _ALOFT
    elif name == "boat" and scene == "beach":
        low, high = _AFLOAT
    elif name == "clock" and scene in ("kitchen", "desk"):
        low, high = _ALOFT
    else:
        low, high = _GROUND[scene]
    y1, y2 = (horizon + v * (1 - horizon if v > 0 else horizon) for v in (low, high))
    return y1, y2


@cache
def object_priors(scene: str) -> dict[str, float]:
    """Object name -> probability of being drawn next in `scene`, in the order of OBJECT_NAMES; they sum to 1."""
    allowed = [name for name in OBJECT_NAMES if name != SCENERY.get(scene)]
    typical = _TYPICAL[scene]
    total = sum(typical.values())
    return {name: OUT_OF_PLACE / len(allowed) + (1 - OUT_OF_PLACE) * typical.get(name, 0) / total for name in allowed}


@cache
def popularity() -> dict[str, float]:
    """Object name -> its share among the objects of the world, all places being equally frequent."""
    return {
        name: sum(object_priors(scene).get(name, 0.0) for scene in SCENE_NAMES) / len(SCENE_NAMES)
        for name in OBJECT_NAMES
    }


@cache
def company(name: str) -> dict[str, float]:
    """Other object name -> chance that a further object of a picture showing `name` is that one."""
    weights = [object_priors(scene).get(name, 0.0) for scene in SCENE_NAMES]
    shared = dict.fromkeys(OBJECT_NAMES, 0.0)
    for scene, weight in zip(SCENE_NAMES, weights, strict=True):
        for other, prior in object_priors(scene).items():
            shared[other] += weight * prior / sum(weights)
    return shared
