"""One image as a small picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

SIDE = 96
"""Pixels of the longer side at most; smaller images keep theirs."""

QUALITY = 70
"""Of WebP, 0 to 100."""

TINY = 16
"""Pixels of the longer side up to which nothing is lost: every one of them is seen."""


def thumbnail(image: Image.Image) -> bytes:
    """An image as WebP of at most `SIDE` pixels, some 2 to 4 kB of a photo; without its EXIF data, in which there can
    be places and names."""
    from PIL import Image as images

    small = images.new("RGB", image.size)
    small.paste(image)  # the pixels alone: what is in `info` would be written as well
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=QUALITY, method=6, lossless=max(small.size) <= TINY)
    return file.getvalue()


def size(picture: bytes) -> tuple[int, int]:
    """Width and height of one in pixels."""
    from PIL import Image as images

    with images.open(io.BytesIO(picture)) as opened:
        return opened.size
