"""Random projections from features to one small query per codebook (paper, section 3; fixed, never trained)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dkvb.seeding import generator

GROUP = 16
"""Codebooks projected together: one pass over the features serves them all, and the bits don't depend on who computes it."""


def draw_projections(seed: int, codebooks: int, width: int, dim: int) -> np.ndarray:
    """Frozen projections R ~ N(0, 1), each column scaled to unit L2 norm over the feature axis.

    Returns:
        (C, D, d) float32.
    """
    projections = generator(seed, "quantize", "projection").standard_normal((codebooks, width, dim))
    projections /= np.linalg.norm(projections, axis=1, keepdims=True)
    return projections.astype(np.float32)


def groups(codebooks: int) -> list[range]:
    """Codebooks in the groups in which they are projected."""
    return [range(start, min(start + GROUP, codebooks)) for start in range(0, codebooks, GROUP)]


def project(blocks: Iterable[np.ndarray], rows: int, projections: np.ndarray) -> np.ndarray:
    """Queries q_c = R_c^T z of one group of codebooks.

    Args:
        blocks: features in row order, (n, D) float32 each, `rows` rows in all.
        projections: (G, D, d) float32.

    Returns:
        (G, rows, d) float32.
    """
    count, width, dim = projections.shape
    together = np.ascontiguousarray(projections.transpose(1, 0, 2).reshape(width, count * dim))
    queries = np.empty((count, rows, dim), np.float32)
    start = 0
    for block in blocks:
        part = (block @ together).reshape(len(block), count, dim)
        queries[:, start : start + len(block)] = part.transpose(1, 0, 2)
        start += len(block)
    return queries
