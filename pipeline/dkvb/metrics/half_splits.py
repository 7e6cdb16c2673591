"""U-LiRA: can an attacker with shadow models tell whether a point was learned and then unlearned, or never learned?

Hayes et al., "Inexact Unlearning Needs More Careful Evaluations to Avoid a False Sense of Privacy" (arXiv 2403.01218).
Each shadow model is trained on a random half of the data and then unlearned, so that every point was forgotten by some
models and never seen by others. To attack one model at a point, a Gaussian is fitted to the scores of the other models
that forgot it and another to those of the models that never saw it; the larger likelihood wins. 50 % means that the
attacker cannot tell: the nearer to that, the better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dkvb.metrics.over_models import resampled
from dkvb.metrics.separation import area

FEWEST = 3
"""Models on either side of a point; one of them is attacked, and a variance needs two more."""

NARROW = 1e-6
"""The least deviation of a fitted Gaussian, in units of the score."""

FALSE_ALARMS = 0.01
"""The false positive rate at which the true positive rate is given."""


@dataclass(frozen=True)
class Ulira:
    """How well the attacker does; 0.5, 0.5 and 0.01 where nothing can be told."""

    accuracy: float
    """The share of cases in which it is right, both kinds weighing the same."""
    low: float | None
    high: float | None
    """Ends of its 95 % interval by bootstrap over models."""
    auc: float
    tpr: float
    """True positive rate at 1 % false positives."""
    points: int
    """Points that were attacked: those with `FEWEST` models or more on either side."""
    models: int


def ulira(scores: np.ndarray, forgotten: np.ndarray, never: np.ndarray | None = None) -> Ulira:
    """The attack on P points by T shadow models.

    Args:
        scores: (T, P), each unlearned model's score of each point, log(p / (1 − p)) of the label or its margin.
        forgotten: (T, P) bool, whether the model was trained on the point and then unlearned it.
        never: (T, P) bool, whether it never saw it; by default, wherever it has not forgotten it.

    Raises:
        ValueError: no point has enough models on either side.
    """
    never = ~forgotten if never is None else never
    kept = (forgotten.sum(0) >= FEWEST) & (never.sum(0) >= FEWEST)
    if not kept.any():
        raise ValueError(f"no point was forgotten by {FEWEST} models or more and never seen by {FEWEST} or more")
    scores, forgotten, never = scores[:, kept].astype(np.float64), forgotten[:, kept], never[:, kept]
    ratio = _log_likelihood(scores, forgotten) - _log_likelihood(scores, never)
    parts = [np.where(side, (ratio > 0) == right, False).sum(1) for side, right in ((forgotten, True), (never, False))]
    totals = [forgotten.sum(1), never.sum(1)]

    def accuracy(models: np.ndarray) -> float:
        shares = [part[models].sum() / max(1, total[models].sum()) for part, total in zip(parts, totals, strict=True)]
        return float(np.mean(shares))

    everyone = np.arange(len(scores))
    low, high = resampled(accuracy, len(scores)) or (None, None)
    auc, tpr = _curve(ratio[forgotten], ratio[never])
    return Ulira(accuracy(everyone), low, high, auc, tpr, int(kept.sum()), len(scores))


def _log_likelihood(scores: np.ndarray, side: np.ndarray) -> np.ndarray:
    """(T, P): of each score under the Gaussian of a side's scores at the same point, its own left out where it is
    among them."""
    about = np.where(side, scores, 0).sum(0) / side.sum(0)  # subtracted first, so that squares lose nothing
    apart = scores - about
    mine = np.where(side, apart, 0)
    count = side.sum(0) - side
    mean = (mine.sum(0) - mine) / count
    variance = ((mine**2).sum(0) - mine**2 - count * mean**2) / (count - 1)
    deviation = np.sqrt(np.maximum(variance, NARROW**2))
    return np.asarray(-(((apart - mean) / deviation) ** 2) / 2 - np.log(deviation))


def _curve(positive: np.ndarray, negative: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, and the true positive rate at `FALSE_ALARMS`."""
    threshold = np.quantile(negative, 1 - FALSE_ALARMS, method="higher")
    return area(positive, negative), float((positive > threshold).mean())
