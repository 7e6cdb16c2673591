"""Does a measure work? It has to tell models that know a class from models that never saw it.

OpenUnlearning (Dorna et al. 2025, arXiv 2506.12618) judges measures of unlearning so, under the name of faithfulness.
Here the positives are original models and the negatives are oracles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Separation:
    """How well a measure separates positives from negatives."""

    auc: float
    """How often a positive's value is above a negative's, ties counting half: 1 or 0 separates wholly, 0.5 not at
    all."""
    threshold: float
    """The value that separates best, half way between the two it lies between."""
    above: bool
    """Whether positives are those above it."""
    accuracy: float
    """The share on the right side of it, positives and negatives weighing the same."""

    @property
    def power(self) -> float:
        """The area under the ROC curve whichever way the measure points: 0.5 not at all, 1 wholly."""
        return max(self.auc, 1 - self.auc)


def separates(positives: np.ndarray, negatives: np.ndarray) -> Separation:
    """How well a measure's values separate models that know, positives (n,), from those that do not, negatives (m,).

    Raises:
        ValueError: there are none of one kind, or a value is not a number.
    """
    positives, negatives = np.asarray(positives, np.float64), np.asarray(negatives, np.float64)
    if not len(positives) or not len(negatives):
        raise ValueError("a separation needs values of both kinds")
    if np.isnan(positives).any() or np.isnan(negatives).any():
        raise ValueError("a value is not a number")
    auc = area(positives, negatives)
    values = np.unique(np.concatenate([positives, negatives]))
    if len(values) == 1:
        return Separation(auc, float(values[0]), True, 0.5)
    cuts = (values[:-1] + values[1:]) / 2
    higher = 1 - np.searchsorted(np.sort(positives), cuts, "right") / len(positives)
    lower = np.searchsorted(np.sort(negatives), cuts, "right") / len(negatives)
    right = (higher + lower) / 2
    above = bool(right.max() >= 1 - right.min())
    best = int(right.argmax() if above else right.argmin())
    return Separation(auc, float(cuts[best]), above, float(right[best] if above else 1 - right[best]))


def area(positives: np.ndarray, negatives: np.ndarray) -> float:
    """The area under the ROC curve: how often a positive's value is above a negative's, ties counting half. Values (n,)
    and (m,), of which none is empty."""
    ordered = np.sort(negatives)
    below, until = (np.searchsorted(ordered, positives, side) for side in ("left", "right"))  # type: ignore[call-overload]
    return float((below + until).mean() / 2 / len(negatives))
