"""Results over training seeds: mean, standard deviation, and the range of a few or a 95 % interval of the mean of more.

Seeds differ in everything that training draws (projections, keys, order, validation rows) and share the test samples:
such an interval is of training alone, and those of `dkvb.metrics.proportions` are of the choice of samples alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

FEW = 3
"""Up to so many seeds the range says more than Student's interval, which is then wider than what it is about."""


@cache
def student(count: int) -> float:
    """The 97.5% quantile of Student's t for a mean of `count` values."""
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    return float(stdtrit(count - 1, 0.975))


@dataclass(frozen=True)
class Stat:
    """Mean over seeds and, where there are several, the sample standard deviation and the least and largest value."""

    mean: float
    sd: float | None
    count: int
    least: float
    most: float

    @property
    def ci95(self) -> float | None:
        """Half the width of Student's 95% interval of the mean; None for a single value. It knows no bounds: see
        `ends`."""
        return None if self.sd is None else student(self.count) * self.sd / self.count**0.5

    def ends(self, low: float = -math.inf, high: float = math.inf) -> tuple[float, float] | None:
        """What the seeds range over, of up to `FEW`; of more, Student's 95% interval of the mean, cut off at the least
        and largest value that there can be. None for a single value."""
        half = self.ci95
        if half is None:
            return None
        if self.count <= FEW:
            return self.least, self.most
        return max(low, self.mean - half), min(high, self.mean + half)


def stat(values: Iterable[float | None]) -> Stat | None:
    """None where no seed has a value."""
    known = [float(value) for value in values if value is not None]
    if not known:
        return None
    sd = statistics.stdev(known) if len(known) > 1 else None
    return Stat(statistics.fmean(known), sd, len(known), min(known), max(known))
