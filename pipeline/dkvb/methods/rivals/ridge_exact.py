"""Exact ridge regression: the class's sums are subtracted, and what is left is the model trained without it.

Source: analytic continual unlearning (arXiv 2505.12239 [A]) on RanPAC's features [K]. G = ΦᵀΦ, Q = ΦᵀY of one-hot
labels; W = (G + l I)⁻¹ Q. To forget class f: G −= Φ_fᵀ Φ_f, Q −= Φ_fᵀ Y_f, and column f is dropped: the retrained
model, but for rounding, without a gradient and from the class's sums alone. Φ = features, or relu(x R) with R ~ N(0,
1), M columns.

Ours: a bias without penalty (features and labels about their means), and l, in units of the mean square about the
mean, that does best on the validation rows of the classes that are there, before and after anew. It unlearns from a
model of its own, which takes the place of the trained head. G and Q are part of that model, and not part of the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dkvb.methods.on_head import Answers, Head, HeadData, Rival, Setting, Size, Unlearned
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.certified import without

PENALTIES = (1e-2, 1e-1, 1e-3, 1e-4, 1.0)
"""The l tried; the first wins ties, and stands where there are no validation rows."""

BLOCK = 8192
"""Rows held as float64 at a time."""


@dataclass(frozen=True)
class Sums:
    """Of some rows: ΦᵀΦ (M, M), the sums of each class's rows (L, M), and rows of each class (L,)."""

    gram: np.ndarray
    of_class: np.ndarray
    rows: np.ndarray

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.gram - other.gram, self.of_class - other.of_class, self.rows - other.rows)

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray, classes: int) -> Sums:
        """Of features (N, M) and labels (N,)."""
        gram, of_class = np.zeros((features.shape[1],) * 2), np.zeros((classes, features.shape[1]))
        for start in range(0, len(labels), BLOCK):
            part = features[start : start + BLOCK].astype(np.float64)
            gram += part.T @ part
            of_class += (labels[start : start + BLOCK] == np.arange(classes)[:, None]).astype(np.float64) @ part
        return cls(gram, of_class, np.bincount(labels, minlength=classes))

    def head(self, penalty: float) -> Head:
        """The ridge model; a class without rows has weight and bias 0."""
        n = self.rows.sum()
        mean, shares = self.of_class.sum(0) / n, self.rows / n
        about = self.gram - n * np.outer(mean, mean)
        about[np.diag_indices_from(about)] += penalty * np.trace(about) / len(about) or 1.0
        weight = np.linalg.solve(about, (self.of_class - np.outer(self.rows, mean)).T).T
        return Head(weight.astype(np.float32), (shares - weight @ mean).astype(np.float32))


class RidgeExact(Rival):
    """Args:
    random: columns of random features; 0 takes the features as they are.
    """

    name = "ridge-exact"
    settings_tried: ClassVar[Sequence[Setting]] = ({},)

    def __init__(self, random: int = 0) -> None:
        self.random = random

    def original(self, head: Head, data: HeadData) -> Unlearned:
        lifted = self._lift(data)
        return lifted(best_ridge(self._sums(data, len(head.bias)), data, lifted))

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Unlearned:
        lifted, classes = self._lift(data), len(head.bias)
        gone = Sums.of(lifted.features(data.train[data.forgotten]), data.labels[data.forgotten], classes)
        ridge = best_ridge(self._sums(data, classes) - gone, data, lifted)
        return lifted(without(ridge, data.forget))

    def _sums(self, data: HeadData, classes: int) -> Sums:
        lifted = self._lift(data)
        return data.once(
            f"ridge {self.random}", lambda: Sums.of(lifted.features(data.train), data.labels, classes), whole=True
        )

    def _lift(self, data: HeadData) -> Lift:
        if not self.random:
            return Lift(None)
        # not of the forget classes: what is drawn before they are known
        draw = np.random.default_rng(data.seed)
        return Lift(draw.standard_normal((data.train.shape[1], self.random)).astype(np.float32))

    def flops(self, size: Size, setting: Setting) -> int:
        width = self.random or size.width
        lifting = 2 * size.forget * size.width * self.random
        solving = len(PENALTIES) * (width**3 // 3 * 2 + 4 * width**2 * size.classes)
        return lifting + 2 * size.forget * width**2 + solving


@dataclass(frozen=True)
class Lift:
    """relu(x R) of features (N, D), R (D, M) float32; the features themselves where there is no R."""

    random: np.ndarray | None

    def features(self, features: np.ndarray) -> np.ndarray:
        return features if self.random is None else np.maximum(features @ self.random, 0)

    def __call__(self, head: Head) -> Unlearned:
        """A head on lifted features, for features as they are."""
        return head if self.random is None else Answers(lambda features: head.logits(self.features(features)))


def best_ridge(sums: Sums, data: HeadData, lifted: Lift) -> Head:
    """The ridge model of these sums that does best on validation rows of the classes that it knows."""
    known = sums.rows[data.validation_labels] > 0
    if not known.any():
        return sums.head(PENALTIES[0])
    x, y = lifted.features(data.validation[known]), data.validation_labels[known]
    heads = [sums.head(penalty) for penalty in PENALTIES]
    return heads[int(np.argmax([(head.logits(x).argmax(1) == y).sum() for head in heads]))]


METHOD = HeadRival(RidgeExact())
