"""Exact nearest-key search with masks, by FAISS (paper, section 4: a masked key is at distance infinity)."""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

import faiss
import numpy as np

from dkvb.bottleneck.flat import nearest

NONE = -1
"""Stands in a row of ids where a codebook has fewer allowed keys than k."""


BLOCK = 32_768
"""Queries searched at a time, so that what a search needs beside its result does not grow with the data."""


class Lookup(Protocol):
    """The keys of one codebook, ready to be searched."""

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> np.ndarray:
        """The k nearest allowed keys of every query, nearest first.

        Args:
            queries: (N, d) float32.
            k: keys a query.
            allowed: (M,) bool; None allows every key.

        Returns:
            (N, k) int32 ids; `NONE` fills the places for which no allowed key is left.
        """
        ...


class CpuLookup:
    """FAISS on the CPU, in the calling thread alone; keys and queries are centred, which is exact in L2 and keeps digits."""

    def __init__(self, keys: np.ndarray) -> None:
        self.keys = np.ascontiguousarray(keys, np.float32)
        self.centre = self.keys.mean(0, dtype=np.float64).astype(np.float32)
        self.centred = self.keys - self.centre

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> np.ndarray:
        kept, keys = _compact(self.centred, allowed)
        ids = np.full((len(queries), k), NONE, np.int32)
        places = min(k, len(keys))
        for start in range(0, len(queries) if places else 0, BLOCK):
            found = nearest(queries[start : start + BLOCK] - self.centre, keys, places)
            ids[start : start + BLOCK, :places] = found if kept is None else kept[found]
        return ids


class GpuLookup:
    """A FAISS flat index on the GPU for one codebook; all codebooks share one set of GPU resources."""

    def __init__(self, keys: np.ndarray) -> None:
        self.keys = np.ascontiguousarray(keys, np.float32)
        self.centre = self.keys.mean(0, dtype=np.float64).astype(np.float32)
        self.centred = self.keys - self.centre
        self.index = self._index(self.centred)

    def _index(self, keys: np.ndarray) -> Any:
        index = faiss.GpuIndexFlatL2(_gpu_resources(), keys.shape[1])
        index.add(keys)
        return index

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> np.ndarray:
        kept, keys = _compact(self.centred, allowed)
        if len(keys) == 0 or len(queries) == 0:
            return np.full((len(queries), k), NONE, np.int32)
        # IDSelector is silently ignored by FAISS's GPU indexes, so a mask means an index over the kept keys
        index = self.index if kept is None else self._index(keys)
        _, found = index.search(np.ascontiguousarray(queries - self.centre), min(k, len(keys)))
        ids = found.astype(np.int32) if kept is None else kept[found]
        return np.pad(ids, ((0, 0), (0, k - ids.shape[1])), constant_values=NONE)


def make_lookup(keys: np.ndarray, device: str = "cpu") -> Lookup:
    """The fastest exact lookup over keys (M, d) float32 on a device, "cpu" or "cuda"."""
    return GpuLookup(keys) if device == "cuda" and gpu_ready() else CpuLookup(keys)


def gpu_ready() -> bool:
    """Whether this FAISS build sees a GPU; asking more of one that does not ends the process."""
    return getattr(faiss, "get_num_gpus", lambda: 0)() > 0


@cache
def _gpu_resources() -> Any:
    # each such object reserves 1.5 GiB of GPU memory: one serves every codebook
    return faiss.StandardGpuResources()


def _compact(keys: np.ndarray, allowed: np.ndarray | None) -> tuple[np.ndarray | None, np.ndarray]:
    if allowed is None or allowed.all():
        return None, keys
    kept = np.flatnonzero(allowed).astype(np.int32)
    return kept, np.ascontiguousarray(keys[kept])


def first_allowed(neighbours: np.ndarray, allowed: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The first k allowed keys of every neighbour list, and which lists ran out.

    Args:
        neighbours: (N, K) ids, nearest first.
        allowed: (M,) bool.

    Returns:
        ids (N, k) int32, and (N,) bool: True where the list holds fewer than k allowed keys, so that the row needs a search.
    """
    usable = allowed[neighbours]
    if k == 1:
        first = usable.argmax(1)
        rows = np.arange(len(neighbours))
        return neighbours[rows, first].astype(np.int32)[:, None], ~usable[rows, first]
    order = np.argsort(~usable, axis=1, kind="stable")[:, :k]
    short = usable.sum(1) < k
    ids = np.take_along_axis(neighbours, order, 1).astype(np.int32)
    return np.pad(ids, ((0, 0), (0, k - ids.shape[1]))), short


def reselect(
    codes: np.ndarray, allowed: np.ndarray, lookup: Lookup, queries: np.ndarray | None, neighbours: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """New codes, under a mask, of the rows that the mask touches; all other rows keep theirs. Exact.

    Args:
        codes: (N, k) ids selected with every key allowed, or under a smaller mask; may hold `NONE`.
        allowed: (M,) bool.
        queries: (N, d) float32; None where no row needs a search.
        neighbours: (N, K) ids, nearest first, or None; a row whose list runs out is searched.

    Returns:
        rows (n,), their new codes (n, k) int32.

    Raises:
        ValueError: a row needs a search and there are no queries.
    """
    k = codes.shape[1]
    rows = np.flatnonzero(~(allowed[codes] | (codes == NONE)).all(1))
    if len(rows) == 0:
        return rows, np.empty((0, k), np.int32)
    if neighbours is None:
        selected, short = np.empty((len(rows), k), np.int32), np.ones(len(rows), bool)
    else:
        selected, short = first_allowed(neighbours[rows], allowed, k)
    if short.any():
        if queries is None:
            raise ValueError("a masked lookup needs a search, and no queries were given")
        selected[short] = lookup.search(queries[rows[short]], k, allowed)
    return rows, selected
