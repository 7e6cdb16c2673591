"""Probes: can a fresh classifier still tell the forgotten class from what a model exposes?

It is trained on representations that are handed in: features of the encoder, the pooled values that a decoder sees
under its mask, or logits. What it finds in the features was never unlearned, since the encoder is frozen; a retrained
model shows what is there in any case. The nearer to that the better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dkvb.metrics.over_models import resampled
from dkvb.metrics.separation import area

FOLDS = 5
TREES = 100
DRAWS = 200
"""Draws of the bootstrap."""

Kind = Literal["linear", "forest"]


@dataclass(frozen=True)
class Probe:
    """How well a probe does on samples that it was not trained on; intervals are by bootstrap over these."""

    accuracy: float
    """Balanced: both sides weigh the same. 0.5 is chance."""
    accuracy_low: float
    accuracy_high: float
    auc: float
    """How often a sample of the class is scored above another; 0.5 is chance."""
    auc_low: float
    auc_high: float
    samples: int
    """Samples of the class; there were others beside."""


def probe(representation: np.ndarray, of_class: np.ndarray, kind: Kind = "linear", seed: int = 0) -> Probe:
    """Cross-validated accuracy of telling a class from all others.

    Args:
        representation: (n, D), a row a sample. Infinite logits count as far below the rest.
        of_class: (n,) bool, whether the sample is of the class.
        kind: "linear", a logistic regression on standardised columns; "forest", a random forest, which finds what no
            hyperplane does. Both classes weigh the same in either.
        seed: of folds, trees and bootstrap.

    Raises:
        ValueError: fewer than two samples on either side.
    """
    of_class = np.asarray(of_class, bool)
    scores = probe_scores(representation, of_class, kind, seed)
    accuracy, auc = _accuracy(scores, of_class), _auc(scores, of_class)
    sides = np.flatnonzero(of_class), np.flatnonzero(~of_class)

    def again(measure: Any, place: int) -> tuple[float, float]:
        rng = np.random.default_rng([seed, place])

        def drawn(_: np.ndarray) -> float:
            rows = np.concatenate([side[rng.integers(len(side), size=len(side))] for side in sides])
            return float(measure(scores[rows], of_class[rows]))

        ends = resampled(drawn, len(scores), DRAWS)
        assert ends is not None
        return ends

    return Probe(accuracy, *again(_accuracy, 0), auc, *again(_auc, 1), int(of_class.sum()))


def probe_scores(representation: np.ndarray, of_class: np.ndarray, kind: Kind = "linear", seed: int = 0) -> np.ndarray:
    """The probe's probability (n,) that each sample is of the class, from the fold that did not learn from it.
    Arguments as for `probe`."""
    from sklearn import config_context
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits

    fewest = int(min(of_class.sum(), (~of_class).sum()))
    if fewest < 2:
        raise ValueError("a probe needs two samples or more of the class, and two or more of others")
    exact, scores = _finite(representation), np.empty(len(of_class))
    folds = StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    # arrays are finite and parameters right: checking them in each fold takes longer than the fit
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        for learned, asked in folds.split(exact, of_class):
            taught, rest = exact[learned], exact[asked]
            if kind == "linear":
                mean, spread = taught.mean(0), taught.std(0)
                taught, rest = ((part - mean) / np.where(spread > 0, spread, 1) for part in (taught, rest))
            scores[asked] = _classifier(kind, seed).fit(taught, of_class[learned]).predict_proba(rest)[:, 1]
    return scores


def _finite(representation: np.ndarray) -> np.ndarray:
    """With infinite entries a little beyond the finite ones."""
    exact = np.array(representation, np.float64)
    there = exact[np.isfinite(exact)]
    low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 0.0)
    return np.nan_to_num(exact, nan=low, posinf=high + (high - low) + 1, neginf=low - (high - low) - 1)


def _classifier(kind: Kind, seed: int) -> Any:
    if kind == "forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(
            TREES, min_samples_leaf=2, class_weight="balanced_subsample", random_state=seed, n_jobs=1
        )
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(class_weight="balanced", max_iter=1000)


def _accuracy(scores: np.ndarray, of_class: np.ndarray) -> float:
    return float(((scores[of_class] > 0.5).mean() + (scores[~of_class] <= 0.5).mean()) / 2)


def _auc(scores: np.ndarray, of_class: np.ndarray) -> float:
    return area(scores[of_class], scores[~of_class])
