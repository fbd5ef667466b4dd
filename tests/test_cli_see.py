"""`chiasm see` with a model for each role, all opened from disk, on pictures of every kind."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_role_checkpoints
from chat_server import Server
from PIL import Image
from typer.testing import CliRunner, Result

from chiasm.cli.app import app
from chiasm.data.images import open_image
from chiasm.tasks.overlay import COLORS, draw
from chiasm.tasks.roles import open_roles
from chiasm.tasks.see import Seen
from chiasm.types import Box, Detection, Object

checkpoint = tiny_role_checkpoints.checkpoint
Checkpoint = Callable[[str], Path]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["see", *map(str, arguments)])


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    coarse = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((120, 80)).save(path)
    return path


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server(lambda request: "a dog")
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.mark.parametrize(
    ("scene", "detector", "segmenter"),
    [
        ("clip", "owlv2", "sam"),
        ("siglip", "grounding_dino", "clipseg"),
        ("siglip2", "owlv2", "clipseg"),
        ("flava", "grounding_dino", "sam"),
    ],
)
def test_a_model_for_each_role(
    scene: str, detector: str, segmenter: str, checkpoint: Checkpoint, photo: Path, server: Server, tmp_path: Path
) -> None:
    result = run(
        photo, "--scene", checkpoint(scene), "--scenes", "kitchen, office,street", "--detector", checkpoint(detector),
        "--segmenter", checkpoint(segmenter), "--language", f"openai:{server.url}#m", "-q", "what is it?",
        "--find", "dog", "--overlay", tmp_path / "seen.png", "--json",
    )  # fmt: skip
    seen = rows(result)[0]
    assert seen["scene_type"] in ("kitchen", "office", "street")
    assert (seen["caption"], seen["answer"], seen["notice"]) == ("a dog", "a dog", None)
    assert len(server.seen) == 2
    assert seen["objects"]
    assert seen["grounded"]["dog"]["found"]
    assert Image.open(tmp_path / "seen.png").size == (480, 320)


def test_roles_without_a_model_stay_empty_and_a_model_fills_them(checkpoint: Checkpoint, photo: Path) -> None:
    alone = rows(run(photo, "--detector", checkpoint("clipseg"), "--json"))[0]
    assert (alone["scene_type"], alone["caption"], alone["notice"]) == (None, None, None)
    assert alone["objects"]
    beside = rows(run(photo, "--model", "chiasm-tiny", "--detector", checkpoint("owlv2"), "--json"))[0]
    tiny = rows(run(photo, "--json"))[0]
    assert (beside["scene_type"], beside["caption"], beside["notice"]) == (
        tiny["scene_type"],
        tiny["caption"],
        tiny["notice"],
    )
    assert beside["objects"] != tiny["objects"]
    assert rows(run(photo, "--segmenter", checkpoint("clipseg"), "--json"))[0]["objects"] == alone["objects"]


def test_text_that_is_no_box_is_a_problem_and_does_not_look_like_nothing_seen(server: Server, photo: Path) -> None:
    arguments = (photo, "--detector", f"openai:{server.url}#m?boxes=qwen3-vl", "--find", "dog")
    row = rows(run(*arguments, "--json"))[0]
    assert row["objects"] == []
    assert row["problems"].keys() == {"objects", "find dog"}
    assert "'a dog'" in row["problems"]["objects"]
    shown = run(*arguments).stdout
    assert "problem" in shown
    assert "Qwen3-VL" in shown


def odd_pictures(folder: Path) -> dict[str, Path]:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((70, 50))
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned right by a quarter
    variants: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "plain.png": (picture, {}),
        "sideways.png": (picture.transpose(Image.Transpose.ROTATE_90), {"exif": turned}),
        "grey.png": (picture.convert("L"), {}),
        "bits.png": (picture.convert("1"), {}),
        "see-through.png": (picture.convert("RGBA"), {}),
        "palette.gif": (picture.convert("P"), {}),
        "print.jpg": (picture.convert("CMYK"), {}),
        "dot.png": (picture.resize((1, 1)), {}),
        "line.png": (picture.resize((700, 1)), {}),
        "huge.png": (picture.resize((1600, 1200)), {}),
    }
    for name, (image, options) in variants.items():
        image.save(folder / name, **options)
    return {name: folder / name for name in variants}


@pytest.mark.parametrize("detector", ["owlv2", "grounding_dino"])
def test_odd_pictures(detector: str, checkpoint: Checkpoint, tmp_path: Path) -> None:
    paths = odd_pictures(tmp_path)
    pipeline = open_roles(
        scene=str(checkpoint("clip")), detector=str(checkpoint(detector)), segmenter=str(checkpoint("sam"))
    )
    pipeline.detector.detector.vocabulary = ("dog", "traffic light")  # 80 names take GroundingDINO a while
    found = {Path(path).name: seen for path, _, seen in pipeline.process_many(list(paths.values()), None, ["cup"])}
    for name, path in paths.items():
        seen, size = found[name], open_image(path).size
        assert isinstance(seen, Seen)
        assert seen.scene is not None
        assert seen.detection is not None
        for thing in [*seen.detection.objects, *seen.grounded["cup"].objects]:
            assert thing.box is not None
            assert thing.mask is not None
            assert thing.mask.shape == (size[1], size[0])
            assert 0 <= thing.box.x1 < thing.box.x2 <= size[0]
            assert 0 <= thing.box.y1 < thing.box.y2 <= size[1]
    # One that is stored on its side or with an unused alpha channel is the same picture.
    assert found["sideways.png"] == found["see-through.png"] == found["plain.png"]
    assert found["grey.png"] != found["plain.png"]


def test_masks_are_drawn_in_the_colour_of_their_box() -> None:
    mask = np.zeros((480, 480), bool)
    mask[100:200, 100:300] = True
    thing = Object("cup", Box(100, 100, 300, 200), mask=mask)
    drawn = np.asarray(draw(Image.new("RGB", (480, 480), "white"), Seen(detection=Detection((thing,))))).astype(int)
    inside, outside = drawn[150, 200], drawn[300, 200]
    assert outside.tolist() == [255, 255, 255]
    tints = [[round(255 + (int(c[i : i + 2], 16) - 255) * 110 / 255) for i in (1, 3, 5)] for c in COLORS]
    assert min(np.abs(inside - tint).max() for tint in tints) <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--scene", "@owlv2"), "can't be used as --scene: a model of type owlv2 fits --detector. What fits: clip,"),
        (("--scene", "@dinov2"), "knows no words"),
        (("--scene", "openai:http://localhost/v1#m"), "has not learned that"),
        (("--detector", "@clip"), "fits --scene. What fits: owlv2, grounding-dino, clipseg"),
        (("--detector", "openai:http://localhost/v1#m"), "openai:URL#MODEL?boxes=DIALECT"),
        (("--language", "@sam"), "fits --segmenter. What fits: a vision-language model"),
        (("--segmenter", "@clip"), "What fits: clipseg, sam"),
        (("--segmenter", "@sam"), "add --detector or --model"),
        (("--model", "@clipseg"), "give it as --detector or --segmenter"),
        (("--scenes", "kitchen"), "name one with --scene"),
        (("--scene", "chiasm-tiny", "--scenes", "kitchen"), "only clip, siglip"),
        (("--scene", "@clip", "--scenes", "kitchen,,office"), "none of them may be empty"),
        (("--detector", "@owlv2", "--find", " "), "an empty name"),
        (("--scene", "nowhere"), "nowhere"),
        (("--scene", "EMPTY"), "config.json"),
    ],
)
def test_a_wrong_role_says_what_would_fit(
    arguments: tuple[str, ...], message: str, checkpoint: Checkpoint, photo: Path, tmp_path: Path
) -> None:
    names = [str(checkpoint(a[1:])) if a.startswith("@") else str(tmp_path) if a == "EMPTY" else a for a in arguments]
    result = run(photo, *names)
    assert result.exit_code == 1, result.output
    assert message in result.stderr
    assert "chiasm: " in result.stderr
    assert "Traceback" not in result.output


def test_real_photos(shared_data: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    photos = sorted((shared_data / "coco-mini" / "val2017").glob("*.jpg"))[:3]
    result = run(
        *photos, "--scene", checkpoint("siglip"), "--detector", checkpoint("owlv2"), "--segmenter", checkpoint("sam"),
        "--overlay", tmp_path, "--json",
    )  # fmt: skip
    for path, row in zip(photos, rows(result), strict=True):
        assert row["image"] == str(path)
        assert row["scene_type"]
        assert (tmp_path / f"{path.stem}.png").exists()
