"""The model in the package does what its card says. The card's numbers come from thousands of pictures; here a few
dozen show that the files, the prompts and the code still belong together."""

import json
from pathlib import Path

import pytest

from chiasm.data.images import open_image
from chiasm.data.worlds.scenes import Scenes
from chiasm.examine.run import examine
from chiasm.models.checkpoint import find
from chiasm.tasks.see import Pipeline
from chiasm.tasks.vlm import open_pipeline


@pytest.fixture(scope="module")
def tiny() -> Pipeline:
    return open_pipeline("chiasm-tiny")


def metrics(summary: dict) -> dict[str, float]:
    return {entry["metric"]: entry["value"] for entry in summary["metrics"] if entry["slice"] is None}


def test_it_sees_the_world_it_was_trained_on(tiny, tmp_path):
    got = metrics(examine(tiny, Scenes("test", count=24), tmp_path / "run", progress=False))
    assert got["scene.accuracy"] >= 0.95
    assert got["answer.exact"] >= 0.92
    assert got["existence.f1"] >= 0.93
    assert got["detect.recall"] >= 0.85
    assert got["detect.precision"] >= 0.85
    assert got["ground.acc@0.5"] >= 0.85


def test_capitals_and_punctuation_of_a_question_do_not_matter(tiny):
    image = Scenes("test", count=1)[0].image
    answers = {
        tiny.process(image, question=q).answer
        for q in ("What is the scene?", "what is the scene", "WHAT IS THE SCENE ?")
    }
    assert len(answers) == 1


def test_the_world_is_familiar_and_photos_are_not(tiny, shared_data):
    known = tiny.warn([open_image(Scenes("test")[i].image) for i in range(20)])
    assert sum(notice is not None for notice in known) <= 1
    photos = sorted((shared_data / "coco-mini" / "val2017").glob("*.jpg"))[:20]
    strange = tiny.warn([open_image(photo) for photo in photos])
    assert sum(notice is not None for notice in strange) >= 18


def test_the_files_are_small_and_the_card_tells_how_they_were_made():
    folder = find("chiasm-tiny")
    assert (folder / "model.safetensors").stat().st_size <= 16_000_000
    card = (folder / "README.md").read_text("utf-8")
    assert "chiasm train chiasm-tiny" in card
    assert "What it cannot do" in card
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert set(config["dialect"]["prompts"]) == {"scene", "caption", "detect", "ground"}


@pytest.mark.slow
@pytest.mark.parametrize("photos", ["coco-mini/val2017", "flickr8k/Images"])
def test_real_photos_never_stop_it(tiny, shared_data: Path, photos: str):
    paths = sorted((shared_data / photos).glob("*.jpg"))[:64]
    results = list(tiny.process_many(paths, question="is there a dog?", ground_objects=["dog"]))
    assert len(results) == len(paths)
    for _, image, seen in results:
        assert image is not None, seen
        for thing in json.loads(json.dumps(seen.to_dict()))["objects"]:
            x1, y1, x2, y2 = thing["box"]
            assert 0 <= x1 < x2 <= image.width
            assert 0 <= y1 < y2 <= image.height
            assert 0 <= thing["score"] <= 1
