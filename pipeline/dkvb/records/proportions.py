"""Accuracies and their differences, each with a 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from dkvb.metrics.proportions import Z, paired_difference, retain_classes, wilson
from dkvb.records.base import Record


class Accuracy(Record):
    """The share of samples, in [0, 1], that were predicted correctly, with Wilson's 95 % interval."""

    accuracy: float
    """The share."""
    low: float
    high: float
    correct: int
    samples: int

    @classmethod
    def of(cls, correct: int, samples: int) -> Accuracy | None:
        """None without samples."""
        if samples == 0:
            return None
        low, high = wilson(correct, samples)
        return cls(accuracy=correct / samples, low=low, high=high, correct=correct, samples=samples)

    @classmethod
    def on(cls, predicted: np.ndarray, labels: np.ndarray, classes: Sequence[int]) -> Accuracy | None:
        """That of predictions (N,) for labels (N,), over the samples of some classes."""
        rows = np.isin(labels, classes)
        return cls.of(int((predicted[rows] == labels[rows]).sum()), int(rows.sum()))

    def __str__(self) -> str:
        return f"{self.accuracy:.1%} ({self.low:.1%} to {self.high:.1%}, {self.correct} of {self.samples})"


class ClassAccuracy(Record):
    """The accuracy on one class; `accuracy` is None, and the rest missing, where it has no samples."""

    absent: ClassVar[frozenset[str]] = frozenset({"low", "high", "correct"})

    class_id: int = Field(alias="class")
    name: str
    forgotten: bool
    """Whether the class is to be forgotten."""
    accuracy: float | None = None
    """The share that was predicted correctly."""
    low: float | None = None
    high: float | None = None
    correct: int | None = None
    samples: int = 0


class SplitAccuracy(Record):
    """Accuracies on one split: of all forgotten classes together, of all others, and of each class."""

    forget: Accuracy | None
    retain: Accuracy | None
    per_class: list[ClassAccuracy]

    @classmethod
    def on(
        cls, predicted: np.ndarray, labels: np.ndarray, names: Sequence[str], forget: Sequence[int]
    ) -> SplitAccuracy:
        """That of predictions (N,) for labels (N,).

        Args:
            names: of all classes.
            forget: ids of the forgotten ones.
        """
        per_class = []
        for c, name in enumerate(names):
            known = Accuracy.on(predicted, labels, [c])
            per_class.append(ClassAccuracy(class_id=c, name=name, forgotten=c in forget, **dict(known or {})))
        return cls(
            forget=Accuracy.on(predicted, labels, forget),
            retain=Accuracy.on(predicted, labels, retain_classes(len(names), forget)),
            per_class=per_class,
        )


class Difference(Record):
    """The accuracy of one model less that of another on the same samples, with a 95 % interval (Agresti and Min)."""

    difference: float
    """The first less the second."""
    low: float
    high: float

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray, z: float = Z) -> Difference | None:
        """From whether each sample was predicted correctly by either model, (n,) bool; None without samples. `z`: see
        `paired_difference`."""
        if len(first) == 0:
            return None
        difference, low, high = paired_difference(first, second, z)
        return cls(difference=difference, low=low, high=high)
