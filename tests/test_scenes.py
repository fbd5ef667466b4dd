"""The drawn world's pictures: deterministic, the same at any size, and annotated to the pixel."""

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.data.preview import contact_sheet
from chiasm.data.worlds.backgrounds import paint_background
from chiasm.data.worlds.layout import Layout, Thing, ownership
from chiasm.data.worlds.lettering import write
from chiasm.data.worlds.places import HORIZON, company, object_priors, popularity
from chiasm.data.worlds.scenes import COLORS, HELD_OUT, OBJECT_NAMES, SCENE_NAMES, SIZES, WORDS, Scenes, render
from chiasm.data.worlds.sprites import sprite
from chiasm.data.worlds.vocabulary import plural, with_article
from chiasm.errors import ConfigError

SPLITS = ("train", "val", "test", "compositional")
LEAST_VISIBLE = 0.5  # of an object's silhouette
LEAST_EXTENT = 6  # pixels at 96


@pytest.fixture(scope="module")
def examples():
    return [Scenes(split)[index] for split in SPLITS for index in range(120)]


def test_lengths_names_and_ids():
    assert [len(Scenes(split)) for split in SPLITS] == [1_000_000, 2_000, 2_000, 2_000]
    data = Scenes("val", count=7)
    assert (len(data), data.name, data.object_names, data.scene_names) == (7, "scenes:val", OBJECT_NAMES, SCENE_NAMES)
    assert data[3].id == "scenes/val/0000003"
    assert data[-1].id == data[6].id
    assert len(list(data)) == 7


@pytest.mark.parametrize("bad", [{"split": "dev"}, {"size": 31}, {"count": -1}])
def test_wrong_settings_are_refused(bad):
    with pytest.raises(ConfigError):
        Scenes(**bad)


@pytest.mark.parametrize("index", [5, -6])
def test_no_example_beyond_the_end(index):
    with pytest.raises(IndexError, match="scenes:test"):
        Scenes("test", count=5)[index]


def test_another_process_draws_the_same():
    """Text hashing differs between processes; nothing may depend on it, nor on what was drawn before."""
    code = "from chiasm.data.worlds.scenes import Scenes; print(Scenes('test', seed=3).fingerprint())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert outputs == {Scenes("test", seed=3).fingerprint()}


def test_fingerprint_tells_datasets_apart():
    variants = [Scenes(), Scenes("val"), Scenes(seed=1), Scenes(size=64), Scenes(count=9)]
    assert len({data.fingerprint() for data in variants}) == len(variants)


def test_streams_are_not_shared():
    layouts = [Scenes(split, seed=seed).layout(index) for split in SPLITS for seed in (0, 1) for index in range(30)]
    assert len(set(layouts)) == len(layouts)


def test_images_are_uint8_squares_that_nobody_shares():
    data = Scenes("val")
    first, again = data[0].image, data[0].image
    assert first.shape == (96, 96, 3)
    assert first.dtype == np.uint8
    first[:] = 0
    assert np.array_equal(again, data[0].image)


def test_boxes_are_the_tight_boxes_of_the_masks(examples):
    for example in examples:
        for thing in example.objects:
            rows, columns = np.nonzero(thing.mask)
            assert thing.box.as_tuple() == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_masks_are_disjoint_and_depths_in_order(examples):
    for example in examples:
        assert np.sum([thing.mask for thing in example.objects], axis=0).max() == 1
        assert [thing.depth for thing in example.objects] == list(range(len(example.objects)))


def test_every_object_shows_enough_of_itself(examples):
    layouts = [Scenes(split).layout(index) for split in SPLITS for index in range(120)]
    for layout, example in zip(layouts, examples, strict=True):
        for thing, seen in zip(layout.things, example.objects, strict=True):
            silhouette = ownership([thing], 96) == 0
            assert not (seen.mask & ~silhouette).any()
            share = seen.mask.sum() / silhouette.sum()
            assert share >= (1.0 if thing.word else LEAST_VISIBLE)
            assert min(seen.box.width, seen.box.height) >= LEAST_EXTENT


def test_nearer_things_hide_farther_ones():
    far = Thing("ball", "red", "large", "", False, 0.36, 0.5, 0.70)
    near = Thing("book", "blue", "medium", "", False, 0.24, 0.5, 0.75)
    image, (near_mask, far_mask) = render(Layout("snow", 0.4, (near, far)), "x", 96)
    alone = render(Layout("snow", 0.4, (near,)), "x", 96)
    assert np.array_equal(near_mask, alone[1][0])
    assert np.array_equal(image[60:70, 45:51], alone[0][60:70, 45:51])
    assert 0 < far_mask.sum() < render(Layout("snow", 0.4, (far,)), "x", 96)[1][0].sum()


def test_only_masked_pixels_differ_from_the_empty_place(examples):
    data = Scenes("test")
    for index in range(40):
        example, layout = data[index], data.layout(index)
        empty = render(Layout(layout.scene, layout.horizon, ()), f"scenes/0/test/{index}/background", 96)[0]
        changed = (example.image != empty).any(axis=2)
        shown = np.any([thing.mask for thing in example.objects], axis=0)
        around = shown.copy()  # anti-aliased edges reach one pixel further
        for axis in (0, 1):
            for step in (-1, 1):
                around |= np.roll(around, step, axis)
        assert not (changed & ~around).any()
        assert changed[shown].mean() > 0.97


def overlap(a, b):
    """IoU of two xyxy boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@pytest.mark.parametrize(("size", "least"), [(32, 0.3), (64, 0.5), (200, 0.65)])
def test_the_same_picture_at_any_size(size, least):
    """Boxes agree up to whole pixels, which weigh most on small objects in small pictures."""
    scale = size / 96
    for index in range(40):
        reference, other = Scenes("test")[index], Scenes("test", size=size)[index]
        assert other.image.shape == (size, size, 3)
        assert (other.captions, other.questions, other.relations) == (
            reference.captions, reference.questions, reference.relations,
        )  # fmt: skip
        assert [r.text for r in other.references] == [r.text for r in reference.references]
        for a, b in zip(reference.objects, other.objects, strict=True):
            assert (a.name, a.attributes, a.depth) == (b.name, b.attributes, b.depth)
            assert overlap([v * scale for v in a.box.as_tuple()], b.box.as_tuple()) > least
        for a, b in zip(reference.references, other.references, strict=True):
            assert len(a.boxes) == len(b.boxes)


@given(st.integers(0, 999_999), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_any_example_is_well_formed(index, seed):
    example = Scenes("train", seed=seed)[index]
    assert 1 <= len(example.objects) <= 6
    assert example.scene in SCENE_NAMES
    for thing in example.objects:
        assert thing.name in OBJECT_NAMES
        assert thing.attributes["color"] in COLORS
        assert thing.attributes["size"] in SIZES
        assert thing.attributes.get("text", "go") in WORDS
        assert 0 <= thing.box.x1 < thing.box.x2 <= 96
        assert 0 <= thing.box.y1 < thing.box.y2 <= 96


def test_held_out_pairs_are_spread_evenly():
    assert tuple(HELD_OUT) == OBJECT_NAMES
    assert Counter(HELD_OUT.values()) == dict.fromkeys(COLORS, len(OBJECT_NAMES) // len(COLORS))


@pytest.mark.parametrize("split", SPLITS)
def test_held_out_pairs_are_in_compositional_only(split):
    data = Scenes(split)
    for index in range(2000 if split == "train" else 500):
        novel = [HELD_OUT[thing.name] == thing.color for thing in data.layout(index).things]
        assert any(novel) == (split == "compositional")


def test_the_world_is_varied():
    layouts = [Scenes().layout(index) for index in range(2000)]
    things = [thing for layout in layouts for thing in layout.things]
    assert 3.2 < len(things) / len(layouts) < 3.8
    assert {len(layout.things) for layout in layouts} == set(range(1, 7))
    seen = {(thing.name, thing.color) for thing in things}
    assert len(seen) == len(OBJECT_NAMES) * (len(COLORS) - 1)
    for value, least in (("name", 0.01), ("color", 0.09), ("size", 0.2)):
        tally = Counter(getattr(thing, value) for thing in things)
        assert min(tally.values()) > least * len(things), value
    assert min(Counter(layout.scene for layout in layouts).values()) > 0.08 * len(layouts)
    assert {thing.word for thing in things} == {"", *WORDS}


def test_priors_are_probabilities_and_places_have_their_own_things():
    for scene in SCENE_NAMES:
        priors = object_priors(scene)
        assert sum(priors.values()) == pytest.approx(1)
        assert min(priors.values()) > 0
    assert "tree" not in object_priors("forest")
    assert sum(popularity().values()) == pytest.approx(1)
    assert company("crab")["fish"] > 4 * company("crab")["lamp"]
    assert sum(company("crab").values()) == pytest.approx(1)


def test_size_words_have_gaps_between_them():
    bounds = [bound for low_high in SIZES.values() for bound in low_high]
    assert bounds == sorted(bounds)
    gaps = (SIZES["medium"][0] - SIZES["small"][1], SIZES["large"][0] - SIZES["medium"][1])
    assert min(gaps) * 96 > 4.9


@pytest.mark.parametrize("name", OBJECT_NAMES)
def test_drawings_fill_their_size_and_show_their_color(name):
    for longer_side in (15, 24, 38):
        drawing = sprite(name, longer_side)
        assert longer_side - 1 <= max(drawing.mask.shape) <= longer_side + 1
        assert min(drawing.mask.shape) >= LEAST_EXTENT
        assert drawing.body.sum() > 0.12 * drawing.mask.sum()
    grey = np.full((*drawing.mask.shape, 3), 128, np.float32)
    for color, rgb in COLORS.items():
        pixels = drawing.over(grey, color)[drawing.body]
        nearest = {other: np.abs(pixels - COLORS[other]).sum(axis=1) for other in COLORS}
        assert min(nearest[color]) < 30, f"no part of a {color} {name} is {color} {rgb}"
        votes = Counter(np.array(list(COLORS))[np.argmin(list(nearest.values()), axis=0)])
        assert votes.most_common(1)[0][0] == color


def test_flipping_mirrors_a_drawing():
    left, right = sprite("cup", 24), sprite("cup", 24, flipped=True)
    assert not np.array_equal(left.mask, right.mask)
    assert np.array_equal(left.fixed[:, ::-1], right.fixed)


def test_classes_look_different():
    """No two classes at one size share nearly the same silhouette and colouring."""
    frames = {}
    for name in OBJECT_NAMES:
        drawing = sprite(name, 24)
        frame = np.full((26, 26, 3), 128, np.float32)
        height, width = drawing.mask.shape
        frame[:height, :width] = drawing.over(frame[:height, :width], "blue")
        frames[name] = frame
    for a in OBJECT_NAMES:
        for b in OBJECT_NAMES:
            assert a == b or np.abs(frames[a] - frames[b]).mean() > 15, (a, b)


def test_words_on_signs_can_be_told_apart():
    drawn = {word: sprite("sign", 24 if len(word) < 4 else 35, word=word).fixed for word in WORDS}
    for a in WORDS:
        for b in WORDS:
            if a != b and drawn[a].shape == drawn[b].shape:
                assert np.abs(drawn[a] - drawn[b]).sum() / 255 > 8, (a, b)


def test_a_letter_without_strokes_is_an_error():
    with pytest.raises(KeyError):
        write(pen=None, word="Q", area=(0, 0, 10, 10), fill=(0, 0, 0))


def test_places_look_different_and_vary():
    means = {}
    for scene in SCENE_NAMES:
        horizon = sum(HORIZON[scene]) / 2
        views = [paint_background(scene, horizon, f"view {k}", 48) for k in range(6)]
        assert all(np.abs(views[0] - view).mean() > 2 for view in views[1:]), scene
        means[scene] = np.mean(views, axis=0)
    for a in SCENE_NAMES:
        for b in SCENE_NAMES:
            assert a == b or np.abs(means[a] - means[b]).mean() > 12, (a, b)


def test_no_word_names_an_object_or_a_place():
    nouns = {*OBJECT_NAMES, *map(plural, OBJECT_NAMES), *SCENE_NAMES, *COLORS, *SIZES}
    assert not nouns & set(WORDS)
    assert len(set(WORDS)) == 20
    assert {len(word) for word in WORDS} == {2, 3, 4, 5}


def test_plurals_and_articles():
    assert [plural(n) for n in ("cup", "butterfly", "fish", "airplane")] == ["cups", "butterflies", "fish", "airplanes"]
    assert with_article("apple") == "an apple"
    assert with_article("umbrella") == "an umbrella"
    assert with_article("white apple") == "a white apple"


def test_contact_sheet():
    data = Scenes("test", size=64)
    sheet = contact_sheet(data, range(5), columns=3)
    card_width, card_height = sheet.width // 3, sheet.height // 2
    pixels = np.asarray(sheet)
    assert (pixels[card_height:, 2 * card_width :] == 255).all()
    for column in range(3):
        assert len(np.unique(pixels[:card_height, column * card_width : (column + 1) * card_width].reshape(-1, 3))) > 20
