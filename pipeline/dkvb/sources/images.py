"""Decoding image files to 8 bits, whatever their format and mode."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dkvb.sources.base import Mode, UnreadableImage
from dkvb.sources.formats import NEEDS_HEIF, heif, is_heif

if TYPE_CHECKING:
    from PIL import Image

TURNED = "dkvb: turned"
"""Key in the `info` of an image that was turned."""


def read_image(
    path: str | Path | bytes, mode: Mode = "RGB", id: str | None = None, exif_rotate: bool = False
) -> Image.Image:
    """Decode an image file, or the bytes of one, and convert it to a mode; nothing else is applied.

    Of an animation it is the first frame.

    16-bit greys are scaled to 8 bits, not clipped; transparency is dropped.

    Args:
        exif_rotate: turn it as its EXIF orientation says; `was_turned` tells whether that was so.

    Raises:
        UnreadableImage: missing, empty, truncated, not an image, or of a mode without a fixed range.
    """
    from PIL import UnidentifiedImageError

    try:
        with _opened(path) as image:
            image.load()
            turned = upright(image) if exif_rotate else image
            read = convert(turned, mode)
            if turned is not image:
                read.info[TURNED] = True
            return read
    except MemoryError:
        raise
    except FileNotFoundError:
        reason = "the file is missing"
    except UnidentifiedImageError:
        if (len(path) if isinstance(path, bytes) else os.path.getsize(path)) == 0:
            reason = "the file is empty"
        elif is_heif(path):
            reason = "it is damaged at its start" if heif() else f"it is {NEEDS_HEIF}"
        else:
            reason = "it is no image, or damaged at its start"
    except Exception as error:  # decoders raise nearly anything on damaged files
        reason = str(error) or type(error).__name__
    raise UnreadableImage(id or ("" if isinstance(path, bytes) else os.fspath(path)), reason)


def _opened(path: str | Path | bytes) -> Image.Image:
    """Pillow's image, its pixels not yet read; HEIC too, whatever the ending."""
    from PIL import Image, UnidentifiedImageError

    def opened() -> Image.Image:
        return Image.open(io.BytesIO(path) if isinstance(path, bytes) else path)

    try:
        return opened()
    except UnidentifiedImageError:
        if not (is_heif(path) and heif()):
            raise
        return opened()


def upright(image: Image.Image) -> Image.Image:
    """The image as viewers show it: turned and mirrored as its EXIF orientation says, 2 to 8; itself where that is 1 or
    cannot be read."""
    from PIL import ExifTags, ImageOps

    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) not in range(2, 9):
            return image
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data raise nearly anything; the pixels are as they are
        return image


def was_turned(image: Image.Image) -> bool:
    """Whether an image that was read was stored in another orientation."""
    return TURNED in image.info


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
    exif_rotate: bool = False

    def __call__(self, row: int) -> Image.Image:
        return read_image(self.root / self.ids[row], self.mode, self.ids[row], self.exif_rotate)


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
