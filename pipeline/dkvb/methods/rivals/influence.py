"""Influence unlearning (IU): one Newton step to where the forget set has no part in the optimum.

Source: WoodFisher, as in OPTML's and SalUn's code [V]: weights + a H⁻¹ (n_f / n) (g_f − g_r), with g the mean
gradients on forget and retain set and H from 1,000 samples by rank-one updates. Ours: the exact Hessian of the
softmax head on the retain set, plus a damping, by conjugate gradients; the a and dampings tried, the damping in units
of the features. At the optimum of a loss with that damping as its penalty and a = 1, this is the Newton step to the
model trained without the forget set.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dkvb.methods.on_head import Head, HeadData, Rival, Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.conjugate import solve
from dkvb.methods.rivals.importance import errors, probabilities
from dkvb.metrics.flops import linear_flops

ITERATIONS = 30


class Influence(Rival):
    name = "influence"
    settings_tried = (
        {"a": 1, "damping": 1e-3},
        {"a": 10, "damping": 1e-3},
        {"a": 1, "damping": 1e-2},
        {"a": 10, "damping": 1e-2},
        {"a": 100, "damping": 1e-2},
    )

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Head:
        damping = setting["damping"] * data.mean_square
        towards: np.ndarray = data.once(
            f"influence {damping}", lambda: newton_step(head, data.train, data.labels, data.forgotten, damping), head
        )
        step = setting["a"] * towards
        weight, bias = head.weight + step[:, :-1], head.bias + step[:, -1]
        return Head(weight.astype(np.float32), bias.astype(np.float32))

    def flops(self, size: Size, setting: Setting) -> int:
        return linear_flops(size.train * (ITERATIONS + 1), size.width, size.classes)


def newton_step(
    head: Head, features: np.ndarray, labels: np.ndarray, forgotten: np.ndarray, damping: float
) -> np.ndarray:
    """(L, D + 1) float64, the change of weights and, last, biases that takes rows out.

    Args:
        features: (N, D); labels: (N,); forgotten: (N,) bool, the rows to take out.
        damping: added to the Hessian's diagonal.
    """
    share = forgotten.mean()
    gradient = errors(head, features, labels)
    # one product for both means: rows weigh 1 / n_f or −1 / n_r
    gradient *= np.where(forgotten, 1 / forgotten.sum(), -1 / (~forgotten).sum())[:, None].astype(gradient.dtype)
    wanted = share * _products(gradient, features)
    return solve(hessian(head, features, ~forgotten, damping), wanted, ITERATIONS)


def hessian(head: Head, features: np.ndarray, rows: np.ndarray, damping: float) -> Callable[[np.ndarray], np.ndarray]:
    """v (L, D + 1) -> H v, of the mean loss over rows (N,) bool of features (N, D)."""
    p = probabilities(head.logits(features))
    weighed = p * (rows / rows.sum())[:, None].astype(p.dtype)

    def times(v: np.ndarray) -> np.ndarray:
        moved = features @ v[:, :-1].T.astype(features.dtype) + v[:, -1].astype(features.dtype)
        moved -= np.einsum("nl,nl->n", p, moved)[:, None]
        moved *= weighed
        return _products(moved, features) + damping * v

    return times


def _products(of_logits: np.ndarray, features: np.ndarray) -> np.ndarray:
    """(L, D + 1) float64 sums over rows of (N, L) times (N, D) and, last, 1."""
    return np.concatenate([of_logits.T @ features, of_logits.sum(0)[:, None]], 1).astype(np.float64)


METHOD = HeadRival(Influence())
