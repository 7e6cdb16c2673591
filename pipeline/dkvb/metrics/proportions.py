"""What a verdict on forgotten classes rests on: accuracies with their intervals, differences between two models,
destinations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

Accuracy = dict[str, float | int]


Z = 1.959963984540054
"""Half width of a normal 95 % interval, in standard deviations."""


def accuracy(correct: int, samples: int) -> Accuracy | None:
    """A share in [0, 1] with Wilson's 95 % interval; None without samples."""
    if samples == 0:
        return None
    ci = binomtest(correct, samples).proportion_ci(method="wilson")
    return {
        "accuracy": correct / samples,
        "low": float(ci.low),
        "high": float(ci.high),
        "correct": correct,
        "samples": samples,
    }


def accuracy_on(predicted: np.ndarray, labels: np.ndarray, classes: Sequence[int]) -> Accuracy | None:
    """Accuracy of predictions (N,) over all samples (N,) of some classes."""
    rows = np.isin(labels, classes)
    return accuracy(int((predicted[rows] == labels[rows]).sum()), int(rows.sum()))


def retain_classes(classes: int, forget: Sequence[int]) -> list[int]:
    """Ids of the classes that stay."""
    return [c for c in range(classes) if c not in set(forget)]


def accuracies(
    predicted: np.ndarray, labels: np.ndarray, names: Sequence[str], forget: Sequence[int]
) -> dict[str, Any]:
    """`forget`, `retain` and `per_class` accuracies of predictions (N,) for labels (N,)."""
    unknown: dict[str, Any] = {"accuracy": None, "samples": 0}
    per_class = [
        {"class": c, "name": name, "forgotten": c in forget} | (accuracy_on(predicted, labels, [c]) or unknown)
        for c, name in enumerate(names)
    ]
    return {
        "forget": accuracy_on(predicted, labels, forget),
        "retain": accuracy_on(predicted, labels, retain_classes(len(names), forget)),
        "per_class": per_class,
    }


def paired_difference(first: np.ndarray, second: np.ndarray) -> dict[str, float] | None:
    """Accuracy of one model less that of another on the same samples, with a 95 % interval.

    The interval is that of Agresti and Min (2005) for paired proportions: half a sample is added to each of the four
    outcomes, so that it has a width where the models never differ.

    Args:
        first, second: (n,) bool, whether each sample was predicted correctly.
    """
    n = len(first)
    if n == 0:
        return None
    won, lost = int((first & ~second).sum()), int((second & ~first).sum())
    difference = (won - lost) / n
    middle = (won - lost) / (n + 2)
    half = Z * (won + lost + 1 - (won - lost) ** 2 / (n + 2)) ** 0.5 / (n + 2)
    return {"difference": difference, "low": max(-1.0, middle - half), "high": min(1.0, middle + half)}


def destination(predicted: np.ndarray, classes: int) -> np.ndarray:
    """(L,): the share of predictions (n,) that fall to each class; zeros without any."""
    return np.bincount(predicted, minlength=classes) / max(1, len(predicted))


def destinations(
    unlearned: np.ndarray, oracle: np.ndarray, labels: np.ndarray, names: Sequence[str], forget: Sequence[int]
) -> dict[str, dict[str, Any]]:
    """Where two models' predictions (N,) put samples of each forgotten class: shares (L,), total variation distance in
    [0, 1]."""
    found = {}
    for c in forget:
        rows = labels == c
        mine, other = (destination(predicted[rows], len(names)) for predicted in (unlearned, oracle))
        found[names[c]] = {
            "class": c,
            "samples": int(rows.sum()),
            "unlearned": mine.tolist(),
            "oracle": other.tolist(),
            "total_variation": float(np.abs(mine - other).sum() / 2) if rows.any() else None,
        }
    return found
