"""What a bottleneck takes single test samples for, before and after some of its pairs are masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkvb.evaluation.under_masks import masked_logits_at
from dkvb.metrics.evenly import evenly
from dkvb.pages.facts.asked import hidden, orders, whole
from dkvb.pages.facts.setups import Trained

LOOKED_AT = 10_000
"""Test samples of the classes that stay, at most, evenly spaced: as many as CIFAR has."""

FORGOTTEN = 1_000
"""Those of the forgotten classes, at most."""


@dataclass(frozen=True)
class Answers:
    """What n test samples are taken for."""

    rows: np.ndarray
    """(n,) rows of the stored test set."""
    labels: np.ndarray
    """(n,) what they are."""
    before: np.ndarray
    after: np.ndarray
    """(n,) what they are taken for, without the mask and with it."""
    oracle: np.ndarray | None = None
    """(n,) what a model takes them for that never saw the forgotten classes."""

    def of(self, classes: Sequence[int]) -> np.ndarray:
        """(n,) bool: those that are of some classes."""
        return np.isin(self.labels, list(classes))


def answers(trained: Trained, mask: np.ndarray, forget: Sequence[int]) -> Answers:
    """Those of the test samples of the forgotten classes and of the others, of both at most so many.

    Args:
        mask: (C, M) bool.

    Raises:
        DamagedArtifact: codes, values or features are missing or were altered.
    """
    with whole(trained) as model:
        labels = model.splits.labels["test"]
        mine = np.isin(labels, list(forget))
        chosen = [evenly(np.flatnonzero(mine), FORGOTTEN), evenly(np.flatnonzero(~mine), LOOKED_AT)]
        places = np.sort(np.concatenate(chosen))
        order, _ = orders(model, trained, forget)
        before, after = masked_logits_at(model, hidden(order, mask), [0, 1], "test", places).argmax(2)
    return Answers(model.splits.rows["test"][places], labels[places], before, after)
