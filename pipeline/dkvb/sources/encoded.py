"""Decoding an image from its bytes or its file, turned as its EXIF orientation says where that is wanted."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from dkvb.sources.base import UnreadableImage
from dkvb.sources.images import convert

if TYPE_CHECKING:
    from PIL import Image


def decode(content: bytes | Path, id: str, exif_rotate: bool) -> Image.Image:
    """An RGB image of 8 bits (the first frame of an animation), from an encoded file's bytes or its path.

    Raises:
        UnreadableImage: missing, empty, truncated, not an image, or of a mode without a fixed range.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        if isinstance(content, Path):
            content = content.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return convert(ImageOps.exif_transpose(image) if exif_rotate else image, "RGB")
    except MemoryError:
        raise
    except FileNotFoundError:
        reason = "the file is missing"
    except UnidentifiedImageError:
        reason = "it is no image, or damaged at its start" if content else "it is empty"
    except Exception as error:  # decoders raise nearly anything on damaged files
        reason = str(error) or type(error).__name__
    raise UnreadableImage(id, reason)
