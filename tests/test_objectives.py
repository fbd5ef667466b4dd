"""Losses against naive ones and against cases worked by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import DATA, PROMPTS, one_thread, tiny_model  # noqa: F401

from chiasm.data.boxes import giou_matrix
from chiasm.data.instructions import Instructions
from chiasm.data.open import open_dataset
from chiasm.data.sequence import compose, pack
from chiasm.errors import ConfigError, DataError
from chiasm.models.features import Features
from chiasm.models.nn.attention import lower
from chiasm.training.objectives.both import LanguageAndPatches
from chiasm.training.objectives.language import Language
from chiasm.training.objectives.patches import ABSENT, Patches, box_loss
from chiasm.types import Box, Dataset, Example, Object

PLACES = [(0, 3), (1, 5), (0, 7)]


def naive_loss(places: Sequence[tuple[int, int]], with_images: bool) -> tuple[float, int]:
    """Every prompt alone with its picture; logits of every token; labels shifted as everybody does, -100 elsewhere."""
    model, dataset = tiny_model(), open_dataset(DATA)
    ask = Instructions(PROMPTS, 16, 3)
    total, count = 0.0, 0
    for epoch, i in places:
        example = dataset[i]
        features = model.connect(model.encode([example.image])) if with_images else None
        for prompt, answer in ask(example, (32, 32), epoch):
            begin = [model.tokenizer.begin]
            asked = [*model.tokenizer.encode(prompt), model.tokenizer.answer]
            wanted = [*model.tokenizer.encode(answer), model.tokenizer.end]
            pictures = features.lengths if features else []
            document = compose(model.trunk(pictures), [model.branch(asked[:-1], wanted[:-1])])
            assert len(document) == len([*begin, *asked, *wanted]) + sum(pictures)
            packed = pack([document])
            hidden = model.decoder(
                model.fusion(packed, model.decoder.embed, features), torch.arange(len(document)), lower(packed)
            )
            labels = torch.full((len(document),), -100)
            labels[-len(wanted) :] = torch.tensor(wanted)
            logits = model.decoder.head(hidden)
            total += F.cross_entropy(logits[:-1], labels[1:], reduction="sum").item()
            count += len(wanted)
    return total, count


@pytest.mark.parametrize("with_images", [True, False])
def test_language_loss_is_the_naive_one(with_images: bool) -> None:
    model = tiny_model()
    objective = Language(model, open_dataset(DATA), per_image=3, with_images=with_images)
    batch = objective.prepare(PLACES)
    total, count = naive_loss(PLACES, with_images)
    assert objective.counts(batch) == {"language": count}
    assert objective.losses(batch)["language"].item() == pytest.approx(total, rel=1e-5)


def test_the_head_runs_on_predicting_tokens_only() -> None:
    model = tiny_model()
    objective = Language(model, open_dataset(DATA), per_image=3)
    batch = objective.prepare(PLACES)
    rows = []
    model.decoder.head.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    objective.losses(batch)
    assert rows == [len(batch.ids)]
    assert rows[0] < len(batch.packed.sequence) / 2


def test_targets_spell_the_answers_and_the_closing_token() -> None:
    model, dataset = tiny_model(), open_dataset(DATA)
    batch = Language(model, dataset, per_image=3).prepare(PLACES)
    ask = Instructions(PROMPTS, 16, 3)
    answers = [answer for epoch, i in PLACES for _, answer in ask(dataset[i], (32, 32), epoch)]
    ends = (batch.ids == model.tokenizer.end).nonzero().flatten() + 1
    spelled = [model.tokenizer.decode(ids.tolist()) for ids in batch.ids.tensor_split(ends)]
    assert spelled == [*answers, ""]


def test_stored_features_stand_in_for_pictures() -> None:
    model, dataset = tiny_model(), open_dataset(DATA)
    encoded: Features = model.encode([dataset[i].image for i in range(8)])
    objective = Language(model, dataset, per_image=3, stored=encoded.select)
    batch = objective.prepare(PLACES)
    assert isinstance(batch.pictures, Features)
    total, _ = naive_loss(PLACES, with_images=True)
    assert objective.losses(batch)["language"].item() == pytest.approx(total, rel=1e-5)


def test_another_epoch_asks_other_questions() -> None:
    objective = Language(tiny_model(), open_dataset(DATA), per_image=3)
    first, again, later = (objective.prepare([(epoch, 3)]).packed.sequence.tokens for epoch in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)


class Toys(Sequence[Example]):
    """Examples of 32 px, so that a tiny model's grid is 4 x 4 patches of 8 px."""

    name, object_names, scene_names = "toys", ("cup", "book"), ("kitchen", "desk", "street", "sea")

    def __init__(self, *examples: Example):
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.examples[index]

    def fingerprint(self) -> str:
        return "toys"


def toy(number: int, *objects: Object, scene: str | None = "desk") -> Example:
    return Example(f"toy/{number}", np.zeros((32, 32, 3), np.uint8), scene=scene, objects=objects)


def thing(name: str, rows: slice, columns: slice, **attributes: str) -> Object:
    mask = np.zeros((32, 32), bool)
    mask[rows, columns] = True
    box = Box(columns.start, rows.start, columns.stop, rows.stop)
    return Object(name, box, attributes=attributes, mask=mask)


CUP = thing("cup", slice(0, 8), slice(0, 16), color="red", size="big")  # patches 0 and 1, whole
BOOK = thing("book", slice(8, 16), slice(10, 18), color="blue")  # 48 of 64 px of patch 5, 16 of patch 6
SPECK = thing("cup", slice(24, 27), slice(24, 28), color="red")  # 12 of 64 px of patch 15: less than a fifth
TOYS = Toys(toy(0, CUP, BOOK), toy(1), toy(2, SPECK, scene="sea"))


def patches(dataset: Dataset) -> Patches:
    objective = Patches(tiny_model(), dataset)
    for parameter in objective.parameters():
        torch.nn.init.zeros_(parameter)
    return objective


def test_what_is_under_each_patch() -> None:
    batch = patches(TOYS).prepare([(0, 1), (0, 0), (0, 2)])
    names = np.zeros((3, 16), int)
    names[1, [0, 1]], names[1, [5, 6]] = 1, 2
    assert batch.name.view(3, 16).tolist() == names.tolist()
    assert batch.scene.tolist() == [1, 1, 3]
    assert batch.covered.tolist() == [16, 17, 21, 22]
    colors, sizes = batch.attributes.view(2, 3, 16)
    assert colors[1, [0, 1, 5, 6]].tolist() == [1, 1, 0, 0], "blue, red in alphabetical order"
    assert sizes[1, [0, 1]].tolist() == [0, 0]
    assert (colors != ABSENT).sum() == 4
    assert (sizes != ABSENT).sum() == 2
    cup, book = [0, 0, 0.5, 0.25], [10 / 32, 0.25, 18 / 32, 0.5]
    torch.testing.assert_close(batch.boxes, torch.tensor([cup, cup, book, book]))


def test_the_larger_share_owns_a_patch() -> None:
    below, above = thing("cup", slice(0, 8), slice(0, 3)), thing("book", slice(0, 8), slice(3, 8))
    batch = patches(Toys(toy(0, below, above))).prepare([(0, 0)])
    assert batch.name.tolist() == [2] + [0] * 15


def test_patch_losses_of_heads_that_know_nothing() -> None:
    """With heads of zeros every class is as likely as any other, and each box is a point at its patch's centre."""
    objective = patches(TOYS)
    batch = objective.prepare([(0, 0), (0, 1)])
    counts, losses = objective.counts(batch), {k: v.item() for k, v in objective.losses(batch).items()}
    assert counts == {"scene": 2, "name": 4, "box": 4, "attribute color": 4, "attribute size": 2}
    assert counts.keys() == losses.keys() == objective.weights.keys()
    assert losses["scene"] == pytest.approx(2 * math.log(4))
    assert losses["name"] == pytest.approx(32 * math.log(3), rel=1e-5)
    assert losses["attribute color"] == pytest.approx(4 * math.log(2))
    assert losses["attribute size"] == pytest.approx(0, abs=1e-6)
    # Every centre lies inside its box, but for the book's right patch (x .625, box from .3125 to .5625): no area, so
    # GIoU is that of a point: 0 minus the share of the hull beyond the book.
    cup = [5 * (w0 + w1 + 0.25) + 1 for w0, w1 in ((0.125, 0.375), (0.375, 0.125))]
    left = 5 * (0.375 - 0.3125 + 0.5625 - 0.375 + 0.25) + 1
    right = 5 * (0.3125 + 0.0625 + 0.25) + 1 + (0.3125 - 0.25) / 0.3125
    assert losses["box"] == pytest.approx(sum(cup) + left + right, rel=1e-5)


def test_pictures_without_objects_or_attributes_train_too() -> None:
    objective = patches(Toys(toy(0)))
    batch = objective.prepare([(0, 0)])
    assert objective.counts(batch) == {"scene": 1, "name": 0, "box": 0}
    losses = objective.losses(batch)
    assert losses["box"].item() == 0
    assert losses["name"].item() == pytest.approx(16 * math.log(3), rel=1e-5)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (toy(7, replace(CUP, mask=None)), "toy/7.*mask"),
        (toy(7, thing("fish", slice(0, 8), slice(0, 8))), "toy/7.*'fish'"),
        (toy(7, CUP, scene=None), "toy/7.*None"),
        (toy(7, replace(CUP, mask=np.ones((30, 32), bool))), "toy/7.*32 x 30"),
    ],
)
def test_truth_that_does_not_fit_names_its_example(example: Example, message: str) -> None:
    with pytest.raises(DataError, match=message):
        patches(Toys(example)).prepare([(0, 0)])


def test_patches_needs_closed_lists() -> None:
    open_ended = Toys(toy(0))
    open_ended.object_names = None  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="toys"):
        Patches(tiny_model(), open_ended)


def test_box_loss_of_a_known_pair() -> None:
    """Two squares of side 1/2 that share a corner square of side 1/4: IoU 1/7, 2/9 of the hull is empty."""
    one, other = torch.tensor([[0.0, 0.0, 0.5, 0.5]]), torch.tensor([[0.25, 0.25, 0.75, 0.75]])
    assert box_loss(one, other).item() == pytest.approx(5 * 1 + 1 - (1 / 7 - 2 / 9))
    assert box_loss(one, one).item() == pytest.approx(0, abs=1e-6)
    assert box_loss(one.repeat(3, 1), other.repeat(3, 1)).item() == pytest.approx(3 * box_loss(one, other).item())


corners = st.tuples(*[st.floats(0, 0.9)] * 2, *[st.floats(0.05, 0.5)] * 2).map(
    lambda v: (*v[:2], v[0] + v[2], v[1] + v[3])
)


@given(corners, corners)
def test_box_loss_is_l1_and_giou(one: tuple[float, ...], other: tuple[float, ...]) -> None:
    distance = np.abs(np.subtract(one, other)).sum()
    expected = 5 * distance + 1 - giou_matrix(np.array([one]), np.array([other]))[0, 0]
    assert box_loss(torch.tensor([one]), torch.tensor([other])).item() == pytest.approx(expected, abs=1e-4)


def test_inverted_predictions_are_pulled_straight() -> None:
    predicted = torch.tensor([[0.6, 0.6, 0.4, 0.4]], requires_grad=True)
    loss = box_loss(predicted, torch.tensor([[0.2, 0.2, 0.8, 0.8]]))
    loss.backward()
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()
    assert (predicted.grad[0, :2] > 0).all()
    assert (predicted.grad[0, 2:] < 0).all()


def test_answers_and_patches_at_once_are_both_objectives_on_one_pass() -> None:
    model, dataset = tiny_model(), open_dataset(DATA)
    both = LanguageAndPatches(model, dataset, patches_weight=0.25, per_image=3)
    places = [(0, 1), (0, 4)]
    batch = both.prepare(places)
    losses, counts = both.losses(batch), both.counts(batch)
    language = Language(model, dataset, per_image=3)
    expected = dict(language.losses(language.prepare(places)))
    expected |= both.patches.losses(both.patches.prepare(places))
    assert losses.keys() == expected.keys() == counts.keys() == both.weights.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)
    assert both.weights["language"] == 1
    assert both.weights["name"] == 0.25 * both.patches.weights["name"]
    assert {name.split(".")[0] for name, _ in both.named_parameters()} == {"patches"}, "heads only, not the model"


def test_answers_and_patches_need_pictures() -> None:
    with pytest.raises(ConfigError, match="needs pictures"):
        LanguageAndPatches(tiny_model(), open_dataset(DATA), with_images=False)
