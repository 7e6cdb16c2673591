"""Logistic regressions, one class against the rest, with a random linear term: what certified removal removes from.

Objective of class k over n rows u: sum of log(1 + exp(−t w·u)) + n penalty / 2 ‖w‖² + b·w, t = 1 for the class's rows
and −1 for others, b ~ N(0, std²) (Guo et al. 2020). All classes at once, rows of w (L, D + 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from dkvb.methods.rivals.conjugate import solve

NEWTON, ITERATIONS, ROUGHLY = 12, 40, 0.1
"""Newton steps of training, iterations of conjugate gradients in each at most, and what they may leave in training."""

ENOUGH = 1e-6
"""What training leaves of the first gradient."""


@dataclass(frozen=True)
class Problem:
    """Features (N, D) float32 of which rows (N,) bool take part, labels (N,), random terms (L, D + 1).

    A row u is its features times `scale`, with `scale` times `one` after them, so that it is no longer than 1.
    """

    features: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    random: np.ndarray
    penalty: float
    scale: float
    one: float

    @property
    def weight_of_penalty(self) -> float:
        return float(self.rows.sum()) * self.penalty

    def scores(self, w: np.ndarray) -> np.ndarray:
        """(N, L) float32 of weights (L, D + 1)."""
        narrow = (w * self.scale).astype(np.float32)
        return self.features @ narrow[:, :-1].T + narrow[:, -1] * np.float32(self.one)  # type: ignore[no-any-return]

    def sums(self, of_scores: np.ndarray) -> np.ndarray:
        """(L, D + 1) float64: sums over rows of (N, L) times u."""
        last = of_scores.sum(0)[:, None] * self.one
        return np.concatenate([of_scores.T @ self.features, last], 1).astype(np.float64) * self.scale

    def slopes(self, w: np.ndarray) -> np.ndarray:
        """(N, L) derivatives of each row's losses in its scores."""
        positive = self.labels[:, None] == np.arange(len(w))
        return expit(self.scores(w)) - positive  # type: ignore[no-any-return]

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """(L, D + 1) of the objective."""
        return self.sums(self.slopes(w) * self.rows[:, None]) + self.weight_of_penalty * w + self.random

    def newton(self, w: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
        """s with H s = wanted, (L, D + 1), and what is left of wanted; H the objective's Hessian at w."""
        p = expit(self.scores(w))
        curved = p * (1 - p) * self.rows[:, None]

        def times(v: np.ndarray) -> np.ndarray:
            return self.sums(curved * self.scores(v)) + self.weight_of_penalty * v

        s = solve(times, wanted, ITERATIONS, tolerance)
        return s, wanted - times(s)

    def trained(self, w: np.ndarray) -> np.ndarray:
        """The optimum from w (L, D + 1) on: Newton steps, halved while the gradient grows."""
        gradient = self.gradient(w)
        first = np.linalg.norm(gradient)
        for _ in range(NEWTON):
            if np.linalg.norm(gradient) <= ENOUGH * first:
                break
            step, _ = self.newton(w, gradient, ROUGHLY)
            while np.linalg.norm(there := self.gradient(w - step)) > np.linalg.norm(gradient):
                step = step / 2
                if np.linalg.norm(step) <= ENOUGH * np.linalg.norm(w):
                    return w  # rounding: no step helps
            w, gradient = w - step, there
        return w
