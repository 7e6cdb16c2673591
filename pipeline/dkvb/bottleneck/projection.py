"""Random projections from features to one small query per codebook (paper, section 3; fixed, never trained)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dkvb.runtime.seeding import generator

UNIT = 4
"""Codebooks projected by one matrix product, always the same ones, so that the bits don't depend on how codebooks are
grouped."""


GROUP = 16
"""Codebooks that one pass over the features serves by default."""


PRODUCT = 2**20
"""Multiplications below which BLAS may multiply matrices another way, with other bits."""


def draw_projections(seed: int, codebooks: int, width: int, dim: int) -> np.ndarray:
    """Frozen projections R ~ N(0, 1), each column scaled to unit L2 norm over the feature axis.

    Returns:
        (C, D, d) float32.
    """
    projections = generator(seed, "quantize", "projection").standard_normal((codebooks, width, dim))
    projections /= np.linalg.norm(projections, axis=1, keepdims=True)
    return projections.astype(np.float32)


def groups(codebooks: int, size: int = GROUP) -> list[range]:
    """Codebooks in groups that share a pass over the features."""
    return [range(start, min(start + size, codebooks)) for start in range(0, codebooks, size)]


def whole_products(group: range, codebooks: int) -> range:
    """The codebooks that are projected where those of a group are asked for: see `UNIT`."""
    return range(group.start // UNIT * UNIT, min(-(-group.stop // UNIT) * UNIT, codebooks))


def project(blocks: Iterable[np.ndarray], rows: int, projections: np.ndarray) -> np.ndarray:
    """Queries q_c = R_c^T z of one group of codebooks, which starts at a multiple of `UNIT`.

    Args:
        blocks: features in row order, (n, D) float32 each, `rows` rows in all.
        projections: (G, D, d) float32.

    Returns:
        (G, rows, d) float32.
    """
    count, width, dim = projections.shape
    units = [slice(start, start + UNIT) for start in range(0, count, UNIT)]
    together = [np.ascontiguousarray(projections[unit].transpose(1, 0, 2).reshape(width, -1)) for unit in units]
    queries = np.empty((count, rows, dim), np.float32)
    start = 0
    for block in blocks:
        for unit, matrix in zip(units, together, strict=True):
            part = (block @ matrix).reshape(len(block), -1, dim)
            queries[unit, start : start + len(block)] = part.transpose(1, 0, 2)
        start += len(block)
    return queries


def fill_up(block: np.ndarray, columns: int, most: int) -> np.ndarray:
    """A copy of features (B, D) with rows of zeros below, so many that a product with (D, columns) has the bits of a
    large one; no more than `most` rows in all, unless B is more."""
    rows = max(len(block), PRODUCT // (block.shape[1] * columns) + 1)
    filled = np.zeros((min(rows, max(len(block), most)), block.shape[1]), np.float32)
    filled[: len(block)] = block
    return filled
