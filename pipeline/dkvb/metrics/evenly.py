"""Fewer rows than there are, the same ones each time."""

from __future__ import annotations

import numpy as np


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """All of some rows (n,) or, of more than that, `most` of them, evenly spaced, the first and the last among them."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most, dtype=np.int64)]
