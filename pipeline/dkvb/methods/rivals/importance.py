"""How much each weight of a linear head matters to some rows: the diagonal of the empirical Fisher matrix, in closed
form.

The gradient of a row's loss in W_jd is (p_j − [y = j]) x_d, so that its mean square is one matrix product of squares.
No torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dkvb.methods.on_head import Head

BLOCK = 8192
"""Rows whose squares are held at a time."""


@dataclass(frozen=True)
class Importance:
    """Mean squared gradients, float64: weight (L, D) and bias (L,)."""

    weight: np.ndarray
    bias: np.ndarray


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax (N, L) of logits (N, L), in their own precision: `dkvb.metrics.proportions.softmax` gives float64,
    which the products that follow would be taken in."""
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)  # type: ignore[no-any-return]


def errors(head: Head, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, L): the gradient of each row's loss in its logits, p − [y]."""
    gradient = probabilities(head.logits(features))
    gradient[np.arange(len(labels)), labels] -= 1
    return gradient


def importance(head: Head, features: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Importance:
    """Over rows (n,) of features (N, D) and labels (N,)."""
    weight, bias = np.zeros(head.weight.shape), np.zeros(head.bias.shape)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        x = features[part]
        square = errors(head, x, labels[part]) ** 2
        weight += square.T @ x**2
        bias += square.sum(0)
    return Importance(weight / len(rows), bias / len(rows))
