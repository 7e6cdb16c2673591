"""Ridge regression on random features: a head with a closed form, whose only randomness is in the features that its
seed draws.

φ = relu(x R) with R (D, H) normal, as in RanPAC (McDonnell et al. 2023); W = (ΦᵀΦ + λ I)⁻¹ Φᵀ Y for one-hot labels Y.
Its sums are over samples, so that leaving out a class and subtracting the class's part give the same model but for
rounding (analytic class unlearning, arXiv 2505.12239): on the same features its null distance is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dkvb.runtime.seeding import generator
from dkvb.runtime.threads import one_thread

WIDTH = 2000
"""Random features, H."""

PENALTY = 1e-3
"""λ over the mean of the diagonal of ΦᵀΦ, so that the units of the features don't matter."""

BLOCK = 4096
"""Rows of which random features are made at a time."""


@dataclass(frozen=True)
class RidgeHead:
    """Random features of a seed, and the weights on them."""

    directions: np.ndarray
    """(D, H) float32."""
    weight: np.ndarray
    """(H, L) float32."""
    bias: np.ndarray
    """(L,) float32: 0, or minus infinity where a class was never seen."""

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Features (N, D) -> (N, L) float32."""
        with one_thread():
            parts = [_random_features(part, self.directions) @ self.weight for part in _blocks(features)]
        return np.concatenate(parts) + self.bias if parts else np.empty((0, len(self.bias)), np.float32)


@dataclass(frozen=True)
class RidgeSums:
    """What a head is solved from: sums over some rows."""

    directions: np.ndarray
    """(D, H) float32."""
    gram: np.ndarray
    """(H, H) float64, ΦᵀΦ."""
    of_class: np.ndarray
    """(H, L) float64, ΦᵀY."""
    rows: np.ndarray
    """(L,) rows of each class."""

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray, classes: int, directions: np.ndarray) -> RidgeSums:
        """Of features (N, D) and labels (N,), by random directions (D, H).

        One thread, so that the bits don't depend on how many there are.
        """
        width = directions.shape[1]
        gram, sums = np.zeros((width, width)), np.zeros((width, classes))
        with one_thread():
            for start in range(0, len(features), BLOCK):
                block = _random_features(features[start : start + BLOCK], directions)
                gram += block.T @ block
                np.add.at(sums.T, labels[start : start + BLOCK], block)
        return cls(directions, gram, sums, np.bincount(labels, minlength=classes))

    def __sub__(self, other: RidgeSums) -> RidgeSums:
        return RidgeSums(
            self.directions, self.gram - other.gram, self.of_class - other.of_class, self.rows - other.rows
        )

    def head(self) -> RidgeHead:
        """The head of these rows; a class without any is never answered."""
        from scipy.linalg import solve

        width, gram = len(self.gram), self.gram.copy()
        gram[np.diag_indices(width)] += PENALTY * (np.trace(self.gram) / width or 1.0)
        seen = self.rows > 0
        with one_thread():
            weight = solve(gram, np.where(seen, self.of_class, 0), assume_a="pos")
        return RidgeHead(self.directions, weight.astype(np.float32), np.where(seen, 0, -np.inf).astype(np.float32))


def directions_of(width: int, seed: int, features: int | None = None) -> np.ndarray:
    """The random directions (D, H) float32 of a seed, for features of a width D; H is `WIDTH` unless given."""
    drawn = generator(seed, "audit", "ridge").standard_normal((width, features or WIDTH), np.float32)
    return drawn / np.float32(width**0.5)


def fit_ridge(features: np.ndarray, labels: np.ndarray, classes: int, seed: int, width: int | None = None) -> RidgeHead:
    """The head of a seed, from features (N, D) and labels (N,)."""
    return RidgeSums.of(features, labels, classes, directions_of(features.shape[1], seed, width)).head()


def ridge_flops(forgotten: int, width: int, classes: int, features: int = WIDTH) -> int:
    """Floating-point operations of subtracting some rows of a width and solving again, by a Cholesky decomposition."""
    return 2 * forgotten * features * (width + features) + features**3 // 3 + 4 * features**2 * classes


def _blocks(features: np.ndarray) -> list[np.ndarray]:
    return [features[start : start + BLOCK] for start in range(0, len(features), BLOCK)]


def _random_features(features: np.ndarray, directions: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(features @ directions, 0))
