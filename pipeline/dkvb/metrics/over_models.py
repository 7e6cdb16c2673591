"""Intervals over models: what a statistic would be of other models drawn like these."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TIMES = 1000
"""Draws of a bootstrap."""

LEVEL = 0.95


def resampled(
    statistic: Callable[[np.ndarray], float], units: int, times: int = TIMES, seed: int = 0
) -> tuple[float, float] | None:
    """Ends of the 95 % percentile interval of a statistic, by bootstrap over units (models, or samples); None for fewer
    than two units.

    Efron's percentile interval: it lies within the range of the statistic, and is too narrow for a handful of units.

    Args:
        statistic: of the units whose places (units,) int64 it is given, some of them several times.
        seed: of the draws alone.
    """
    if units < 2:
        return None
    rng = np.random.default_rng(seed)
    drawn = [statistic(rng.integers(units, size=units)) for _ in range(times)]
    return percentiles(np.asarray(drawn))


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of values (n,)."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def mean_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float] | None:
    """The same of the mean of values (n,), one of each model."""
    if len(values) < 2:
        return None
    drawn = np.random.default_rng(seed).integers(len(values), size=(TIMES, len(values)))
    return percentiles(values[drawn].mean(1))
