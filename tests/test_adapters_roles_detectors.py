"""Detectors and segmenters of transformers, opened from disk, against the library's own processing, and by hand."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_role_checkpoints
import torch
import transformers as T
from PIL import Image

from chiasm.data.vocabulary import COCO_OBJECTS, SCENES
from chiasm.errors import CheckpointError, ConfigError
from chiasm.models.adapters.transformers.detectors import DETECTORS, OpenDetector, Queries, open_detector
from chiasm.models.adapters.transformers.encoders import open_encoder
from chiasm.models.adapters.transformers.segmenters import open_clipseg, open_sam
from chiasm.tasks.roles import Segmented
from chiasm.types import Box, Detection, Object

checkpoint = tiny_role_checkpoints.checkpoint
Checkpoint = Callable[[str], Path]
FOLDERS = {"owlv2": "owlv2", "grounding-dino": "grounding_dino"}
NAMES = ["red square", "circle", "dog"]


def noise(height: int, width: int) -> Image.Image:
    coarse = np.random.default_rng(height * 1000 + width).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height))


PICTURES = [noise(40, 56), noise(90, 30), noise(1, 1), noise(3, 40), noise(1, 900)]


def opened(kind: str, checkpoint: Checkpoint, names: Sequence[str] = NAMES, threshold: float = 0.0) -> OpenDetector:
    detector = open_detector(str(checkpoint(FOLDERS[kind])), kind, names)
    detector.threshold = threshold
    return detector


def corners(detection: Detection) -> torch.Tensor:
    return torch.tensor([thing.box.as_tuple() for thing in detection.objects if thing.box is not None])


def rounded(boxes: torch.Tensor) -> list[tuple[float, ...]]:
    return [tuple(round(v, 2) for v in box) for box in boxes.tolist()]


def library(kind: str, folder: Path, image: Image.Image, names: Sequence[str], threshold: float) -> tuple[Any, ...]:
    """Scores, boxes cut at the border, and names or raw outputs, by the library's own processor; surest first."""
    processor = T.AutoProcessor.from_pretrained(folder, backend="pil")
    model = getattr(T, DETECTORS[kind][1]).from_pretrained(folder).eval()
    inputs = processor(text=[list(names)], images=image, return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    options = {"text_labels": [list(names)]} if kind == "owlv2" else {"input_ids": inputs["input_ids"]}
    found = processor.post_process_grounded_object_detection(
        outputs, threshold=threshold, target_sizes=[image.size[::-1]], **options
    )[0]
    limit = torch.tensor([image.width, image.height] * 2)
    boxes = torch.minimum(found["boxes"].clamp(min=0), limit)
    inside = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    order = found["scores"][inside].argsort(descending=True, stable=True)
    labels = [label for label, keep in zip(found["text_labels"], inside, strict=True) if keep]
    return found["scores"][inside][order], boxes[inside][order], [labels[i] for i in order]


@pytest.mark.parametrize("threshold", [0.0, 0.8])
@pytest.mark.parametrize("image", PICTURES[:3], ids=lambda image: f"{image.width}x{image.height}")
def test_owlv2_finds_what_the_library_finds(image: Image.Image, threshold: float, checkpoint: Checkpoint) -> None:
    found = opened("owlv2", checkpoint, threshold=threshold).detect([image])[0]
    scores, boxes, labels = library("owlv2", checkpoint("owlv2"), image, NAMES, threshold)
    assert threshold > 0 or len(found.objects) > 3
    # Both are the surest first, but scores so near 1 that they are the same may come in any order.
    assert [thing.score for thing in found.objects] == pytest.approx(scores.tolist(), abs=1e-5)
    ours = dict(zip(rounded(corners(found)), [thing.name for thing in found.objects], strict=True))
    assert ours == dict(zip(rounded(boxes), labels, strict=True))


@pytest.mark.parametrize("image", PICTURES[:3], ids=lambda image: f"{image.width}x{image.height}")
def test_grounding_dino_finds_what_the_library_finds(image: Image.Image, checkpoint: Checkpoint) -> None:
    """The library scores a query by its best token of any kind, we by the best one of a name; so our score is never
    higher, and equal where the best token is of a name."""
    folder = checkpoint("grounding_dino")
    found = opened("grounding-dino", checkpoint).detect([image])[0]
    scores, boxes, _ = library("grounding-dino", folder, image, NAMES, 0.0)
    by_box = dict(zip(rounded(boxes), scores.tolist(), strict=True))
    ours = dict(zip(rounded(corners(found)), found.objects, strict=True))
    assert ours.keys() == by_box.keys()
    assert all(thing.score is not None and thing.score <= by_box[box] + 1e-5 for box, thing in ours.items())

    model = T.GroundingDinoForObjectDetection.from_pretrained(folder).eval()
    processor = T.AutoProcessor.from_pretrained(folder, backend="pil")
    inputs = processor(text="red square. circle. dog.", images=image, return_tensors="pt")
    tokens = processor.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
    assert tokens == ["[CLS]", "red", "square", ".", "circle", ".", "dog", ".", "[SEP]"]
    with torch.no_grad():
        token_scores = model(**inputs).logits[0].sigmoid()
    for thing in found.objects:
        places = {"red square": [1, 2], "circle": [4], "dog": [6]}
        best = {name: token_scores[:, at].amax(dim=1) for name, at in places.items()}
        query = int((best[thing.name] - (thing.score or 0)).abs().argmin())
        assert thing.name == max(best, key=lambda name: float(best[name][query]))
        assert thing.score == pytest.approx(float(best[thing.name][query]), abs=1e-5)


@pytest.mark.parametrize("kind", FOLDERS)
def test_boxes_are_inside_and_a_batch_is_each_picture_alone(kind: str, checkpoint: Checkpoint) -> None:
    detector = opened(kind, checkpoint)
    together = detector.detect(PICTURES)
    assert together == [detector.detect([image])[0] for image in PICTURES]
    asked = [["dog"], ["circle", "red square", "what? a dog."], [], ["dog"], ["dog"]]
    grounded = detector.ground(PICTURES, asked)
    assert [len(group) for group in grounded] == [1, 3, 0, 1, 1]
    for image, found, group in zip(PICTURES, together, grounded, strict=True):
        for thing in [*found.objects, *(o for d in group for o in d.objects)]:
            assert thing.box is not None
            assert thing.box.area > 0
            assert 0 <= thing.box.x1 < thing.box.x2 <= image.width
            assert 0 <= thing.box.y1 < thing.box.y2 <= image.height
            assert 0 <= (thing.score or -1) <= 1
    assert together[0].objects


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_phrase_is_found_whatever_else_is_asked(kind: str, checkpoint: Checkpoint) -> None:
    detector = opened(kind, checkpoint)
    both = detector.ground(PICTURES[:1], [["dog", "red square"]])[0]
    for phrase, found in zip(["dog", "red square"], both, strict=True):
        alone = detector.ground(PICTURES[:1], [[phrase]])[0][0]
        assert {thing.name for thing in found.objects} == {phrase}
        torch.testing.assert_close(corners(found), corners(alone))


def test_owlv2_looks_at_a_picture_once(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    detector, looks = opened("owlv2", checkpoint), []
    monkeypatch.setattr(detector.model, "image_embedder", _counted(detector.model.image_embedder, looks))
    many = [noise(8 + i, 8) for i in range(40)]
    first = detector.detect(many[:5]), detector.ground(many[:5], [["dog"]] * 5)
    assert len(looks) == 5
    detector.detect(many)  # more than are kept
    assert (detector.detect(many[:5]), detector.ground(many[:5], [["dog"]] * 5)) == first


def _counted(function: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        calls.append(1)
        return function(*args)

    return call


def test_a_long_vocabulary_is_asked_in_prompts_that_fit(checkpoint: Checkpoint) -> None:
    """32 tokens fit here, and 80 names do not."""
    detector = opened("grounding-dino", checkpoint, COCO_OBJECTS)
    groups = detector.groups(COCO_OBJECTS)
    assert [name for group in groups for name in group] == list(COCO_OBJECTS)
    for first, second in pairwise(groups):
        length = len(detector.tokenizer(". ".join(first) + ".").input_ids)
        assert length <= 32 < length + len(detector.tokenizer(second[0] + ".").input_ids) - 2
    detector.vocabulary = tuple(name for group in groups[:3] for name in group)
    parts = [opened("grounding-dino", checkpoint, group).detect(PICTURES[:1])[0].objects for group in groups[:3]]
    together = sorted((thing for part in parts for thing in part), key=lambda thing: -(thing.score or 0))
    assert detector.detect(PICTURES[:1])[0].objects == tuple(together)


@pytest.mark.parametrize("kind", FOLDERS)
def test_names_that_cannot_be_looked_for(kind: str, checkpoint: Checkpoint) -> None:
    detector = opened(kind, checkpoint)
    for empty in ("", "  ", "."):
        with pytest.raises(ConfigError, match="empty name"):
            detector.ground(PICTURES[:1], [["dog", empty]])
    if kind == "grounding-dino":
        with pytest.raises(ConfigError, match="at most 32 tokens"):
            detector.ground(PICTURES[:1], [["a" * 40]])


def test_a_name_without_readable_characters_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(ConfigError, match="reads nothing in"):
        opened("grounding-dino", checkpoint).ground(PICTURES[:1], [["\u200b\u200b"]])


def test_damaged_weights_do_not_look_like_an_empty_picture(checkpoint: Checkpoint) -> None:
    clipseg, scenes = open_clipseg(str(checkpoint("clipseg"))), open_encoder(str(checkpoint("clip")))
    sam = open_sam(str(checkpoint("sam")))
    calls: list[tuple[Any, Callable[[], Any]]] = [
        (clipseg, lambda: clipseg.detect(PICTURES[:1])),
        (scenes, lambda: scenes.embed_images(PICTURES[:1])),
        (sam, lambda: sam.segment(PICTURES[0], [Object("a", Box(0, 0, 9, 9))])),
    ]
    for kind in FOLDERS:
        detector = opened(kind, checkpoint)
        calls.append((detector, lambda detector=detector: detector.detect(PICTURES[:1])))
    for part, call in calls:
        for weight in part.model.parameters():
            weight.fill_(float("nan"))
        with pytest.raises(CheckpointError, match="NaN"):
            call()


class Told(OpenDetector):
    """Says what it is told of two names, four queries."""

    def __init__(self, threshold: float) -> None:
        super().__init__(None, None, None, ["cup", "dog"], threshold)

    def queries(self, image: Image.Image, groups: Sequence[Sequence[str]]) -> list[Queries]:
        scores = torch.tensor([[0.2, 0.6], [0.9, 0.1], [0.3, 0.3], [0.8, 0.7]])
        boxes = torch.tensor([[1.0, 2, 5, 6], [-3, -3, 4, 30], [1, 1, 2, 2], [0, 12, 20, 14]])
        return [(scores.logit()[:, : len(group)], boxes) for group in groups]


def test_objects_from_queries_by_hand() -> None:
    """A picture 20 wide and 10 high: the second box is cut, the third too unsure, the fourth below the picture."""
    image = Image.new("RGB", (20, 10))
    found = Told(0.5).detect([image])[0]
    assert [(o.name, o.box, round(o.score or 0, 3)) for o in found.objects] == [
        ("cup", Box(0, 0, 4, 10), 0.9),
        ("dog", Box(1, 2, 5, 6), 0.6),
    ]
    assert found.rule == "score > 0.5"


def test_sam_cuts_out_what_the_library_does(checkpoint: Checkpoint) -> None:
    folder = checkpoint("sam")
    sam, processor = open_sam(str(folder)), T.AutoProcessor.from_pretrained(folder, backend="pil")
    model = T.SamModel.from_pretrained(folder).eval()
    for image in PICTURES[:3]:
        boxes = [Box(0, 0, image.width / 2, image.height), Box(0.25, 0.5, image.width, image.height)]
        inputs = processor(image, input_boxes=[[list(box.as_tuple()) for box in boxes]], return_tensors="pt")
        with torch.no_grad():
            masks = model(
                pixel_values=inputs["pixel_values"], input_boxes=inputs["input_boxes"].float(), multimask_output=False
            ).pred_masks
        expected = processor.post_process_masks(masks, inputs["original_sizes"], inputs["reshaped_input_sizes"])[0]
        found = sam.segment(image, [Object("a", box) for box in boxes])
        assert [mask.shape for mask in found] == [(image.height, image.width)] * 2
        assert all(np.array_equal(mask, one[0]) for mask, one in zip(found, expected.numpy(), strict=True))
    assert 0 < np.mean([mask.mean() for mask in sam.segment(PICTURES[0], [Object("a", Box(0, 0, 9, 9))])]) < 1
    assert sam.segment(PICTURES[4], [Object("a", Box(0, 0, 9, 1))])[0].shape == (1, 900)
    assert sam.segment(PICTURES[0], []) == []
    with pytest.raises(ConfigError, match="box"):
        sam.segment(PICTURES[0], [Object("a")])


def test_clipseg_marks_what_the_library_does(checkpoint: Checkpoint) -> None:
    folder = checkpoint("clipseg")
    clipseg, processor = open_clipseg(str(folder)), T.AutoProcessor.from_pretrained(folder, backend="pil")
    model = T.CLIPSegForImageSegmentation.from_pretrained(folder).eval()
    for image in PICTURES[:3]:
        inputs = processor(text=NAMES, images=[image] * 3, padding=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs).logits[:, None]
        heat = torch.nn.functional.interpolate(logits, image.size[::-1], mode="bilinear")[:, 0].sigmoid().numpy()
        clipseg.threshold = float(np.median(heat))
        found = clipseg.segment(image, [Object(name) for name in NAMES])
        assert all(np.array_equal(mask, one > clipseg.threshold) for mask, one in zip(found, heat, strict=True))
        for (region,), one in zip(clipseg.ground([image] * 3, [[name] for name in NAMES]), heat, strict=True):
            for thing in region.objects:
                assert thing.mask is not None
                assert thing.score == pytest.approx(one[thing.mask].mean())
    assert clipseg.segment(PICTURES[0], []) == []
    assert [len(group) for group in clipseg.ground(PICTURES, [["dog"], [], ["a", "b"], [], ["dog"]])] == [1, 0, 2, 0, 1]


def test_a_region_is_cut_by_its_box_and_bounded_by_one(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """A map 6 wide and 4 high, above 0.5 in columns 1 to 4 of rows 1 and 2."""
    heat = np.zeros((4, 6), np.float32)
    heat[1:3, 1:5] = 0.75
    clipseg = open_clipseg(str(checkpoint("clipseg")))
    monkeypatch.setattr(clipseg, "_heat", lambda image, names: [heat] * len(names))
    image = Image.new("RGB", (6, 4))
    whole, left = clipseg.segment(image, [Object("a"), Object("a", Box(0.2, 0, 2.5, 4))])
    assert whole.sum() == 8
    assert left.nonzero()[1].tolist() == [1, 2, 1, 2]  # pixel 2 is touched by the box, pixel 3 is not
    thing = clipseg.ground([image], [["a"]])[0][0].objects[0]
    assert (thing.name, thing.box, thing.score) == ("a", Box(1, 1, 5, 3), 0.75)
    clipseg.threshold = 0.8
    assert clipseg.detect([image])[0].objects == ()


def test_a_detectors_objects_get_masks(checkpoint: Checkpoint) -> None:
    detector, sam = opened("owlv2", checkpoint), open_sam(str(checkpoint("sam")))
    plain, cut = detector.detect(PICTURES[:2]), Segmented(detector, sam).detect(PICTURES[:2])
    assert cut == plain  # masks are not compared
    for image, found in zip(PICTURES, cut, strict=False):
        masks = [thing.mask for thing in found.objects]
        for mask, expected in zip(masks, sam.segment(image, found.objects), strict=True):
            assert np.array_equal(mask, expected)
    grounded = Segmented(detector, sam).ground(PICTURES[:1], [["dog", "cup"]])[0]
    assert all(thing.mask is not None for found in grounded for thing in found.objects)


def test_default_names_are_whole() -> None:
    assert len(set(COCO_OBJECTS)) == len(COCO_OBJECTS) == 80
    assert len(set(SCENES)) == len(SCENES)
    assert all(name == name.strip().lower() and name for name in (*COCO_OBJECTS, *SCENES))
