"""Small heads to unlearn, and a plain SGD loop to hold gradient rivals against."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from dkvb.methods.on_head import Head, HeadData
from dkvb.methods.rivals.student import BATCH_SIZE
from dkvb.runtime.seeding import generator
from dkvb.training.linear_head import converged_head


def toy(
    each: int = 150, classes: int = 4, width: int = 16, spread: float = 0.7, forget: tuple[int, ...] = (2,)
) -> tuple[Head, HeadData]:
    """Gaussian classes and a head trained on them; a fifth is validation data."""
    draw = np.random.default_rng(5)
    centres = draw.standard_normal((classes, width)) * 1.5
    y = np.arange(each * classes) % classes
    x = (centres[y] + spread * draw.standard_normal((len(y), width))).astype(np.float32)
    kept = len(y) * 4 // 5
    weight, bias, _ = converged_head(x[:kept], y[:kept], classes)
    return Head(weight, bias), HeadData(x[:kept], y[:kept], x[kept:], y[kept:], list(forget), 0)


def recognised(head: Head, data: HeadData) -> tuple[float, float]:
    """The head's accuracy on the forget and on the retain training set."""
    right = head.logits(data.train).argmax(1) == data.labels
    return float(right[data.forgotten].mean()), float(right[~data.forgotten].mean())


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def batches(data: HeadData, name: str, rows: np.ndarray, *unit: object) -> list[np.ndarray]:
    """Rows in the order that a rival draws."""
    order = rows[generator(data.seed, name, *unit, *data.forget).permutation(len(rows))]
    return [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]


Gradient = Callable[[np.ndarray], np.ndarray]
"""Weights (L, D + 1), biases last, to the gradient of a step's loss in them."""


def cross_entropy_gradient(data: HeadData, rows: np.ndarray, labels: np.ndarray) -> Gradient:
    """Of the mean cross-entropy of rows."""
    x = np.concatenate([data.train[rows], np.ones((len(rows), 1))], 1).astype(np.float64)

    def gradient(w: np.ndarray) -> np.ndarray:
        p = softmax(x @ w.T)
        p[np.arange(len(rows)), labels[rows]] -= 1
        return p.T @ x / len(rows)

    return gradient


def plain_sgd(head: Head, data: HeadData, lr: float, steps: Iterable[Gradient]) -> Head:
    """SGD with momentum 0.9 and the learning rate over the features' mean squared length, in float64."""
    w = np.concatenate([head.weight, head.bias[:, None]], 1).astype(np.float64)
    step = lr / float((data.train.astype(np.float64) ** 2).sum(1).mean())
    momentum = np.zeros_like(w)
    for gradient in steps:
        momentum = 0.9 * momentum + gradient(w)
        w = w - step * momentum
    return Head(w[:, :-1], w[:, -1])


def assert_close(found: Head, expected: Head, tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(found.weight, expected.weight, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found.bias, expected.bias, rtol=tolerance, atol=tolerance)
