"""Class membership inference: can an attacker tell an unlearned class from one that the model never saw? (paper,
Appendix D)

The paper's attacker is a logistic regression that sees nothing but the loss of each sample on its true label; the other
is a random forest on loss, confidence and entropy, which finds what no threshold on the loss does. Neither has to come
out at 50%: a model that never saw the class is the reference.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn import config_context
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

LARGEST = 100.0
"""Losses are cut off here, where a float32 probability vanishes: a class whose logit is minus infinity has an infinite
loss."""


Losses = Mapping[str, np.ndarray]
"""`forget` and `held_out`, (N,) each."""

TREES, LEAF = 200, 5
"""Trees of the forest, and the fewest samples in a leaf."""


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

    def right(losses: Losses) -> float:
        x, y = _labelled(losses)
        return float(balanced_accuracy_score(y, attacker.predict(x)))

    # losses are finite and parameters right: checking that takes longer than the fit
    with config_context(assume_finite=True, skip_parameter_validation=True):
        attacker = LogisticRegression(class_weight="balanced", max_iter=1000).fit(x, y)
        return right(test), right(validation)


def class_membership(unlearned: float, retrained: float) -> float:
    """How far an attack on an unlearned model is from the same attack on a retrained one: 0 is best.

    An attack need not come out at 50 % on a model that never saw the class, so that the nearer to 50 % is not the
    better.

    Args:
        unlearned, retrained: how often the same attacker is right, in [0, 1], see `score` and `forest_score`.
    """
    return abs(unlearned - retrained)


def seen(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What the forest sees of samples: (N, 3) loss, confidence (the largest probability) and entropy of the answer."""
    loss = cross_entropy(logits, labels)
    log = logits.astype(np.float64) - np.logaddexp.reduce(logits.astype(np.float64), axis=1, keepdims=True)
    probabilities = np.exp(log)
    entropy = -np.where(probabilities > 0, probabilities * np.maximum(log, -LARGEST), 0.0).sum(1)
    return np.column_stack([loss, probabilities.max(1), entropy])


def forest_score(validation: Losses, test: Losses, seed: int) -> float:
    """How often a random forest is right on test data, in [0, 1], fitted to validation data alone; both classes weigh
    the same.

    Args:
        validation, test: `forget` and `held_out`, (N, 3) each, as `seen` gives them.
    """
    forest = RandomForestClassifier(
        TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed % 2**32, n_jobs=1
    )
    forest.fit(*_labelled(validation))
    x, y = _labelled(test)
    return float(balanced_accuracy_score(y, forest.predict(x)))


def _labelled(losses: Losses) -> tuple[np.ndarray, np.ndarray]:
    parts = losses["forget"], losses["held_out"]
    x = np.concatenate(parts)
    return x.reshape(len(x), -1), np.repeat([1, 0], [len(part) for part in parts])
