"""Hashes by which two images, or two feature rows, are known to be the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

WIDTH = 16
"""Bytes of a content hash."""


def content_hash(value: Image.Image | np.ndarray) -> bytes:
    """16 bytes of blake2b over an image's mode, size and decoded pixels, or over a feature row's float32 bytes."""
    total = hashlib.blake2b(digest_size=WIDTH)
    if isinstance(value, np.ndarray):
        total.update(np.ascontiguousarray(value, np.float32).tobytes())
    else:
        total.update(f"{value.mode} {value.width} {value.height} ".encode())
        if value.mode == "P":
            # equal indices are equal pixels only with equal colours
            total.update(bytes(value.getpalette("RGBA") or ()))
        total.update(value.tobytes())
    return total.digest()
