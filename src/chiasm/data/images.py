"""Open any picture safely: every source, format and mode becomes an upright 8-bit RGB image or one clear error."""

from __future__ import annotations

import base64
import binascii
import io
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from chiasm.errors import ImageError
from chiasm.types import ImageSource

MAX_PIXELS = 2**28 // 3
"""The default limit, about 89 million pixels or a quarter of a GiB as RGB."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp")

_ACCEPTED = "a path, bytes, a data URI, a PIL image or a numpy array"

# By EXIF orientation: how the stored picture has to be turned to stand upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS, name: str | None = None) -> Image.Image:
    """The picture as an upright RGB image that shares nothing with `source`.

    `source` is a path, bytes, a data URI, a PIL image or a numpy array of shape (H, W), (H, W, 1), (H, W, 3) or
    (H, W, 4) of uint8, bool, uint16 or floats in [0, 1]. Files are JPEG, PNG, WebP, GIF, TIFF or BMP; of animations
    and multi-page files the first frame counts. EXIF rotation is applied, transparency is laid on white. 16-bit greys
    are scaled to 8 bits. In PIL modes I and F, which don't say where white is, a largest value up to 255 means an
    8-bit range, except that F up to 1 means [0, 1] and I up to 65535 means 16 bits.

    `max_pixels` is checked before anything is decoded; Pillow's own limit (`PIL.Image.MAX_IMAGE_PIXELS`, an error at
    twice its value) stays in force above it. `name` says in errors which item the picture belongs to.

    Raises ImageError for anything that can't be opened whole.
    """
    try:
        if isinstance(source, np.ndarray):
            return _decode(_image_of_array(source), max_pixels)
        if isinstance(source, Image.Image):
            return _decode(source, max_pixels)
        with Image.open(_file_of(source), formats=FORMATS) as image:
            return _decode(image, max_pixels)
    except ImageError as error:
        reason = str(error)
    except FileNotFoundError:
        reason = "no such file"
    except IsADirectoryError:
        reason = "this is a folder, not a picture"
    except UnidentifiedImageError:
        reason = f"not a picture in a known format ({', '.join(FORMATS)})"
    except Image.DecompressionBombError:
        reason = "more pixels than Pillow's own limit allows"
    except Exception as error:  # decoders raise anything on damaged data: struct.error, SyntaxError, IndexError, ...
        reason = f"damaged or unreadable ({type(error).__name__}: {error})"
    prefix = f"{name}: " if name else ""
    raise ImageError(f"{prefix}{_describe(source)}: {reason}")


def list_images(paths: Iterable[str | Path]) -> list[Path]:
    """Every picture file named by `paths`, in their order.

    A folder stands for the files below it with a picture's suffix (`SUFFIXES`), sorted by path, hidden ones left out.
    Raises ImageError for a path that doesn't exist and for a folder without pictures.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if _is_picture(p, path))
            if not inside:
                raise ImageError(f"{path}: no pictures in this folder (looked for {', '.join(SUFFIXES)})")
            found.extend(inside)
        elif path.exists():
            found.append(path)
        else:
            raise ImageError(f"{path}: no such file or folder")
    if not found:
        raise ImageError("no pictures given")
    return found


def _is_picture(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()


def _describe(source: ImageSource) -> str:
    if isinstance(source, str) and source.startswith("data:"):
        return "data URI"
    if isinstance(source, str | os.PathLike):
        return os.fspath(source) or "''"
    if isinstance(source, bytes | bytearray | memoryview):
        return "image from bytes"
    if isinstance(source, Image.Image):
        return f"PIL image of mode {source.mode}"
    if isinstance(source, np.ndarray):
        return f"array of shape {source.shape} and type {source.dtype}"
    return f"object of type {type(source).__name__}"


def _file_of(source: ImageSource) -> Path | io.BytesIO:
    """What Pillow can open. Raises ImageError for an empty or unknown source."""
    if isinstance(source, str) and source.startswith("data:"):
        source = _bytes_of_data_uri(source)
    if isinstance(source, bytes | bytearray | memoryview):
        if not len(source):
            raise ImageError("empty")
        return io.BytesIO(source)
    if not isinstance(source, str | Path):
        raise ImageError(f"not {_ACCEPTED}")
    if source == "":
        raise ImageError("empty path")
    path = Path(source)
    if path.is_file() and path.stat().st_size == 0:
        raise ImageError("the file is empty")
    return path


def _bytes_of_data_uri(uri: str) -> bytes:
    """RFC 2397, ``data:[type][;base64],data``."""
    header, comma, payload = uri.partition(",")
    if not comma:
        raise ImageError("no comma after the header, expected data:image/...;base64,...")
    data = unquote_to_bytes(payload)
    if not header.endswith(";base64"):
        return data
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error as error:
        raise ImageError(f"bad base64 ({error})") from None


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not width or not height:
        raise ImageError(f"no pixels ({width}x{height})")
    if width * height > max_pixels:
        raise ImageError(f"{width}x{height} is more than the limit of {max_pixels} pixels; raise max_pixels to open it")


def _decode(image: Image.Image, max_pixels: int) -> Image.Image:
    _check_size(*image.size, max_pixels)
    image.load()
    # After loading, because Pillow turns TIFFs upright itself while it loads them.
    turn = _turn(image)
    rgb = _to_rgb(image)
    return rgb if turn is None else rgb.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a damaged EXIF block doesn't damage the picture
        return None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        rgb = _grey16_to_rgb(image)
    elif image.mode in ("I", "F"):
        rgb = _image_of_array(_eight_bits(np.asarray(image), image.mode)).convert("RGB")
    elif image.has_transparency_data:
        rgba = image.convert("RGBA")
        rgb = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    else:
        rgb = image.convert("RGB")
    # Pillow carries EXIF along; left in place, it would turn the picture once more when it is opened again.
    rgb.info = {}
    return rgb


def _grey16_to_rgb(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.uint16)
    grey = _eight_bits(values, image.mode)
    if "transparency" in image.info:  # PNG's one transparent grey
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey).convert("RGB")


def _image_of_array(array: np.ndarray) -> Image.Image:
    """An 8-bit L, RGB or RGBA image. Raises ImageError for shapes, types and values that don't say what they mean."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        raise ImageError("expected a non-empty array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype == bool:
        array = array * np.uint8(255)
    elif array.dtype == np.uint16:
        array = _eight_bits(array, "I;16")
    elif np.issubdtype(array.dtype, np.floating):
        if not ((array >= 0) & (array <= 1)).all():
            raise ImageError("floats must lie in [0, 1]; divide 8-bit values by 255")
        array = np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ImageError("expected uint8, bool, uint16 or floats in [0, 1]")
    return Image.fromarray(np.ascontiguousarray(array))


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """uint8 of the same shape. The range of I and F follows from the largest value, see `open_image`."""
    largest = float(values.max())
    if mode.startswith("I;16") or (mode == "I" and largest > 255):
        white = 65535
    elif mode == "F" and largest <= 1:
        white = 1
    else:
        white = 255
    if not (values.min() >= 0 and largest <= white):
        raise ImageError(f"mode {mode} holds values from {values.min()} to {largest:g}, whose range is unknown")
    return np.rint(values * (255 / white)).astype(np.uint8)
