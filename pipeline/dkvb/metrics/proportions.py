"""Shares of samples: their intervals, the difference of two on the same samples, and where predictions fall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

Z = 1.959963984540054
"""Half width of a normal 95 % interval, in standard deviations."""


def wilson(correct: int, samples: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, of at least one sample (Newcombe 1998, method 3)."""
    share = correct / samples
    denominator = 2 * (samples + Z**2)
    middle = (2 * samples * share + Z**2) / denominator
    half = Z / denominator * (4 * samples * share * (1 - share) + Z**2) ** 0.5
    low = 0.0 if correct == 0 else middle - half
    high = 1.0 if correct == samples else middle + half
    return low, high


def samples_to_show(limit: float) -> int | None:
    """The fewest samples of which none is recognised with which Wilson's interval stays within a limit in [0, 1]; None
    where no number is enough."""
    return math.ceil(Z**2 * (1 / limit - 1)) if limit > 0 else None


def one_of(choices: int) -> float:
    """Half width of a normal interval, in standard deviations, of the most extreme of several: Bonferroni's, so that
    all their intervals hold together with 95 %."""
    return NormalDist().inv_cdf(1 - 0.025 / max(1, choices))


def paired_difference(first: np.ndarray, second: np.ndarray, z: float = Z) -> tuple[float, float, float]:
    """Accuracy of one model less that of another on the same samples, and the ends of its 95 % interval.

    The interval is that of Agresti and Min (2005) for paired proportions: half a sample is added to each of the four
    outcomes, so that it has a width where the models never differ.

    Args:
        first, second: (n,) bool, whether each sample was predicted correctly; n is at least 1.
        z: half width of the interval in standard deviations; by default that of 95 %.
    """
    n = len(first)
    won, lost = int((first & ~second).sum()), int((second & ~first).sum())
    difference = (won - lost) / n
    middle = (won - lost) / (n + 2)
    half = z * (won + lost + 1 - (won - lost) ** 2 / (n + 2)) ** 0.5 / (n + 2)
    return difference, max(-1.0, middle - half), min(1.0, middle + half)


def retain_classes(classes: int, forget: Sequence[int]) -> list[int]:
    """Ids of the classes that stay."""
    return [c for c in range(classes) if c not in set(forget)]


def destination(predicted: np.ndarray, classes: int) -> np.ndarray:
    """(L,): the share of predictions (n,) that fall to each class; zeros without any."""
    return np.bincount(predicted, minlength=classes) / max(1, len(predicted))


def total_variation(first: np.ndarray, second: np.ndarray) -> float:
    """Distance in [0, 1] of two distributions (L,) over the classes: 0 the same, 1 no overlap."""
    return float(np.abs(first - second).sum() / 2)


def softmax(logits: np.ndarray, without: Sequence[int] = ()) -> np.ndarray:
    """(n, L) float64 probabilities of logits (n, L), over all classes or all but some, whose probability is then 0."""
    logits = logits.astype(np.float64)
    logits[:, list(without)] = -np.inf
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def mean_total_variation(first: np.ndarray, second: np.ndarray) -> float:
    """Mean distance in [0, 1] of two models' probabilities (n, L) for the same samples; n is at least 1."""
    return float(np.abs(first - second).sum(1).mean() / 2)
