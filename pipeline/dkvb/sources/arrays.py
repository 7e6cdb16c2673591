"""Images that lie decoded in one array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


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
