"""Keys of one codebook: fitted to its queries by exponential moving averages, then frozen (paper, section 4, after the official DKVB code).

Labels play no part. Lookup during the fit is always top-1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import faiss
import numpy as np

EPSILON = 1e-5
REPLACE_BELOW = 0.1
"""A key is replaced when its moving count falls below this share of batch_size / pairs (the official code's setting)."""


def fit_keys(
    queries: np.ndarray,
    *,
    pairs: int,
    epochs: int,
    batch_size: int,
    decay: float,
    init: Literal["official", "sample"],
    order: Callable[[int], np.ndarray],
    rng: np.random.Generator,
    advance: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Fit one codebook's keys.

    `official`: K ~ N(0, I), S = K, n = 0. `sample`: K = M distinct training queries, S = K, n = 1, no replacement. Per batch, with
    a_i the key nearest to q_i: n <- decay n + (1 - decay) count; S <- decay S + (1 - decay) sum of assigned queries;
    K = S / n~ with n~ = N (n + eps) / (N + M eps), N = sum of n; a key with n < 0.1 B / M becomes a random query of the batch.

    Args:
        queries: (N, d) float32 training queries.
        order: epoch -> (N,) permutation; the same for every codebook, as batches are shared in the official code.
        rng: draws the start and the replacements.
        advance: called after each epoch.

    Returns:
        (M, d) float32.

    Raises:
        ValueError: `sample` with fewer queries than keys.
    """
    rows, dim = queries.shape
    if init == "sample":
        if rows < pairs:
            raise ValueError(f"init = 'sample' needs at least as many training samples as pairs, and {rows} < {pairs}")
        keys = queries[rng.choice(rows, pairs, replace=False)].copy()
        counts = np.ones(pairs)
    else:
        keys = rng.standard_normal((pairs, dim), np.float32)
        counts = np.zeros(pairs)
    sums = keys.copy()
    threshold = REPLACE_BELOW * batch_size / pairs if init == "official" else 0.0
    # distances lose digits far from the origin; a shift common to keys and queries changes none of them
    centre = queries.mean(0, dtype=np.float64).astype(np.float32)
    centred = queries - centre
    # arrays as large as the keys are allocated once: asking the system for fresh ones at every step costs a fifth of the time
    shifted, weight = np.empty_like(keys), np.float32(1 - decay)
    faiss.omp_set_num_threads(1)
    for epoch in range(epochs):
        shuffled = order(epoch)
        for start in range(0, rows, batch_size):
            chosen = shuffled[start : start + batch_size]
            batch = queries[chosen]
            np.subtract(keys, centre, out=shifted)
            nearest = faiss.knn(centred[chosen], shifted, 1)[1][:, 0]
            counts *= decay
            counts += (1 - decay) * np.bincount(nearest, minlength=pairs)
            sums *= np.float32(decay)
            np.add.at(sums, nearest, weight * batch)
            total = counts.sum()
            smoothed = total * (counts + EPSILON) / (total + pairs * EPSILON)
            np.divide(sums, smoothed[:, None].astype(np.float32), out=keys)
            if threshold:
                expired = np.flatnonzero(counts < threshold)
                keys[expired] = batch[rng.integers(len(batch), size=len(expired))]
        advance()
    return keys


def key_statistics(queries: np.ndarray, keys: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    """How well one codebook covers its training queries.

    Args:
        queries: (N, d); keys: (M, d); codes: (N, k), nearest first.

    Returns:
        `used`: share of keys selected at least once; `unique`: share of keys that are distinct; `dead`: 1 - used;
        `quantisation_error`: mean squared distance to the nearest key over the queries' variance.
    """
    used = float((np.bincount(codes.ravel(), minlength=len(keys)) > 0).mean())
    distances = ((queries - keys[codes[:, 0]]) ** 2).sum(1, dtype=np.float64).mean()
    variance = ((queries - queries.mean(0)) ** 2).sum(1, dtype=np.float64).mean()
    unique = len(np.unique(keys, axis=0)) / len(keys)
    return {"used": used, "unique": unique, "dead": 1 - used, "quantisation_error": float(distances / variance) if variance > 0 else 0.0}
