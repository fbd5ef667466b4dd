"""A folder of photos without annotations, and what every reader of photo collections shares."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

from chiasm.data.images import list_images
from chiasm.errors import DataError
from chiasm.types import Example


class Photos:
    """Every picture below `folder`, nothing known about any of them. An id is the path below the folder.

    Raises DataError where there is no such folder, ImageError where it holds no pictures.
    """

    object_names: tuple[str, ...] | None = None
    scene_names: tuple[str, ...] | None = None

    def __init__(self, folder: str | Path) -> None:
        self.folder = existing_folder(folder)
        self.name = f"photos:{self.folder.resolve().name}"
        self._paths = list_images([self.folder])

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int, /) -> Example:
        path = self._paths[index]
        return Example(id=path.relative_to(self.folder).as_posix(), image=path)

    def fingerprint(self) -> str:
        """See `chiasm.types.Dataset`."""
        return fingerprint([], {path.relative_to(self.folder).as_posix(): path for path in self._paths})


def fingerprint(annotations: Iterable[Path], photos: Mapping[str, Path]) -> str:
    """SHA-256 over the bytes of the annotation files and over the names and file sizes of the photos."""
    digest = hashlib.sha256()
    for path in annotations:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for name, path in sorted(photos.items()):
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
    return digest.hexdigest()


def existing_folder(folder: str | Path) -> Path:
    """The folder as a path; DataError if it isn't one."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise DataError(f"{path}: no such folder")
    return path


def read_text(path: Path) -> str:
    """A UTF-8 annotation file. Raises DataError if it is missing or no text."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable UTF-8 text file ({error})") from None


def split_present(photos: Mapping[str, Path], folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Annotated photos by name: those on disk, and the names of the others, of which a warning tells.

    Raises DataError where there are some and none is on disk.
    """
    present = {name: path for name, path in photos.items() if path.is_file()}
    missing = tuple(name for name in photos if name not in present)
    if missing and not present:
        raise DataError(f"{folder}: none of the {len(photos)} annotated photos is here, for example {missing[0]}")
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        warnings.warn(f"{folder}: {len(missing)} of {len(photos)} annotated photos are not here: {shown}", stacklevel=3)
    return present, missing
