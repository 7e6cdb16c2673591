"""Predictions of a bottleneck under growing masks: exact, and the same bits for a single mask as within a sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from dkvb.bottleneck.projection import UNIT, groups
from dkvb.evaluation.growing_masks import Voter
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.runtime.parallel import cores, one_thread_per_worker

ROWS = 8192
"""Rows of a block that one thread works on, at the most."""


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
    point = max(1, rows * classes * 4)
    at_once, parts = max(1, LOGITS // point), -(-point // LOGITS)
    found = []
    with one_thread_per_worker(numbers=rows * classes) as pool:
        for start in range(0, len(grid), at_once):
            those = grid[start : start + at_once]
            if parts == 1:
                found.append(_logits(model, order, those, split, pool).argmax(2))
            else:  # rows by rows: one point alone is too many logits
                blocks = np.array_split(np.arange(rows), parts)
                each = [_logits(model, order, those, split, pool, block).argmax(2) for block in blocks]
                found.append(np.concatenate(each, 1))
            advance(len(found[-1]))
    return np.concatenate(found)


def masked_logits(model: StoredBottleneck, order: np.ndarray, n: int, split: str) -> np.ndarray:
    """Logits (N, L) float32 of a split at one N."""
    splits = model.splits
    with one_thread_per_worker(numbers=len(splits.labels[split]) * len(splits.classes)) as pool:
        return _logits(model, order, [n], split, pool)[0]


def masked_logits_at(
    model: StoredBottleneck, order: np.ndarray, grid: Sequence[int], split: str, rows: np.ndarray
) -> np.ndarray:
    """Logits (G, n, L) float32 of some rows (n,) of a split at every N of a sweep."""
    with one_thread_per_worker(numbers=len(rows) * len(model.splits.classes)) as pool:
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
    codes = model.codes(split) if only is None else model.codes(split)[:, only]
    rows = codes.shape[1]
    logits = np.zeros((len(grid), rows, len(model.splits.classes)), np.float32)
    blocks = _blocks(rows)
    together = max(1, QUERIES // max(1, UNIT * rows * model.keys.shape[2] * 4)) * UNIT
    for group in groups(model.codebooks, together):
        voters = list(pool.map(partial(Voter.of, model, order, codes, grid, split, only), group))
        _give_queries(voters, split, group, only, pool)
        list(pool.map(partial(_add, voters, logits), blocks))
    logits /= np.float32(model.codebooks)
    return logits


def _blocks(rows: int) -> list[slice]:
    """Rows in blocks of one size, as many for each thread."""
    turns = -(-rows // (cores() * ROWS))
    size = max(1, -(-rows // max(1, turns * cores())))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _give_queries(
    voters: Sequence[Voter], split: str, group: range, only: np.ndarray | None, pool: ThreadPoolExecutor
) -> None:
    """Give a group of codebooks the queries of the rows that one of them has to search, and of no others.

    Args:
        only: the rows of the split that are looked at; None where all are.
    """
    model = voters[0].model
    needed = np.flatnonzero(np.logical_or.reduce(list(pool.map(Voter.needs_search, voters))))
    if not len(needed):
        return
    features = model.features(split, needed if only is None else only[needed])
    parts = [range(start, min(start + UNIT, group.stop)) for start in range(group.start, group.stop, UNIT)]
    projected = [queries for part in pool.map(partial(model.project, features), parts) for queries in part]
    for voter, queries in zip(voters, projected, strict=True):
        voter.queries = np.empty((len(voter.codes), queries.shape[1]), np.float32)
        voter.queries[needed] = queries


def _add(voters: Sequence[Voter], logits: np.ndarray, block: slice) -> None:
    """Add the votes of a group of codebooks for a block of rows, one codebook after the other."""
    for voter in voters:
        voter.add(logits, block)
