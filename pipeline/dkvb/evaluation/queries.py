"""Queries of stored features under the projections of a quantize artifact."""

from __future__ import annotations

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
    projections = group_projections(path, group)
    name = f"{split}/features"
    array = arrays.opened(features, name)
    queries = np.empty((len(group), array.shape[0], projections.shape[2]), np.float32)

    def fill(start: int) -> None:
        with arrays.reading(features, name):
            block = np.asarray(array[start : start + arrays.SHARD])
        queries[:, start : start + len(block)] = project([block], len(block), projections)

    list(pool.map(fill, range(0, array.shape[0], arrays.SHARD)))
    return queries


def group_projections(path: Path, group: range) -> np.ndarray:
    """(G, D, d) float32 projections of a group of codebooks of the quantize artifact at `path`."""
    with tensors.reading(path / PROJECTION), safe_open(path / PROJECTION, framework="numpy") as file:
        return np.asarray(file.get_slice("projection")[group.start : group.stop])
