"""A linear head trained to convergence, beside the paper's two epochs, which leave it under-trained."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from dkvb.evaluation.standardise import Standardiser
from dkvb.runtime.seeding import integer
from dkvb.runtime.threads import one_thread

ITERATIONS = 1000


def converged_head(features: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Multinomial logistic regression by scikit-learn's L-BFGS with its default penalty (C = 1), on features over their
    overall deviation.

    Not in the paper. One thread, so that the bits don't depend on how many there are.

    Args:
        features: (N, D) float32; labels: (N,) integers. A class that is not among them gets no weights and the bias at
            which all N samples together give it half a sample: the optimum has it at minus infinity.

    Returns:
        weight (L, D) float32, bias (L,) float32, and the iterations it took, `ITERATIONS` where it did not converge.
    """
    there = np.unique(labels)
    weight, bias = np.zeros((classes, features.shape[1])), np.zeros(classes)
    iterations = 0
    if len(there) > 1:
        weight[there], bias[there], iterations = _regression(features, labels)
    if len(there) < classes:
        totals = np.logaddexp.reduce(features @ weight[there].T + bias[there], axis=1)
        bias[np.setdiff1d(np.arange(classes), there)] = np.log(0.5) - np.logaddexp.reduce(-totals)
    return np.ascontiguousarray(weight, np.float32), bias.astype(np.float32), iterations


def _regression(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Weights and biases of the classes among the labels, in their order, and the iterations."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    scale = float(features.std(dtype=np.float64)) or 1.0
    model: Any = LogisticRegression(C=1.0, solver="lbfgs", max_iter=ITERATIONS)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said by the number of iterations
        model.fit(features / np.float32(scale), labels)
    weight, bias = model.coef_ / scale, model.intercept_
    if len(bias) == 1:  # scikit-learn keeps one row, the log-odds of the second of two classes
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias, int(np.max(model.n_iter_))


def new_head(seed: int, width: int, classes: int) -> torch.nn.Linear:
    """The linear head of a seed before training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer(seed, "train", "linear"))
        return torch.nn.Linear(width, classes)


def folded(head: torch.nn.Linear, in_line: Standardiser) -> dict[str, torch.Tensor]:
    """`weight` (L, D) and `bias` (L,) for features as they are, of a head that was trained on those in line."""
    weight, bias = in_line.fold(head.weight.detach().numpy(), head.bias.detach().numpy())
    return {"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)}


BATCH = 4096
"""Rows evaluated at a time."""


def predict(module: torch.nn.Module, inputs: torch.Tensor) -> np.ndarray:
    """Predicted classes (N,) of a module on inputs (N, …)."""
    with torch.inference_mode():
        return np.concatenate([module(part).argmax(1).numpy() for part in inputs.split(BATCH)])
