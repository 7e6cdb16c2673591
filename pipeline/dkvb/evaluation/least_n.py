"""The smallest N that does it, found on nested masks by galloping and bisection instead of on a grid."""

from __future__ import annotations

from collections.abc import Callable

PRECISION = 0.01
"""N is found to this share of itself."""


FIRST = 8
"""The first N tried is this part of the largest."""


STEP = 2
"""Factor of N from one step up to the next."""


STEP_DOWN = 4
"""The same on the way down."""


def least_n(reaches: Callable[[int], bool], most: int, above: int = 0, first: int | None = None) -> int | None:
    """The smallest N at which a target is reached, to 1 % of N: exact for N up to 100.

    Takes one evaluation per doubling (or quartering) from the first N tried and about seven to bisect.

    Args:
        reaches: whether N reaches the target; assumed to hold for all N above one for which it holds.
        most: the largest N.
        above: an N that is known not to reach it.
        first: the N to try first; an eighth of the largest where none is given.

    Returns:
        N; None where even the largest does not reach it.
    """
    if most <= above:
        return None
    low, high = above, min(most, max(above + 1, first or most // FIRST))
    if reaches(high):
        while high - low > 1 and high > STEP_DOWN * max(low, 1):
            lower = max(low + 1, high // STEP_DOWN)
            if not reaches(lower):
                low = lower
                break
            high = lower
    else:
        low = high
        while True:
            if low == most:
                return None
            high = min(most, max(low + 1, low * STEP if above == 0 else low + (low - above) * STEP))
            if reaches(high):
                break
            low = high
    while high - low > max(1.0, PRECISION * high):
        middle = round((low * high) ** 0.5) if low > 0 and high > 2 * low else (low + high) // 2
        middle = min(max(middle, low + 1), high - 1)
        if reaches(middle):
            high = middle
        else:
            low = middle
    return high
