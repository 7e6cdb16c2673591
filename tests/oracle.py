"""The formulas in slow, plain torch, written apart from the product, to hold it against."""

from __future__ import annotations

import numpy as np
import torch


def ema_keys(
    queries: np.ndarray,
    start: np.ndarray,
    counts: float,
    batches: list[np.ndarray],
    decay: float,
    table: np.ndarray | None,
    batch_size: int,
) -> tuple[torch.Tensor, float]:
    """EMA key initialisation in float64, and the smallest margin by which a nearest key was nearest, or a dead key
    dead.

    At step t, dead key j becomes row `table[t mod 1021 + j]`, modulo the batch's length; None: dead keys stay.
    """
    margin = float("inf")
    q = torch.from_numpy(queries).double()
    keys = torch.from_numpy(start).double().clone()
    sums, n = keys.clone(), torch.full((len(keys),), counts, dtype=torch.float64)
    size = len(keys)
    for step, rows in enumerate(batches):
        batch = q[torch.from_numpy(rows)]
        distances, order = ((batch[:, None] - keys[None]) ** 2).sum(2).sort(1)
        nearest = order[:, 0]
        margin = min(margin, float((distances[:, 1] - distances[:, 0]).min()))
        onehot = torch.nn.functional.one_hot(nearest, size).double()
        n = decay * n + (1 - decay) * onehot.sum(0)
        sums = decay * sums + (1 - decay) * onehot.T @ batch
        total = n.sum()
        smoothed = total * (n + 1e-5) / (total + size * 1e-5)
        keys = sums / smoothed[:, None]
        if table is not None:
            margin = min(margin, float((n - 0.1 * batch_size / size).abs().min()))
            if margin < 1e-6:
                break  # rounding alone decides which keys are dead
            dead = torch.nonzero(n < 0.1 * batch_size / size)[:, 0]
            keys[dead] = batch[torch.from_numpy(table)[step % 1021 + dead] % len(batch)]
    return keys, margin


def nearest_allowed(queries: np.ndarray, keys: np.ndarray, k: int, allowed: np.ndarray | None) -> np.ndarray:
    """Ids (N, k) by full sort of float64 distances; -1 where no allowed key is left."""
    distances = ((queries[:, None].astype(np.float64) - keys[None].astype(np.float64)) ** 2).sum(2)
    if allowed is not None:
        distances[:, ~allowed] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    found = np.where(np.isinf(np.take_along_axis(distances, order, 1)), -1, order)
    return np.pad(found, ((0, 0), (0, k - found.shape[1])), constant_values=-1)


def bottleneck_logits(
    features: np.ndarray,
    projection: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    masked: np.ndarray,
    k: int,
    pool: str,
) -> np.ndarray:
    """Logits (N, L) of a masked bottleneck from the definitions, one sample and one codebook at a time."""
    logits = np.zeros((len(features), values.shape[2]))
    for c in range(len(keys)):
        ids = nearest_allowed(features @ projection[c], keys[c], k, ~masked[c])
        for row, selected in enumerate(ids):
            there = selected[selected >= 0]
            if len(there):
                votes = values[c, there].astype(np.float64)
                logits[row] += votes.mean(0) if pool == "mean" else votes.sum(0)
    return logits / len(keys)


def scrub(
    weight: np.ndarray,
    bias: np.ndarray,
    teacher_weight: np.ndarray,
    teacher_bias: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    forget_batches: list[list[np.ndarray]],
    retain_batches: list[list[np.ndarray]],
    max_steps: int,
    lr: float,
    alpha: float,
    gamma: float,
    temperature: float,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """SCRUB with hand-written Adam and losses, in float64; the parameters after every epoch."""
    w, b = (
        torch.tensor(weight, dtype=torch.float64, requires_grad=True),
        torch.tensor(bias, dtype=torch.float64, requires_grad=True),
    )
    tw, tb = torch.tensor(teacher_weight, dtype=torch.float64), torch.tensor(teacher_bias, dtype=torch.float64)
    data, labels = torch.tensor(x, dtype=torch.float64), torch.tensor(y)
    moments = [[torch.zeros_like(p), torch.zeros_like(p)] for p in (w, b)]
    steps = 0

    def update(loss: torch.Tensor) -> None:
        nonlocal steps
        steps += 1
        grads = torch.autograd.grad(loss, (w, b))
        with torch.no_grad():
            for p, g, (m, v) in zip((w, b), grads, moments, strict=True):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                p -= lr * (m / (1 - 0.9**steps)) / ((v / (1 - 0.999**steps)).sqrt() + 1e-8)

    def divergence(rows: np.ndarray) -> torch.Tensor:
        pt = torch.softmax((data[rows] @ tw.T + tb) / temperature, 1)
        ps = torch.softmax((data[rows] @ w.T + b) / temperature, 1)
        return temperature**2 * (pt * (pt.log() - ps.log())).sum(1).mean()

    out = []
    for epoch, (forget, retain) in enumerate(zip(forget_batches, retain_batches, strict=True), start=1):
        if epoch <= max_steps:
            for rows in forget:
                update(-divergence(rows))
        for rows in retain:
            p = torch.softmax(data[rows] @ w.T + b, 1)
            ce = -p[torch.arange(len(rows)), labels[rows]].log().mean()
            update(gamma * ce + alpha * divergence(rows))
        out.append((w.detach().numpy().copy(), b.detach().numpy().copy()))
    return out
