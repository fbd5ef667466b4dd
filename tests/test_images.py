"""Pictures made here in every format and mode, broken in every way, and the real ones where they are at hand."""

import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from chiasm.data.images import FORMATS, list_images, open_image
from chiasm.errors import ImageError

RED, GREEN, WHITE, BLACK = (255, 0, 0), (0, 128, 0), (255, 255, 255), (0, 0, 0)


def encoded(image: Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def corner_marked(size: tuple[int, int] = (32, 48)) -> Image.Image:
    """White, with the top left quarter red."""
    image = Image.new("RGB", size, WHITE)
    image.paste(RED, (0, 0, size[0] // 2, size[1] // 2))
    return image


# ---- sources


@pytest.mark.parametrize("format", FORMATS)
def test_every_source_of_every_format_gives_the_same_picture(tmp_path: Path, format: str) -> None:
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    data = encoded(corner_marked(), format, **options.get(format, {}))
    file = tmp_path / f"picture.{format.lower()}"
    file.write_bytes(data)
    uri = f"data:image/{format.lower()};base64,{base64.b64encode(data).decode()}"
    with Image.open(file) as lazy:
        sources = [file, str(file), data, bytearray(data), memoryview(data), uri, lazy]
        pictures = [open_image(source) for source in sources]
    for picture in pictures:
        assert (picture.mode, picture.size) == ("RGB", (32, 48))
        difference = np.asarray(picture).astype(int) - np.asarray(corner_marked())
        assert np.abs(difference).max() <= 3  # the last digits of a JPEG
        assert picture.tobytes() == pictures[0].tobytes()


def test_data_uri_without_base64_and_with_line_breaks() -> None:
    data = encoded(corner_marked())
    percent = "data:image/png," + "".join(f"%{byte:02x}" for byte in data)
    broken_lines = "data:image/png;base64," + base64.encodebytes(data).decode()
    for uri in (percent, broken_lines):
        assert open_image(uri).tobytes() == corner_marked().tobytes()


def test_the_result_shares_nothing_with_its_source() -> None:
    image, array = corner_marked(), np.asarray(corner_marked()).copy()
    for source in (image, array):
        open_image(source).paste(BLACK, (0, 0, 32, 48))
    assert image.tobytes() == corner_marked().tobytes()
    assert array.tobytes() == corner_marked().tobytes()


@pytest.mark.parametrize(
    ("array", "pixel"),
    [
        (np.full((2, 3), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 1), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 3), (1, 2, 3), np.uint8), (1, 2, 3)),
        (np.full((2, 3, 4), (10, 20, 30, 255), np.uint8), (10, 20, 30)),
        (np.full((2, 3, 4), (10, 20, 30, 0), np.uint8), WHITE),
        (np.ones((2, 3), bool), WHITE),
        (np.zeros((2, 3, 3), bool), BLACK),
        (np.full((2, 3), 65535, np.uint16), WHITE),
        (np.full((2, 3, 3), 257 * 9, np.uint16), (9, 9, 9)),
        (np.full((2, 3, 3), 0.2, np.float16), (51, 51, 51)),
        (np.full((2, 3), 1.0, np.float64), WHITE),
        (np.full((2, 3, 4), (1, 0, 0, 0.2), np.float32), (255, 204, 204)),
        (np.full((3, 2, 3), (1, 2, 3), np.uint8).transpose(1, 0, 2)[::-1], (1, 2, 3)),
    ],
)
def test_arrays(array: np.ndarray, pixel: tuple[int, int, int]) -> None:
    image = open_image(array)
    assert (image.mode, image.size) == ("RGB", (3, 2))
    assert image.getpixel((1, 1)) == pixel


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 3, 2), np.uint8), "shape"),
        (np.zeros((3,), np.uint8), "shape"),
        (np.zeros((1, 2, 3, 3), np.uint8), "shape"),
        (np.zeros((0, 3), np.uint8), "shape"),
        (np.zeros((2, 3), np.int64), "expected uint8"),
        (np.zeros((2, 3), complex), "expected uint8"),
        (np.full((2, 3), "a"), "expected uint8"),
        (np.full((2, 3), 128.0), "divide 8-bit values by 255"),
        (np.full((2, 3), -0.1), r"\[0, 1\]"),
        (np.full((2, 3), np.nan), r"\[0, 1\]"),
    ],
)
def test_arrays_that_do_not_say_what_they_mean(array: np.ndarray, reason: str) -> None:
    with pytest.raises(ImageError, match=rf"array of shape \({array.shape[0]}.*{reason}"):
        open_image(array)


# ---- modes


def paletted(transparent: bool) -> Image.Image:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([*BLACK, *GREEN])
    if transparent:
        image.info["transparency"] = 1
    return image


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        (Image.new("1", (4, 4), 1), WHITE),
        (Image.new("L", (4, 4), 99), (99, 99, 99)),
        (Image.new("LA", (4, 4), (99, 255)), (99, 99, 99)),
        (Image.new("LA", (4, 4), (99, 0)), WHITE),
        (Image.new("RGBA", (4, 4), (0, 0, 0, 51)), (204, 204, 204)),
        (Image.new("RGBA", (4, 4), (*RED, 0)), WHITE),
        (Image.new("RGBX", (4, 4), (*RED, 0)), RED),
        (Image.new("RGBA", (4, 4), (0, 0, 0, 0)).convert("RGBa"), WHITE),
        (paletted(False), GREEN),
        (paletted(True), WHITE),
        (Image.new("RGBA", (4, 4), (0, 0, 0, 0)).convert("PA"), WHITE),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), RED),
        (Image.new("YCbCr", (4, 4), (255, 128, 128)), WHITE),
        (Image.new("HSV", (4, 4), (0, 255, 255)), RED),
        (Image.new("I;16", (4, 4), 257 * 9), (9, 9, 9)),
        (Image.new("I;16B", (4, 4), 257 * 9), (9, 9, 9)),
        (Image.new("I;16", (4, 4), 100), BLACK),
        (Image.new("I", (4, 4), 200), (200, 200, 200)),
        (Image.new("I", (4, 4), 65535), WHITE),
        (Image.new("F", (4, 4), 0.2), (51, 51, 51)),
        (Image.new("F", (4, 4), 200.0), (200, 200, 200)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_modes(image: Image.Image, pixel: tuple[int, int, int]) -> None:
    assert open_image(image).getpixel((2, 2)) == pixel


@pytest.mark.parametrize(
    "image",
    [
        Image.new("I", (4, 4), 70_000),
        Image.new("I", (4, 4), -1),
        Image.new("F", (4, 4), 300.0),
        Image.new("F", (4, 4), float("nan")),
    ],
)
def test_values_of_unknown_range_are_an_error_not_a_black_picture(image: Image.Image) -> None:
    with pytest.raises(ImageError, match="range is unknown"):
        open_image(image)


@pytest.mark.parametrize(
    ("format", "mode", "colour", "pixel"),
    [
        ("PNG", "1", 1, WHITE),
        ("PNG", "LA", (0, 51), (204, 204, 204)),
        ("PNG", "RGBA", (*RED, 0), WHITE),
        ("PNG", "I;16", 257 * 9, (9, 9, 9)),
        ("TIFF", "I;16", 257 * 9, (9, 9, 9)),
        ("TIFF", "I", 65535, WHITE),
        ("TIFF", "F", 0.2, (51, 51, 51)),
        ("TIFF", "CMYK", (0, 255, 255, 0), RED),
        ("TIFF", "RGBA", (*RED, 0), WHITE),
        ("JPEG", "CMYK", (0, 255, 255, 0), (254, 0, 0)),
        ("JPEG", "L", 99, (99, 99, 99)),
        ("WEBP", "RGBA", (*RED, 0), WHITE),
        ("GIF", "L", 99, (99, 99, 99)),
        ("BMP", "1", 0, BLACK),
    ],
)
def test_modes_from_files(format: str, mode: str, colour, pixel: tuple[int, int, int]) -> None:
    data = encoded(Image.new(mode, (8, 8), colour), format)
    assert open_image(data).getpixel((4, 4)) == pytest.approx(pixel, abs=1)


def test_transparent_colour_keys() -> None:
    """PNG and GIF may call one colour transparent instead of storing an alpha channel."""
    for image, key in [
        (Image.new("RGB", (4, 4), RED), RED),
        (Image.new("L", (4, 4), 9), 9),
        (Image.new("I;16", (4, 4), 900), 900),
    ]:
        assert open_image(encoded(image, "PNG", transparency=key)).getpixel((0, 0)) == WHITE
    assert open_image(encoded(paletted(True), "GIF", transparency=1)).getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_of_animations(format: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN, BLACK)]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    assert open_image(data).getpixel((8, 8)) == pytest.approx(RED, abs=1)


def test_two_pictures_in_one_jpeg_as_phones_write_them() -> None:
    data = encoded(Image.new("RGB", (16, 16), RED), "MPO", save_all=True, append_images=[Image.new("RGB", (16, 16))])
    assert open_image(data).getpixel((8, 8)) == pytest.approx(RED, abs=1)


# ---- orientation

# How a camera that stores orientation k has turned the upright picture (the inverse of what a viewer does).
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def turned(orientation: int) -> tuple[Image.Image, Image.Exif]:
    how = STORED[orientation]
    image = corner_marked() if how is None else corner_marked().transpose(how)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return image, exif


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation(format: str, orientation: int) -> None:
    image, exif = turned(orientation)
    data = encoded(image, format, exif=exif)
    with Image.open(io.BytesIO(data)) as lazy:
        for source in (data, lazy):
            upright = open_image(source)
            assert upright.size == (32, 48)
            assert upright.getpixel((4, 4)) == pytest.approx(RED, abs=30)
            assert upright.getpixel((28, 44)) == pytest.approx(WHITE, abs=30)
            assert open_image(upright).tobytes() == upright.tobytes()  # not turned a second time


def test_mirrored_and_turned_pictures_are_told_apart() -> None:
    """A red quarter is symmetric along the diagonal; three colours are not."""
    image = corner_marked((32, 32))
    image.paste(GREEN, (16, 0, 32, 16))
    for orientation, how in STORED.items():
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        stored = image if how is None else image.transpose(how)
        assert open_image(encoded(stored, "PNG", exif=exif)).tobytes() == image.tobytes()


@pytest.mark.parametrize("exif", [b"Exif\x00\x00garbage", b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", b"Exif\x00\x00"])
def test_damaged_exif_does_not_damage_the_picture(exif: bytes) -> None:
    assert open_image(encoded(corner_marked(), "JPEG", exif=exif)).size == (32, 48)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_unknown_orientations_leave_the_picture_as_it_is(value: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    assert open_image(encoded(corner_marked(), "JPEG", exif=exif)).size == (32, 48)


# ---- limits and broken pictures


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100))


def test_pixel_limit() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    data = encoded(Image.new("RGB", (40, 30)))
    assert open_image(data, max_pixels=1200).size == (40, 30)
    for source in (data, Image.new("RGB", (40, 30)), np.zeros((30, 40), np.uint8)):
        with pytest.raises(ImageError, match="40x30 is more than the limit of 1199 pixels"):
            open_image(source, max_pixels=1199)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_bombs_are_refused_from_the_header() -> None:
    with pytest.raises(ImageError, match="9000x9001 is more than the limit"):
        open_image(png_header(9000, 9001), max_pixels=9000 * 9000)
    with pytest.raises(ImageError, match="Pillow's own limit"):
        open_image(png_header(60_000, 60_000))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7])
def test_truncated_files_name_the_file(tmp_path: Path, format: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), format)
    file = tmp_path / "cut.img"
    file.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=r"cut\.img: "):
        open_image(file)


def test_every_other_failure_has_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "notes.jpg").write_text("not a picture")
    (tmp_path / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    for source, message in [
        (tmp_path / "empty.jpg", r"empty\.jpg: the file is empty"),
        (tmp_path / "notes.jpg", r"notes\.jpg: not a picture in a known format"),
        (tmp_path / "drawing.svg", r"drawing\.svg: not a picture in a known format"),
        (tmp_path / "absent.jpg", r"absent\.jpg: no such file"),
        (tmp_path, "this is a folder"),
        ("", "empty path"),
        ("a\0b.jpg", "damaged or unreadable"),
        (b"", "image from bytes: empty"),
        (b"text", "image from bytes: not a picture"),
        ("data:image/png;base64,####", "data URI: bad base64"),
        ("data:image/png;base64,", "data URI: empty"),
        ("data:image/png;base64,aGVsbG8=", "data URI: not a picture"),
        ("data:image/png", "data URI: no comma"),
        (None, "object of type NoneType: not a path"),
        (io.BytesIO(b"x"), "object of type BytesIO: not a path"),
        (Image.new("RGB", (0, 5)), "no pixels"),
    ]:
        with pytest.raises(ImageError, match=message):
            open_image(source)


def test_a_closed_pil_image_and_a_truncated_one(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(encoded(corner_marked()))
    with Image.open(file) as closed:
        pass
    with pytest.raises(ImageError, match="PIL image of mode RGB"):
        open_image(closed)


def test_the_error_names_the_item() -> None:
    with pytest.raises(ImageError, match=r"^val/17: gone\.jpg: no such file$"):
        open_image("gone.jpg", name="val/17")


@given(st.sampled_from(FORMATS), st.data())
def test_damaged_files_give_a_picture_or_an_image_error(format: str, data) -> None:
    whole = bytearray(encoded(corner_marked((12, 16)), format))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = open_image(bytes(whole), max_pixels=100_000)
    except ImageError:
        return
    assert image.mode == "RGB"
    assert image.width * image.height <= 100_000


# ---- folders


def test_list_images(tmp_path: Path) -> None:
    for name in ["b.JPG", "a.png", "sub/c.webp", "notes.txt", ".hidden.jpg", ".cache/d.jpg", "folder.jpg/e.gif"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    inside = [tmp_path / name for name in ("a.png", "b.JPG", "folder.jpg/e.gif", "sub/c.webp")]
    assert list_images([tmp_path]) == inside
    assert list_images([str(tmp_path / "notes.txt"), tmp_path]) == [tmp_path / "notes.txt", *inside]


def test_list_images_finds_nothing(tmp_path: Path) -> None:
    for paths, message in [
        ([tmp_path], "no pictures in this folder"),
        ([tmp_path / "absent"], "absent: no such file or folder"),
        ([], "no pictures given"),
    ]:
        with pytest.raises(ImageError, match=message):
            list_images(paths)


def test_real_photos_open(shared_data: Path) -> None:
    """A slice of every collection; `test_formats.py -m slow` opens them all."""
    for folder in ("coco-mini", "flickr8k", "daquar", "chartqa", "sroie"):
        for path in list_images([shared_data / folder])[::40]:
            assert min(open_image(path).size) > 10
