"""Queries of features under the projections of a group of codebooks, of stored ones or of any."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from safetensors import safe_open

from dkvb.bottleneck.projection import project
from dkvb.workspace import arrays, tensors
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import PROJECTION


def group_queries(features: Artifact, split: str, path: Path, group: range, pool: ThreadPoolExecutor) -> np.ndarray:
    """Queries of one split for one group of codebooks, (G, N, d) float32: the same bits whoever computes them.

    Args:
        path: of the quantize artifact, which holds the projections.
    """
    name = f"{split}/features"
    array = arrays.opened(features, name)

    def block(start: int) -> np.ndarray:
        with arrays.reading(features, name):
            return np.asarray(array[start : start + arrays.SHARD])

    return projected(block, array.shape[0], group_projections(path, group), pool)


def projected(
    block: Callable[[int], np.ndarray], rows: int, projections: np.ndarray, pool: ThreadPoolExecutor
) -> np.ndarray:
    """(G, N, d) float32 queries of all rows.

    Args:
        block: first row -> features (n, D) of it and those that follow, `SHARD` in all where there are as many.
        projections: (G, D, d) of a group of codebooks.
    """
    queries = np.empty((len(projections), rows, projections.shape[2]), np.float32)

    def fill(start: int) -> None:
        features = block(start)
        queries[:, start : start + len(features)] = project([features], len(features), projections)

    list(pool.map(fill, range(0, rows, arrays.SHARD)))
    return queries


def group_projections(path: Path, group: range) -> np.ndarray:
    """(G, D, d) float32 projections of a group of codebooks of the quantize artifact at `path`."""
    with tensors.reading(path / PROJECTION), safe_open(path / PROJECTION, framework="numpy") as file:
        return np.asarray(file.get_slice("projection")[group.start : group.stop])
