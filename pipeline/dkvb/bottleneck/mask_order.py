"""Selections, and masks that grow with N.

A mask order (C, M) gives every pair the N from which on it is masked, so that all masks of a sweep are nested: `order <
n` is masked at N = n. `NEVER` is the place of a pair that is never masked, -1 that of one that always is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from dkvb.errors import UsageError
from dkvb.runtime.seeding import generator

NEVER = np.iinfo(np.int32).max


def selection_counts(codes: np.ndarray, pairs: int) -> np.ndarray:
    """How often each pair was selected: codes (C, N, k) -> (C, M) int64."""
    return np.stack([np.bincount(selected.ravel(), minlength=pairs) for selected in codes])


def selection_counts_by_class(codes: np.ndarray, labels: np.ndarray, classes: int, pairs: int) -> np.ndarray:
    """How often each class selected each pair: codes (C, N, k), labels (N,) -> (L, C, M) uint32."""
    counts = np.empty((classes, len(codes), pairs), np.uint32)
    for codebook, selected in enumerate(codes):
        cells = (labels[:, None] * pairs + selected).ravel()
        counts[:, codebook] = np.bincount(cells, minlength=classes * pairs).reshape(classes, pairs)
    return counts


def order_by_count(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mask order via activations: pairs ranked by count over all codebooks together, ties at random (paper, section 4).

    Counts tie massively; in index order the first codebooks would be masked first.

    Args:
        counts: (C, M) integers.

    Returns:
        (C, M) int32; pairs never selected are never masked.
    """
    flat = counts.ravel()
    selected = np.flatnonzero(flat)
    shuffled = rng.permutation(selected)
    ranked = shuffled[np.argsort(-flat[shuffled].astype(np.int64), kind="stable")]
    order = np.full(flat.shape, NEVER, np.int32)
    order[ranked] = np.arange(len(ranked), dtype=np.int32)
    return order.reshape(counts.shape)


def order_by_first_example(codes: np.ndarray, pairs: int) -> np.ndarray:
    """Mask order via examples: a pair falls with the first example that selects it (paper, section 4).

    Args:
        codes: (C, N, k), examples in the order in which they are unlearned.

    Returns:
        (C, M) int32.
    """
    order = np.full((len(codes), pairs), NEVER, np.int32)
    examples = np.repeat(np.arange(codes.shape[1], dtype=np.int32), codes.shape[2])
    for place, selected in zip(order, codes, strict=True):
        np.minimum.at(place, selected.ravel(), examples)
    return order


def pack(masked: np.ndarray) -> np.ndarray:
    """(C, M) bool -> (C, ceil(M / 8)) uint8."""
    return np.packbits(masked, axis=1)


def unpack(packed: np.ndarray, pairs: int) -> np.ndarray:
    """The inverse of `pack`."""
    return np.unpackbits(packed, axis=1, count=pairs).astype(bool)


def model_hash(values: np.ndarray, masked: np.ndarray) -> str:
    """sha256 over a mask (C, M) and the values (C, M, L) of the pairs that it allows: all that answers depend on beside
    keys."""
    digest = hashlib.sha256(np.packbits(masked, axis=1).tobytes())
    digest.update(np.ascontiguousarray(values[~masked], "<f4").tobytes())
    return digest.hexdigest()


def rank_by_count(counts: np.ndarray, seed: int, forget: Sequence[int]) -> np.ndarray:
    """The mask order (C, M) of some classes from their counts (C, M); ties fall as seed and classes (ids, sorted) have
    it."""
    return order_by_count(counts, generator(seed, "unlearn", "ties", *forget))


def check_pairs(dial: str, n: int, pairs: int) -> None:
    """Raise UsageError where n, "N_a" or "N_v", is more than all pairs, or negative."""
    if not 0 <= n <= pairs:
        flag = f"--{dial.replace('_', '').lower()}"
        raise UsageError(
            f"{dial} = {n:,} is not between 0 and all {pairs:,} pairs (keys.codebooks x keys.pairs): "
            f"give a smaller {flag}, or {flag} auto to have it chosen."
        )
