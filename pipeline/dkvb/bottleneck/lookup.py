"""Exact nearest-key search with masks, by FAISS (paper, section 4: a masked key is at distance infinity)."""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

import faiss
import numpy as np

from dkvb.bottleneck.few_nearest import MOST, few_nearest

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
    """Exact search on the CPU, in the calling thread alone; keys and queries are centred, which is exact in L2 and
    keeps digits."""

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

    def listed(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Lists (N, k) uint16 of the k nearest keys of every query, nearest first: a third of the time of a search for
        so many.

        Two keys whose distances differ by no more than rounding may stand the other way round than in a search.
        """
        centred = queries - self.centre
        squared = centred @ (-2 * self.centred.T)
        squared += (self.centred**2).sum(1)
        squared += (centred**2).sum(1)[:, None]
        np.maximum(squared, 0, out=squared)
        # of floats from 0 on, the bits have the order of the numbers: with the id below them they sort as one number
        ranked = squared.view(np.int32).astype(np.int64)
        ranked <<= 16
        ranked |= np.arange(len(self.keys))
        if k < len(self.keys):
            ranked.partition(k - 1, axis=1)
        nearest = np.ascontiguousarray(ranked[:, :k])
        nearest.sort(axis=1)
        return nearest.astype(np.uint16)


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


WORDS = (8, 16, 32, 64)
"""Places of a neighbour list that are looked at together, as the bits of one number."""


def first_allowed(neighbours: np.ndarray, allowed: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The first k allowed keys of every neighbour list, and which lists ran out.

    Args:
        neighbours: (N, K) ids, nearest first.
        allowed: (M,) bool, whether the mask allows a key.

    Returns:
        ids (N, k) int32, and (N,) bool: True where the list holds fewer than k allowed keys, so that the row needs a
            search.
    """
    length, looked_at = neighbours.shape[1], _beginning(neighbours, k)
    ids, short = _first_places(neighbours, allowed, k, looked_at)
    for width in sorted({min(WORDS[-1], length), length}):
        rows = np.flatnonzero(short)
        if len(rows) and looked_at < width:
            ids[rows], short[rows] = _first_places(neighbours[rows], allowed, k, width)
    return ids, short


def runs_out(neighbours: np.ndarray, allowed: np.ndarray, k: int) -> np.ndarray:
    """(N,) bool: which neighbour lists hold fewer than k allowed keys; arguments as for `first_allowed`."""
    width = _beginning(neighbours, k)
    short = np.asarray(np.bitwise_count(_bits(allowed.take(neighbours[:, :width]))) < k)
    if width < neighbours.shape[1]:
        short[short] = np.count_nonzero(allowed.take(neighbours[short]), axis=1) < k
    return short


def _beginning(neighbours: np.ndarray, k: int) -> int:
    """In how many places of their lists (N, K) most rows find their k."""
    return next((word for word in WORDS if word >= min(3 * k, neighbours.shape[1])), WORDS[-1])


def _first_places(neighbours: np.ndarray, allowed: np.ndarray, k: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """`first_allowed` of the first `width` places of the lists; where these hold fewer, the ids are of no use."""
    near = np.ascontiguousarray(neighbours[:, :width])
    rows, width = near.shape
    ids, usable = np.zeros((rows, k), np.int32), allowed.take(near)
    if width > WORDS[-1]:
        count = usable.cumsum(1, dtype=np.int32)
        full = count[:, -1] >= k
        ids[full] = near[full][(usable & (count <= k))[full]].reshape(-1, k)
        return ids, ~full
    bits = _bits(usable)
    short = np.bitwise_count(bits) < k
    flat, starts, one = near.reshape(-1), np.arange(0, rows * width, width), bits.dtype.type(1)
    for place in range(k):
        below = bits - one  # all ones where no bit is left
        ids[:, place] = flat.take(starts + np.bitwise_count(~bits & below), mode="clip")
        bits &= below
    return ids, short


def _bits(usable: np.ndarray) -> np.ndarray:
    """(N, K) bool -> (N,) numbers of as many bits as K needs: place j of a list is bit j."""
    width = usable.shape[1]
    word = next(word for word in WORDS if word >= width)
    if word != width:
        usable = np.pad(usable, ((0, 0), (0, word - width)))
    packed = np.packbits(usable.reshape(-1), bitorder="little").view(f"<u{word // 8}")
    return packed.astype(packed.dtype.newbyteorder("="), copy=False)


def reselect(
    rows: np.ndarray,
    k: int,
    allowed: np.ndarray,
    lookup: Lookup,
    queries: np.ndarray | None,
    neighbours: np.ndarray | None,
) -> np.ndarray:
    """Codes of some rows under a mask: from their neighbour lists, and by a search where a list runs out. Exact.

    Args:
        rows: (n,) rows that select again.
        allowed: (M,) bool.
        queries: (N, d) float32; None where no row needs a search.
        neighbours: (N, K) ids, nearest first, or None.

    Returns:
        (n, k) int32; `NONE` where fewer than k keys are allowed.

    Raises:
        ValueError: a row needs a search and there are no queries.
    """
    if neighbours is None:
        selected, short = np.empty((len(rows), k), np.int32), np.ones(len(rows), bool)
    else:
        selected, short = first_allowed(neighbours[rows], allowed, k)
    if short.any():
        if queries is None:
            raise ValueError("a masked lookup needs a search, and no queries were given")
        selected[short] = lookup.search(queries[rows[short]], k, allowed)
    return selected


# Without this FAISS leaves its fused kernel for queries under 128,000 numbers: 256 queries take 20 times as long.
faiss.cvar.distance_compute_blas_threshold = 1


# Beyond k = 1 FAISS works through blocks of distances: these stay in the core's own cache (its default does not), 10 to
# 20 % faster.
faiss.cvar.distance_compute_blas_query_bs = 64


faiss.cvar.distance_compute_blas_database_bs = 256


# A heap of k is faster up to about here, a reservoir beyond.
faiss.cvar.distance_compute_min_k_reservoir = 32


def nearest(queries: np.ndarray, keys: np.ndarray, k: int) -> np.ndarray:
    """Ids of the k nearest keys by L2, nearest first: by FAISS, but for a few of not so many keys.

    Args:
        queries: (N, d) float32, N > 0; keys: (M, d) float32, M >= k.

    Returns:
        (N, k) int64.
    """
    if k > 1 and k * len(keys) <= MOST:
        return few_nearest(queries, keys, k)
    faiss.omp_set_num_threads(1)
    return np.asarray(faiss.knn(queries, keys, k)[1])
