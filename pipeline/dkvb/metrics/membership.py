"""Class membership inference: can an attacker tell an unlearned class from one that the model never saw? (paper,
Appendix D)

The attacker sees nothing but the loss of each sample on its true label. 50 % is a perfect defence.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

LARGEST = 100.0
"""Losses are cut off here, where a float32 probability vanishes: a class whose logit is minus infinity has an infinite
loss."""


Losses = Mapping[str, np.ndarray]
"""`forget` and `held_out`, (N,) each."""


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each sample's loss, at most `LARGEST`: logits (N, L), labels (N,) -> (N,) float64."""
    logits = logits.astype(np.float64)
    return np.minimum(np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels], LARGEST)


def score(validation: Losses, test: Losses) -> tuple[float, float]:
    """How often the attacker is right, in [0, 1], on test and on validation data.

    The attacker is a logistic regression on the loss, label 1 = forget and 0 = held out, fitted to validation data
    alone. Both classes weigh the same, however many samples each has; of equally many, this is plain accuracy.
    """
    x, y = _labelled(validation)
    attacker = LogisticRegression(class_weight="balanced", max_iter=1000).fit(x, y)

    def right(losses: Losses) -> float:
        x, y = _labelled(losses)
        return float(balanced_accuracy_score(y, attacker.predict(x)))

    return right(test), right(validation)


def _labelled(losses: Losses) -> tuple[np.ndarray, np.ndarray]:
    parts = losses["forget"], losses["held_out"]
    return np.concatenate(parts)[:, None], np.repeat([1, 0], [len(part) for part in parts])
