"""The pipeline: any model in any role, one call, and nothing lost on the way."""

import json
from collections.abc import Sequence

import pytest
from PIL import Image

from chiasm.errors import ChiasmError, DataError, ImageError
from chiasm.tasks.majority import Majority
from chiasm.tasks.overlay import draw, overlay_path
from chiasm.tasks.see import Pipeline, Seen
from chiasm.types import Answer, Box, Detection, Example, Object, Question


class Namer:
    """A scene role that calls a picture by its width."""

    def classify(self, images: Sequence[Image.Image]) -> list[Answer]:
        return [Answer(f"scene {image.width}") for image in images]


class Talker:
    def caption(self, images: Sequence[Image.Image]) -> list[Answer]:
        return [Answer(f"a picture {image.height} high") for image in images]

    def answer(self, images: Sequence[Image.Image], questions: Sequence[Sequence[str]]) -> list[list[Answer]]:
        return [[Answer(q.upper()) for q in group] for group in questions]


class Pointer:
    """Finds one thing, and of what it is asked for only cups."""

    def detect(self, images: Sequence[Image.Image]) -> list[Detection]:
        return [Detection((Object("cup", Box(1, 2, image.width, image.height), 0.5),)) for image in images]

    def ground(self, images: Sequence[Image.Image], phrases: Sequence[Sequence[str]]) -> list[list[Detection]]:
        return [[Detection((Object(p, Box(0, 0, 4.04, 5)),) if p == "cup" else ()) for p in group] for group in phrases]


def full() -> Pipeline:
    return Pipeline(Namer(), Talker(), Pointer(), warn=lambda images: [None if i.width > 5 else "odd" for i in images])


def test_three_models_in_three_roles_give_one_result():
    seen = full().process(Image.new("RGB", (20, 10)), question="what?", ground_objects=["cup", "dog"])
    assert seen.to_dict() == {
        "scene_type": "scene 20",
        "caption": "a picture 10 high",
        "objects": [{"name": "cup", "box": [1, 2, 20, 10], "score": 0.5}],
        "answer": "WHAT?",
        "grounded": {
            "cup": {"found": True, "boxes": [[0, 0, 4.0, 5]]},
            "dog": {"found": False, "boxes": []},
        },
        "notice": None,
    }
    json.dumps(seen.to_dict())


def test_a_missing_role_leaves_its_part_empty():
    seen = Pipeline(language=Talker()).process(Image.new("RGB", (20, 10)), ground_objects=["cup"])
    assert (seen.scene, seen.detection, seen.answer, seen.grounded) == (None, None, None, {})
    assert seen.to_dict()["objects"] is None
    assert seen.caption == Answer("a picture 10 high")


def test_a_batch_is_each_picture_alone():
    images = [Image.new("RGB", (w, 8)) for w in (3, 9, 20)]
    together = full().process_batch(images, "why?", ["cup"])
    assert together == [full().process(image, "why?", ["cup"]) for image in images]
    assert [s.notice for s in together] == ["odd", None, None]


def test_a_broken_picture_comes_back_as_its_error_and_the_rest_go_on(tmp_path):
    good, broken = tmp_path / "good.png", tmp_path / "broken.png"
    Image.new("RGB", (6, 6)).save(good)
    broken.write_bytes(good.read_bytes()[:40])
    results = list(full().process_many([good, broken, good], batch=2))
    assert [source for source, _, _ in results] == [good, broken, good]
    assert isinstance(results[0][2], Seen)
    assert results[1][1] is None
    assert isinstance(results[1][2], ImageError)
    assert "broken.png" in str(results[1][2])
    assert results[2][2] == results[0][2]
    with pytest.raises(ChiasmError, match=r"broken\.png"):
        full().process(broken)


def test_overlay_draws_inside_the_picture_and_leaves_the_original_alone():
    image = Image.new("RGB", (64, 48), "white")
    seen = Seen(detection=Detection((Object("cup", Box(0, 0, 64, 48), 0.9), Object("no place"))))
    drawn = draw(image, seen)
    assert drawn.size == (64 * 8, 48 * 8)
    assert image.getcolors() == [(64 * 48, (255, 255, 255))]
    assert len(drawn.getcolors(1 << 20)) > 2
    assert draw(image, Seen()).getcolors() == [(512 * 384, (255, 255, 255))]


def test_overlays_of_several_photos_go_into_a_folder(tmp_path):
    assert overlay_path(tmp_path / "out.png", tmp_path / "a.jpg", 1) == tmp_path / "out.png"
    assert overlay_path(tmp_path / "out", tmp_path / "a.jpg", 2) == tmp_path / "out" / "a.png"


class Questions:
    name, object_names, scene_names = "questions", None, None

    def __init__(self, answers: Sequence[str]):
        self.answers = answers

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Example:
        return Example("e", None, questions=tuple(Question(str(i), "?", (a,)) for i, a in enumerate(self.answers)))

    def fingerprint(self) -> str:
        return "f"


def test_majority_gives_the_commonest_answer_and_breaks_ties_by_the_alphabet():
    images = [Image.new("RGB", (1, 1))]
    assert Majority(Questions(["b", "a", "b"])).answer(images, [["x", "y"]]) == [
        [Answer("b", "b", "majority"), Answer("b", "b", "majority")]
    ]
    assert Majority(Questions(["b", "a"])).text == "a"
    assert Majority(Questions(["b"])).caption(images) is None
    with pytest.raises(DataError, match="no questions"):
        Majority(Questions([]))
