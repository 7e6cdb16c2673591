"""Finding image files and decoding them to 8 bits, whatever their mode."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dkvb.errors import UsageError
from dkvb.sources.base import Mode, UnreadableImage

if TYPE_CHECKING:
    from PIL import Image

EXTENSIONS = frozenset(
    (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)


def hidden(name: str) -> bool:
    """Whether a file or folder is an operating system's leftover (`.DS_Store`, `._x.jpg`, `__MACOSX`)."""
    return name.startswith(".") or name == "__MACOSX"


def list_images(folder: Path) -> list[Path]:
    """Every image at any depth below a folder, by extension, sorted by relative posix path; symlinks are followed.

    Raises:
        UsageError: a file name is not valid Unicode.
    """
    return [folder / name for name in relative_images(folder)]


def relative_images(folder: Path) -> list[str]:
    """The same as relative posix paths, which are far quicker to make for millions of files.

    Raises:
        UsageError: a file name is not valid Unicode.
    """
    return walk_images(folder)[0]


def walk_images(folder: Path, broken: list[str] | None = None) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """The same, and inode and modification time (ns) of every directory read, by relative path, taken before it was
    read.

    Args:
        broken: gets the paths of images that are symlinks to nowhere, which are left out.
    """
    found: list[str] = []
    directories: dict[str, tuple[int, int]] = {}
    cut = len(os.path.join(os.fspath(folder), ""))
    # the real folders above each one, so that a symlink to a parent ends the descent
    stack: list[tuple[str, frozenset[str]]] = [(os.fspath(folder), frozenset())]
    while stack:
        here, above = stack.pop()
        real = os.path.realpath(here)
        if real in above:
            continue
        status = os.stat(here)
        directories[in_unicode(here[cut:], folder).replace(os.sep, "/")] = status.st_ino, status.st_mtime_ns
        with os.scandir(here) as entries:
            for entry in entries:
                if hidden(entry.name):
                    continue
                kind = kind_of(entry)
                if kind == "folder":
                    stack.append((entry.path, above | {real}))
                elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
                    if kind == "file":
                        found.append(in_unicode(entry.path[cut:], folder).replace(os.sep, "/"))
                    elif broken is not None and entry.is_symlink():
                        broken.append(entry.path)
    return sorted(found), directories


def kind_of(entry: os.DirEntry[str]) -> str:
    """ "folder", "file" or "other", symlinks followed; one that leads nowhere or to itself is "other"."""
    try:
        return "folder" if entry.is_dir() else "file" if entry.is_file() else "other"
    except OSError:  # a symlink to itself
        return "other"


def in_unicode(path: str, folder: Path) -> str:
    """The same path below `folder`.

    Raises:
        UsageError: it is not valid Unicode, which ids must be.
    """
    if not path.isascii():
        try:
            path.encode()
        except UnicodeEncodeError:
            raise UsageError(f"The name {os.fsencode(path)!r} in {folder} is not valid UTF-8; rename it.") from None
    return path


def read_image(path: str | Path, mode: Mode = "RGB", id: str | None = None) -> Image.Image:
    """Decode an image file (the first frame of an animation) and convert it to a mode; nothing else is applied.

    16-bit greys are scaled to 8 bits, not clipped; transparency is dropped.

    Raises:
        UnreadableImage: missing, empty, truncated, not an image, or of a mode without a fixed range.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()
            return convert(image, mode)
    except MemoryError:
        raise
    except FileNotFoundError:
        reason = "the file is missing"
    except UnidentifiedImageError:
        reason = "the file is empty" if os.path.getsize(path) == 0 else "it is no image, or damaged at its start"
    except Exception as error:  # decoders raise nearly anything on damaged files
        reason = str(error) or type(error).__name__
    raise UnreadableImage(id or os.fspath(path), reason)


def convert(image: Image.Image, mode: Mode) -> Image.Image:
    """A copy in an 8-bit mode.

    Raises:
        ValueError: pixels are floating point, or in a space that cannot be converted.
    """
    import numpy as np
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its pixels are floating point and have no fixed range; save it with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        wide = np.clip(np.asarray(image).astype(np.float64), 0, 65535)
        image = Image.fromarray(np.round(wide / 257).astype(np.uint8))
    elif image.mode in ("P", "PA", "LA", "La"):
        # through RGBA, which Pillow asks for where a palette has transparent entries
        image = image.convert("RGBA")
    return image.copy() if image.mode == mode else image.convert(mode)


@dataclass(frozen=True)
class ImageFiles:
    """Row to image, from files below `root`."""

    root: Path
    ids: list[str]
    mode: Mode = "RGB"

    def __call__(self, row: int) -> Image.Image:
        return read_image(self.root / self.ids[row], self.mode, id=self.ids[row])


@dataclass(frozen=True)
class ArrayImages:
    """Row to image of an (N, H, W) or (N, H, W, 3) uint8 array; a view in another order will do."""

    pixels: np.ndarray

    def __call__(self, row: int) -> Image.Image:
        from PIL import Image

        return Image.fromarray(np.ascontiguousarray(self.pixels[row]))


def indices(rows: np.ndarray | int) -> list[str]:
    """Ids of rows that have no name of their own: the row as a string."""
    return [str(row) for row in (range(rows) if isinstance(rows, int) else rows.tolist())]
