"""Is a model's output closer to one reference than to another? The relative three-sample test of Bounliphone et al.
2016 ("A test of relative similarity for model selection in generative models"), by the maximum mean discrepancy.

u, r and o are what three models answer to the same inputs. With k a Gaussian kernel, its bandwidth the median distance,

    T = MMD²(u, r) − MMD²(u, o)

is a U-statistic over the triples (u_i, r_i, o_i): the mean over i ≠ j of

    h_ij = k(r_i, r_j) − k(u_i, r_j) − k(r_i, u_j) − k(o_i, o_j) + k(u_i, o_j) + k(o_i, u_j)

(k(u_i, u_j) cancels). T is asymptotically normal with variance 4/n Var_i(mean_j h_ij), in which the covariance of the
two discrepancies is contained; the triples are the sample, so that the three models may see the same inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dkvb.metrics.evenly import evenly

Z = 1.6448536269514722
"""The 95 % quantile of the normal distribution: each side is tested by itself."""

MOST = 1000
"""Triples that are compared at most, evenly spaced: time and memory grow with their square."""

FEWEST = 10
"""With fewer triples the variance is a guess."""


@dataclass(frozen=True)
class Relative:
    """T: below 0 where u is closer to r, above 0 where it is closer to o."""

    statistic: float
    deviation: float
    """Its standard deviation."""
    samples: int

    @property
    def low(self) -> float:
        """Below which T lies with a probability of 5 %."""
        return self.statistic - Z * self.deviation

    @property
    def high(self) -> float:
        """Above which T lies with a probability of 5 %."""
        return self.statistic + Z * self.deviation


def closer(u: np.ndarray, r: np.ndarray, o: np.ndarray) -> Relative | None:
    """The test for outputs (n, L) of three models on the same n inputs; None with fewer than `FEWEST`."""
    if len(u) < FEWEST:
        return None
    u, r, o = (np.asarray(evenly(part, MOST), np.float64) for part in (u, r, o))
    everyone, n = np.concatenate([u, r, o]), len(u)
    distances = _squared(everyone, everyone)
    apart = distances[np.triu_indices(3 * n, 1)]
    bandwidth = float(np.median(apart)) or float(apart.mean()) or 1.0  # the median is 0 where most outputs are the same
    k = np.exp(-distances / (2 * bandwidth))
    uu, rr, oo = (slice(i * n, (i + 1) * n) for i in range(3))
    h = k[rr, rr] - k[uu, rr] - k[rr, uu] - k[oo, oo] + k[uu, oo] + k[oo, uu]
    np.fill_diagonal(h, 0)
    of_each = h.sum(1) / (n - 1)
    statistic = float(of_each.mean())
    return Relative(statistic, float(2 * of_each.std(ddof=1) / n**0.5), n)


def _squared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n, m) squared Euclidean distances of rows."""
    products = first @ second.T
    return np.maximum((first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * products, 0)
