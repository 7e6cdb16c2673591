"""Correct predictions per class, and from them the accuracies on retain and forget classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dkvb.evaluation.splits import Splits
from dkvb.metrics.accuracy import accuracies, per_class, retain_and_forget
from dkvb.records.accuracies import Accuracies


@dataclass(frozen=True)
class Counted:
    """Correct predictions and samples of every class of a split, (L,) int64 each."""

    correct: np.ndarray
    total: np.ndarray

    @property
    def accuracy(self) -> float:
        """Over all samples."""
        return float(self.correct.sum() / self.total.sum())

    @property
    def per_class(self) -> list[float | None]:
        """Accuracy of each class; None where it has no samples."""
        return accuracies(self.correct, self.total)


def count(splits: Splits, predicted: Mapping[str, np.ndarray]) -> dict[str, Counted]:
    """Split -> correct predictions, of predicted classes (N,) by split."""
    classes = len(splits.classes)
    return {split: Counted(*per_class(those, splits.labels[split], classes)) for split, those in predicted.items()}


def measure(counts: Mapping[str, Counted], forget: Sequence[int], leave_out: Sequence[int] = ()) -> Accuracies:
    """Accuracies on the forget classes and on all others, on test, train and, where it was counted, validation data.

    Args:
        leave_out: classes that belong to neither, since an earlier request forgets them.
    """
    measured: dict[str, float | None] = {}
    for split, counted in counts.items():
        correct, total = counted.correct.copy(), counted.total.copy()
        correct[list(leave_out)] = total[list(leave_out)] = 0
        measured[f"retain_{split}"], measured[f"forget_{split}"] = retain_and_forget(correct, total, forget)
    return Accuracies.model_validate(measured)
