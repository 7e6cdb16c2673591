"""Keys of one codebook: fitted to its queries by exponential moving averages, then frozen (paper, section 4, after the
official DKVB code).

Labels play no part. Lookup during the fit is always top-1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from dkvb.bottleneck.lookup import nearest as search

EPSILON = 1e-5


PERIOD = 1021
"""Steps after which the table of random rows that replace dead keys comes round again."""


GATHERED = 32
"""Batches whose queries are gathered at a time."""


REPLACE_BELOW = 0.1
"""A key is replaced when its moving count falls below this share of batch_size / pairs (the official code's
setting)."""


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
) -> np.ndarray:
    """Fit one codebook's keys.

    `official`: K ~ N(0, I), S = K, n = 0. `sample`: K = M distinct training queries (where there are fewer, each
    of them and then some again), S = K, n = 1, no replacement. Per
    batch, with a_i the key nearest to q_i: n <- decay n + (1 - decay) count; S <- decay S + (1 - decay) sum of assigned
    queries; K = S / n~ with n~ = N (n + eps) / (N + M eps), N = sum of n; a key with n < 0.1 B / M becomes a random
    query of the batch.

    Args:
        queries: (N, d) float32 training queries.
        order: epoch -> (N,) permutation; the same for every codebook, as batches are shared in the official code.
        rng: draws the start and the replacements, see `replacement_rows`.

    Returns:
        (M, d) float32.
    """
    dim = queries.shape[1]
    keys = start_keys(queries, pairs, init, rng)
    table = replacement_rows(rng, pairs, batch_size)
    # sums S and, repeated along d, counts n: whole-array steps on buffers made once, and as few as can be, since
    # broadcasting over a short axis, and two threads passing the interpreter's lock to and fro, cost more than the
    # arithmetic
    sums, counts = moments = np.stack([keys, np.full_like(keys, init == "sample")])
    flat, axes = moments.reshape(-1), np.concatenate([np.arange(dim), np.arange(dim) + pairs * dim])
    smoothed, total = np.empty_like(keys), float(pairs) if init == "sample" else 0.0
    # distances lose digits far from the origin; a shift common to keys and queries changes none of them
    centre = queries.mean(0, dtype=np.float64).astype(np.float32)
    shift, shifted = np.tile(centre, (pairs, 1)), keys - centre
    threshold = REPLACE_BELOW * batch_size / pairs if init == "official" else 0.0
    step = 0
    for epoch in range(epochs):
        for batch, increments in _batches(queries, order(epoch), batch_size, centre, 1 - decay):
            nearest = search(batch, shifted, 1)
            moments *= np.float32(decay)
            np.add.at(flat, (nearest * dim + axes).reshape(-1), increments)
            total = decay * total + (1 - decay) * len(batch)
            np.add(counts, np.float32(EPSILON), out=smoothed)
            np.divide(sums, smoothed, out=shifted)
            shifted *= np.float32((total + pairs * EPSILON) / total)
            shifted -= shift
            if threshold:
                expired = np.flatnonzero(counts[:, 0] < np.float32(threshold))
                shifted[expired] = batch[table[step % PERIOD :][expired] % len(batch)]
            step += 1
    return shifted + centre


def start_keys(
    queries: np.ndarray, pairs: int, init: Literal["official", "sample"], rng: np.random.Generator
) -> np.ndarray:
    """Keys (M, d) float32 before the first step, see `fit_keys`."""
    rows, dim = queries.shape
    if init == "official":
        return rng.standard_normal((pairs, dim), np.float32)
    drawn = rng.choice(rows, min(rows, pairs), replace=False)
    return queries[np.concatenate([drawn, rng.choice(rows, pairs - len(drawn))]) if rows < pairs else drawn]


def replacement_rows(rng: np.random.Generator, pairs: int, batch_size: int) -> np.ndarray:
    """Random rows of batches, drawn once for a whole fit: at step t a dead key j becomes the query in row `table[t %
    PERIOD + j]`.

    Where a batch is the short last one, the row is taken modulo its length.

    Returns:
        (M + PERIOD,) int64.
    """
    return rng.integers(batch_size, size=pairs + PERIOD)


def _batches(
    queries: np.ndarray, order: np.ndarray, batch_size: int, centre: np.ndarray, weight: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """An epoch's batches: centred queries (B, d), and what they add to sums and counts, weighted, (2 B d,)."""
    for start in range(0, len(order), GATHERED * batch_size):
        rows = queries[order[start : start + GATHERED * batch_size]]
        added = np.concatenate([rows, np.ones_like(rows)], 1) * np.float32(weight)
        rows -= centre
        for first in range(0, len(rows), batch_size):
            yield rows[first : first + batch_size], added[first : first + batch_size].reshape(-1)


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
    return {
        "used": used,
        "unique": unique,
        "dead": 1 - used,
        "quantisation_error": float(distances / variance) if variance > 0 else 0.0,
    }
