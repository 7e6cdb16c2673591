"""Conjugate gradients, for Hessians that are only ever multiplied with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def solve(
    times: Callable[[np.ndarray], np.ndarray], wanted: np.ndarray, iterations: int, tolerance: float = 1e-5
) -> np.ndarray:
    """x with A x = wanted, from zero on, until the rest is `tolerance` of it or the iterations are used up.

    Args:
        times: x -> A x, A symmetric and positive definite.
        wanted: float64 of any shape.
    """
    x = np.zeros_like(wanted)
    rest = wanted.copy()
    direction = rest.copy()
    square = enough = float(np.vdot(rest, rest))
    enough *= tolerance**2
    for _ in range(iterations):
        if square <= enough:
            break
        product = times(direction)
        step = square / float(np.vdot(direction, product))
        x += step * direction
        rest -= step * product
        before, square = square, float(np.vdot(rest, rest))
        direction = rest + (square / before) * direction
    return x
