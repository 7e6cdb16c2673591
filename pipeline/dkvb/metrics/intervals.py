"""Results over training seeds: mean, standard deviation and a 95 % interval of the mean."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache


@cache
def student(count: int) -> float:
    """The 97.5% quantile of Student's t for a mean of `count` values."""
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    return float(stdtrit(count - 1, 0.975))


@dataclass(frozen=True)
class Stat:
    """Mean over seeds and, where there are several, the sample standard deviation."""

    mean: float
    sd: float | None
    count: int

    @property
    def ci95(self) -> float | None:
        """Half the width of Student's 95% interval of the mean; None for a single value."""
        return None if self.sd is None else student(self.count) * self.sd / self.count**0.5


def stat(values: Iterable[float | None]) -> Stat | None:
    """None where no seed has a value."""
    known = [float(value) for value in values if value is not None]
    if not known:
        return None
    return Stat(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))
