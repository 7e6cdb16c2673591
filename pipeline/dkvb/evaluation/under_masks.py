"""Predictions of a bottleneck under growing masks: exact, and the same bits for a single mask as within a sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from dkvb.bottleneck.lookup import NONE, CpuLookup, reselect
from dkvb.bottleneck.mask_order import NEVER
from dkvb.bottleneck.projection import UNIT, groups
from dkvb.bottleneck.values import codebook_logits
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.runtime.parallel import one_thread_per_worker

ROWS = 2048
"""Rows of a block that one thread works on."""


LOGITS = 512 * 2**20
"""Bytes of logits held at a time."""


QUERIES = 128 * 2**20
"""Bytes of queries held at a time, where some have to be searched."""


def masked_predictions(
    model: StoredBottleneck,
    order: np.ndarray,
    grid: Sequence[int],
    split: str,
    advance: Callable[[int], None] = lambda points: None,
) -> np.ndarray:
    """Predicted classes of a split at every N of a sweep.

    Args:
        order: (C, M) mask order, see `dkvb.bottleneck.mask_order`.
        grid: G values of N.
        split: "train", "validation" or "test".

    Returns:
        (G, N) int64.
    """
    rows, classes = len(model.splits.labels[split]), len(model.splits.classes)
    at_once = max(1, LOGITS // max(1, rows * classes * 4))
    parts = []
    with one_thread_per_worker() as pool:
        for start in range(0, len(grid), at_once):
            parts.append(_logits(model, order, grid[start : start + at_once], split, pool).argmax(2))
            advance(len(parts[-1]))
    return np.concatenate(parts)


def masked_logits(model: StoredBottleneck, order: np.ndarray, n: int, split: str) -> np.ndarray:
    """Logits (N, L) float32 of a split at one N."""
    with one_thread_per_worker() as pool:
        return _logits(model, order, [n], split, pool)[0]


def masked_logits_at(
    model: StoredBottleneck, order: np.ndarray, grid: Sequence[int], split: str, rows: np.ndarray
) -> np.ndarray:
    """Logits (G, n, L) float32 of some rows (n,) of a split at every N of a sweep."""
    with one_thread_per_worker() as pool:
        return _logits(model, order, grid, split, pool, rows)


def _logits(
    model: StoredBottleneck,
    order: np.ndarray,
    grid: Sequence[int],
    split: str,
    pool: ThreadPoolExecutor,
    only: np.ndarray | None = None,
) -> np.ndarray:
    """Logits (G, N, L): the mean over codebooks, added up in codebook order, so that no bit depends on the threads."""
    some: Any = slice(None) if only is None else only
    codes = model.codes(split)[:, some]
    rows = codes.shape[1]
    logits = np.zeros((len(grid), rows, len(model.splits.classes)), np.float32)
    blocks = [slice(start, min(start + ROWS, rows)) for start in range(0, rows, ROWS)]
    together = max(1, QUERIES // max(1, UNIT * rows * model.keys.shape[2] * 4)) * UNIT
    for group in groups(model.codebooks, together):
        voters = []
        for codebook in group:
            masks = bool((order[codebook] < max(grid)).any())  # where nothing is masked, no list is read
            near = model.neighbours(split, codebook) if masks else None
            near = None if near is None else near[some]
            voters.append(CodebookVotes(model, codebook, order[codebook], codes[codebook], near))
        _give_queries(voters, split, group, max(grid), only, pool)
        for voter in voters:
            list(pool.map(partial(voter.add, grid, logits), blocks))
    logits /= np.float32(model.codebooks)
    return logits


def _give_queries(
    voters: Sequence[CodebookVotes], split: str, group: range, n: int, only: np.ndarray | None, pool: ThreadPoolExecutor
) -> None:
    """Give a group of codebooks the queries of the rows that one of them has to search at N = n, and of no others.

    Args:
        only: the rows of the split that are looked at; None where all are.
    """
    model = voters[0].model
    needed = np.flatnonzero(np.logical_or.reduce(list(pool.map(lambda voter: voter.needs_search(n), voters))))
    if not len(needed):
        return
    features = model.features(split, needed if only is None else only[needed])
    parts = [range(start, min(start + UNIT, group.stop)) for start in range(group.start, group.stop, UNIT)]
    projected = [queries for part in pool.map(partial(model.project, features), parts) for queries in part]
    for voter, queries in zip(voters, projected, strict=True):
        voter.queries = np.empty((len(voter.codes), queries.shape[1]), np.float32)
        voter.queries[needed] = queries


@dataclass
class CodebookVotes:
    """One codebook's votes under every mask of a sweep."""

    model: StoredBottleneck
    codebook: int
    order: np.ndarray
    codes: np.ndarray
    neighbours: np.ndarray | None
    queries: np.ndarray | None = None

    @cached_property
    def lookup(self) -> CpuLookup:
        return CpuLookup(self.model.keys[self.codebook])

    def needs_search(self, n: int) -> np.ndarray:
        """(N,) bool: the rows that cannot be served from their neighbour lists at N = n; all others can, at any smaller
        N as well."""
        allowed = self.order >= n
        needed: np.ndarray = ~allowed[self.codes].all(1)
        if self.neighbours is not None and needed.any():
            lists = self.neighbours[needed]
            needed[needed] = allowed[lists].sum(1) < self.codes.shape[1]
        return needed

    def add(self, grid: Sequence[int], logits: np.ndarray, block: slice) -> None:
        """Add this codebook's votes for a block of rows at every N.

        Masks are nested, so that going up the grid only rows whose selection has just been masked have to select again.
        """
        values, pool = self.model.values[self.codebook], self.model.pool
        codes = self.codes[block].astype(np.int32)
        near = None if self.neighbours is None else self.neighbours[block]
        queries = None if self.queries is None else self.queries[block]
        votes = codebook_logits(codes, values, pool).copy()
        falls = self.order[codes].min(1)  # the N from which on a row's selection is no longer allowed
        for place in np.argsort(grid, kind="stable"):
            rows = np.flatnonzero(falls < grid[place])
            if len(rows):
                selected = reselect(rows, codes.shape[1], self.order >= grid[place], self.lookup, queries, near)
                votes[rows] = codebook_logits(selected, values, pool)
                falls[rows] = np.where(selected == NONE, NEVER, self.order[selected]).min(1)
            logits[place, block] += votes
