"""Accuracy per class and on the four splits of the paper's Table 1: retain and forget, train and test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def per_class(predicted: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Correct predictions and samples of every class.

    Args:
        predicted, labels: (N,) integers.

    Returns:
        correct (L,), total (L,) int64.
    """
    total = np.bincount(labels, minlength=classes)
    return np.bincount(labels[predicted == labels], minlength=classes), total


def share(correct: np.ndarray, total: np.ndarray, classes: Sequence[int] | np.ndarray) -> float | None:
    """Accuracy over all samples of some classes; None where there are none."""
    samples = int(total[classes].sum())
    return float(correct[classes].sum() / samples) if samples else None


def retain_and_forget(
    correct: np.ndarray, total: np.ndarray, forget: Sequence[int]
) -> tuple[float | None, float | None]:
    """Accuracy on the retain classes and on the forget classes."""
    retain = np.setdiff1d(np.arange(len(total)), forget)
    return share(correct, total, retain), share(correct, total, np.asarray(forget, np.int64))


def target_accuracy(target: str, classes: int) -> float:
    """The forget accuracy in [0, 1] that a target means: "zero", or "chance", one in the number of classes."""
    return 0.0 if target == "zero" else 1 / classes


def percent(share: float | None) -> str:
    """As a person reads it, "97.3%"; "-" where it is missing."""
    return "-" if share is None else f"{100 * share:.1f}%"


def accuracies(correct: np.ndarray, total: np.ndarray) -> list[float | None]:
    """Accuracy of each class; None where it has no samples."""
    return [float(c / t) if t else None for c, t in zip(correct, total, strict=True)]


def worst_retained(predicted: np.ndarray, labels: np.ndarray, forget: Sequence[int]) -> float | None:
    """Accuracy of the retained class that is recognised worst, higher is better; None where no retained class has
    samples.

    Args:
        predicted, labels: (N,) integers.
    """
    classes = int(max(labels.max(initial=0), predicted.max(initial=0))) + 1
    correct, total = per_class(predicted, labels, classes)
    total[list(forget)] = 0
    found = [c for c in accuracies(correct, total) if c is not None]
    return min(found) if found else None
