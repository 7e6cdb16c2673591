"""Mean and spread of every column of a table of features."""

from __future__ import annotations

import numpy as np

BLOCK = 8192
"""Rows looked at together, so that memory does not grow with the data."""


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (D,) float64 of the columns of x (N, D), N at least 1, in one pass.

    About the first row, so that a column far from 0 keeps its digits.
    """
    first = np.asarray(x[0], np.float64)
    total, squares = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for start in range(0, len(x), BLOCK):
        apart = x[start : start + BLOCK].astype(np.float64) - first
        total += apart.sum(0)
        squares += (apart * apart).sum(0)
    mean = total / len(x)
    return first + mean, np.sqrt(np.maximum(squares / len(x) - mean * mean, 0))
