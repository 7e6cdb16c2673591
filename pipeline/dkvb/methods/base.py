"""What every method returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dkvb.metrics.accuracy import per_class
from dkvb.study import Splits

TRAIN_AND_TEST = ("test", "train")


@dataclass(frozen=True)
class Point:
    """One point of a sweep on one split: (L,) correct predictions and samples of every class."""

    n: int
    split: str
    correct: np.ndarray
    total: np.ndarray
    masked: int


@dataclass(frozen=True)
class CurvePoint:
    """Accuracies in [0, 1] at one n on the split on which n is chosen."""

    n: int
    retain: float
    forget: float


def smallest_reaching(curve: Sequence[CurvePoint], target: float) -> tuple[int, str | None]:
    """The smallest n whose forget accuracy is at most the target; failing that, the n with the lowest, and a note."""
    for at in curve:
        if at.forget <= target:
            return at.n, None
    best = min(curve, key=lambda at: (at.forget, at.n))
    return best.n, f"no point of the sweep brings forget accuracy to {target:.1%}; the lowest is {best.forget:.1%}"


@dataclass
class Forgotten:
    """The outcome of unlearning at one n.

    `before` and `after` hold predicted classes (N,) for "train" and "test"; `arrays` is what is kept: a packed mask or weights.
    `seconds` and `flops` are those of unlearning itself; `seconds_counts` and `flops_counts` those of the pass that gathers selections.
    """

    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]
    seconds: float
    masked: int = 0
    activated: int | None = None
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    note: str | None = None
    flops: int | None = None
    seconds_counts: float = 0.0
    flops_counts: int = 0


def point(splits: Splits, split: str, predicted: np.ndarray, n: int, masked: int = 0) -> Point:
    """A sweep's point from predictions (N,)."""
    return Point(n, split, *per_class(predicted, splits.labels[split], len(splits.classes)), masked)
