"""The models that an unlearned one is compared with, and the rows on which it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dkvb.audit.outputs import Outputs
from dkvb.metrics.accuracy import per_class
from dkvb.metrics.answers import nearest_retained
from dkvb.metrics.evenly import evenly
from dkvb.metrics.membership import cross_entropy, score
from dkvb.metrics.proportions import retain_classes, softmax

AGAINST = 8
"""Retrained models that a model is compared with at most, evenly spaced among them: a mean over more hardly moves."""

SHARED = ("kept", "probabilities", "predicted", "retrained_by_class", "retrained_attacks", "neighbour")
"""What a scene has computed that does not depend on its unlearned models."""

FEWEST = 10
"""Rows on either side that an attack on membership needs."""


@dataclass(frozen=True)
class Scene:
    """Retrained models and rows. A retrained model that is itself measured (`own`, its place) is never compared with
    itself."""

    outputs: Outputs

    def beside_the_same(self, unlearned: np.ndarray) -> Scene:
        """The scene of other unlearned models (S, P, L) beside the same originals and retrained ones; what was computed
        of those is not computed again."""
        other = Scene(replace(self.outputs, unlearned=unlearned))
        other.__dict__.update({name: self.__dict__[name] for name in SHARED if name in self.__dict__})
        return other

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What measures have found of retrained models and originals, by their names."""
        return {}

    @cached_property
    def forget(self) -> np.ndarray:
        """Places of the forgotten classes' held-out rows or, where there are none, of the rows they were learned
        from."""
        mine = self.outputs.forgotten & self.outputs.held_out
        return np.flatnonzero(mine if mine.any() else self.outputs.forgotten)

    @cached_property
    def retain(self) -> np.ndarray:
        """Places of held-out rows of the other classes."""
        return np.flatnonzero(self.outputs.held_out & ~self.outputs.forgotten)

    @cached_property
    def learned(self) -> np.ndarray:
        """Places of the rows that the forgotten classes were learned from."""
        return np.flatnonzero(self.outputs.forgotten & ~self.outputs.held_out)

    @property
    def classes(self) -> int:
        return int(self.outputs.unlearned.shape[2])

    @cached_property
    def retained_classes(self) -> list[int]:
        """Those that have held-out rows."""
        there = set(self.outputs.labels[self.retain])
        return [c for c in retain_classes(self.classes, self.outputs.forget) if c in there]

    def others(self, own: int | None) -> np.ndarray:
        """Places of the retrained models that a model is compared with."""
        left = np.setdiff1d(np.arange(len(self.outputs.retrained)), [] if own is None else [own])
        return evenly(left, AGAINST)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(N, n, L): retrained models on the forgotten classes' rows."""
        return np.stack([softmax(logits[self.forget]) for logits in self.outputs.retrained])

    @cached_property
    def predicted(self) -> np.ndarray:
        """(N, P): what retrained models take each row for."""
        return np.asarray(self.outputs.retrained.argmax(2))

    def accuracy(self, predicted: np.ndarray, rows: np.ndarray) -> float:
        """Of predictions (P,) on some rows."""
        return float((predicted[rows] == self.outputs.labels[rows]).mean())

    def by_class(self, predicted: np.ndarray) -> np.ndarray:
        """(L,): accuracy of predictions (P,) on held-out rows of each class; NaN where it has none."""
        rows = np.flatnonzero(self.outputs.held_out)
        correct, total = per_class(predicted[rows], self.outputs.labels[rows], self.classes)
        return np.divide(correct, total, out=np.full(self.classes, np.nan), where=total > 0)

    @cached_property
    def retrained_by_class(self) -> np.ndarray:
        """(N, L)."""
        return np.stack([self.by_class(predicted) for predicted in self.predicted])

    def without(self, values: np.ndarray, own: int | None) -> np.ndarray:
        """Mean over retrained models, but for one, of values (N, …)."""
        kept = np.arange(len(values)) if own is None else np.setdiff1d(np.arange(len(values)), [own])
        return np.asarray(values[kept].mean(0))

    @cached_property
    def neighbour(self) -> int:
        """The retained class that retrained models take most of the forgotten classes' rows for."""
        return nearest_retained(self.probabilities.reshape(-1, self.classes), self.outputs.forget)

    def attack(self, logits: np.ndarray) -> float:
        """How often an attacker who sees losses is right, in [0, 1], on which of the forgotten classes' rows a model
        (P, L) learned from; half of the rows teach it, the others are attacked."""
        losses = [cross_entropy(logits[rows], self.outputs.labels[rows]) for rows in (self.learned, self.forget)]
        taught, attacked = ({"forget": losses[0][start::2], "held_out": losses[1][start::2]} for start in (0, 1))
        return score(taught, attacked)[0]

    @cached_property
    def retrained_attacks(self) -> np.ndarray:
        """(n,), of the first of them, see `dkvb.audit.per_model.PROBED`."""
        return np.array([self.attack(logits) for logits in self.outputs.retrained[:AGAINST]])

    def probed(self, each: int) -> tuple[np.ndarray, np.ndarray]:
        """Places of rows that a probe learns on, up to `each` of the forgotten classes and twice as many others, and
        which (n,) bool are of the forgotten ones."""
        known = evenly(self.forget, each)
        rows = [known, evenly(self.retain, 2 * len(known))]
        return np.concatenate(rows), np.repeat([True, False], [len(part) for part in rows])


def mean_over(values: Sequence[float]) -> float:
    """Their mean; NaN without any."""
    return float(np.mean(values)) if len(values) else float("nan")
