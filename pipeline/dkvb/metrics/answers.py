"""What an unlearned model answers, beside a retrained one: where the forgotten class's samples go, and how much of all
else is as it would be.

Probabilities are (n, L), a row a sample, of both models for the same samples. None of these measures says by itself
that something is forgotten: read each beside what it is between two retrained models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dkvb.metrics.proportions import mean_total_variation, total_variation


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The Jensen-Shannon divergence (…) of distributions (…, L), in bits, so in [0, 1]: 0 the same, 1 no overlap."""
    middle = (first + second) / 2
    return np.asarray((_relative(first, middle) + _relative(second, middle)) / 2)


def _relative(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence (…) in bits of distributions p from q (…, L), where q is 0 only where p is."""
    ratios = np.divide(p, q, out=np.ones_like(q, np.float64), where=p > 0)
    return np.asarray((p * np.log2(ratios)).sum(-1))


@dataclass(frozen=True)
class Destinations:
    """How far apart two models are in where samples go; every number in [0, 1], 0 the same, lower is better."""

    total_variation: float
    """Of the mean probability vectors."""
    jensen_shannon: float
    """Of the mean probability vectors, in bits."""
    each_total_variation: float
    """Mean over samples."""
    each_jensen_shannon: float


def destinations(unlearned: np.ndarray, retrained: np.ndarray) -> Destinations:
    """Where samples go in an unlearned model, beside a retrained one: probabilities (n, L) of both, n at least 1."""
    means = unlearned.mean(0), retrained.mean(0)
    return Destinations(
        total_variation(*means),
        float(jensen_shannon(*means)),
        mean_total_variation(unlearned, retrained),
        float(jensen_shannon(unlearned, retrained).mean()),
    )


def activation_distance(unlearned: np.ndarray, retrained: np.ndarray) -> float:
    """Mean Euclidean distance, in [0, √2], of the probabilities (n, L): lower is better (Golatkar et al. 2021, as in
    Chundawat et al. 2023)."""
    return float(np.linalg.norm(unlearned - retrained, axis=1).mean())


def completeness(unlearned: np.ndarray, retrained: np.ndarray) -> float:
    """The share of samples that both models take for the same class, (n,) predictions of each: higher is better (Cao
    and Yang 2015)."""
    return float((unlearned == retrained).mean())


def zrf(unlearned: np.ndarray, untrained: np.ndarray) -> float:
    """Zero retrain forgetting: 1 less the mean Jensen-Shannon divergence, in bits, between the probabilities (n, L) of
    the unlearned model and those of one that was never trained (Chundawat et al. 2023, "Can bad teaching induce
    forgetting?").

    In [0, 1]; there, higher is called better. It rewards random answers: a retrained model, which is sure of the class
    that looks most alike, scores low, so that the score to reach is the retrained model's.
    """
    return 1 - float(jensen_shannon(unlearned, untrained).mean())


def tow(unlearned: Mapping[str, float], retrained: Mapping[str, float]) -> float:
    """Tug of war (Zhao et al. 2024, "What makes unlearning hard"): the product over sets of samples of 1 less the
    difference of accuracies; 1 is the retrained model's accuracy on all of them, higher is better.

    Args:
        unlearned, retrained: accuracies in [0, 1] by set: forget, retain, test.
    """
    if unlearned.keys() != retrained.keys():
        raise ValueError(f"accuracies of different sets: {sorted(unlearned)} and {sorted(retrained)}")
    return float(np.prod([1 - abs(unlearned[name] - retrained[name]) for name in unlearned]))


def nearest_retained(retrained: np.ndarray, forget: Sequence[int]) -> int:
    """The retained class that a retrained model takes most samples of the forgotten classes for: the neighbour that
    unlearning may harm.

    Args:
        retrained: (n, L) probabilities or logits of samples of the forgotten classes.
    """
    kept = np.setdiff1d(np.arange(retrained.shape[1]), forget)
    chosen = np.bincount(retrained[:, kept].argmax(1), minlength=len(kept))
    return int(kept[chosen.argmax()])
