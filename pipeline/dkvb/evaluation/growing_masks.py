"""One codebook's votes while its mask grows: only what falls is selected again, and what has to be searched is searched
for a list that serves the steps to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dkvb.bottleneck.lookup import NONE, CpuLookup, first_allowed, runs_out
from dkvb.bottleneck.values import codebook_logits
from dkvb.evaluation.stored_bottleneck import StoredBottleneck

SEARCHED = 4
"""Keys, in times of k, that a search within a sweep finds where its next steps may ask for more of them."""


@dataclass
class Voter:
    """One codebook with a split's codes and neighbour lists."""

    model: StoredBottleneck
    codebook: int
    places: np.ndarray
    """(G,) places in the sweep, N rising: its steps."""
    allowed: np.ndarray
    """(M,), at how many steps a pair is allowed: the first so many."""
    codes: np.ndarray
    neighbours: np.ndarray | None
    queries: np.ndarray | None = None
    """(N, d) float32; of rows that are never searched, anything."""

    @classmethod
    def of(
        cls,
        model: StoredBottleneck,
        order: np.ndarray,
        codes: np.ndarray,
        grid: Sequence[int],
        split: str,
        only: np.ndarray | None,
        codebook: int,
    ) -> Voter:
        """A codebook with its part of the mask order (C, M) and of the codes (C, N, k); neighbour lists are only read
        where something is masked.

        Args:
            only: the rows (N,) of the split that are looked at; None where all are.
        """
        near = model.neighbours(split, codebook) if (order[codebook] < max(grid)).any() else None
        near = near if near is None or only is None else near[only]
        return cls.under(model, codebook, order[codebook], codes[codebook], grid, near)

    @classmethod
    def under(
        cls,
        model: StoredBottleneck,
        codebook: int,
        order: np.ndarray,
        codes: np.ndarray,
        grid: Sequence[int],
        neighbours: np.ndarray | None,
    ) -> Voter:
        """A codebook under its own mask order (M,), with codes (N, k) and neighbour lists."""
        places = np.argsort(grid, kind="stable")
        allowed = np.searchsorted(np.asarray(grid)[places], order, side="right")
        return cls(
            model, codebook, places, allowed.astype(np.uint8 if len(grid) < 256 else np.int32), codes, neighbours
        )

    @property
    def steps(self) -> int:
        return len(self.places)

    @cached_property
    def lookup(self) -> CpuLookup:
        return CpuLookup(self.model.keys[self.codebook])

    def needs_search(self) -> np.ndarray:
        """(N,) bool: the rows that cannot be served from their neighbour lists at the largest N; all others can, at any
        smaller N as well."""
        needed = self._whole(self.codes) < self.steps
        if self.neighbours is not None and needed.any():
            needed[needed] = runs_out(self.neighbours[needed], self.allowed == self.steps, self.codes.shape[1])
        return needed

    def add(self, logits: np.ndarray, block: slice) -> None:
        """Add this codebook's votes for a block of rows to logits (G, N, L), at every N.

        Masks are nested, so that going up only rows whose selection has just been masked have to select again.
        """
        values, pool = self.model.values[self.codebook], self.model.pool
        codes = self.codes[block]
        lists = _Lists(self, block)
        votes, whole = codebook_logits(codes, values, pool), self._whole(codes)
        for step, place in enumerate(self.places):
            rows = np.flatnonzero(whole <= step)
            if len(rows):
                selected = lists.select(rows, step)
                votes[rows] = codebook_logits(selected, values, pool)
                whole[rows] = self._whole(selected)
            logits[place, block] += votes

    def _whole(self, codes: np.ndarray) -> np.ndarray:
        """(N,): at how many steps codes (N, k) are allowed all together; a missing one always is."""
        steps = self.allowed.take(codes.T, mode="wrap")
        if codes.dtype.kind == "i":
            steps[codes.T == NONE] = self.steps
        return np.asarray(steps.min(0))


class _Lists:
    """The neighbour lists of a block of rows; one that ran out is replaced by what a search finds."""

    def __init__(self, voter: Voter, block: slice) -> None:
        self.voter = voter
        self.queries = None if voter.queries is None else voter.queries[block]
        self.near = None if voter.neighbours is None else voter.neighbours[block]
        self.searched: np.ndarray | None = None
        """(n, K) lists from searches, and of which rows they are: (n,) bool."""
        self.has: np.ndarray = np.zeros(len(voter.codes[block]), bool)

    def select(self, rows: np.ndarray, step: int) -> np.ndarray:
        """What rows (n,) select at a step: (n, k) int32; `NONE` where fewer than k keys are allowed."""
        top_k, allowed = self.voter.codes.shape[1], self.voter.allowed > step
        selected, short, ran_out = np.empty((len(rows), top_k), np.int32), np.ones(len(rows), bool), self.has[rows]
        for lists, mine in ((self.near, ~ran_out), (self.searched, ran_out)):
            if lists is not None and mine.any():
                selected[mine], short[mine] = first_allowed(lists[rows[mine]], allowed, top_k)
        if short.any():
            selected[short] = self._search(rows[short], step, allowed)[:, :top_k]
        return selected

    def _search(self, rows: np.ndarray, step: int, allowed: np.ndarray) -> np.ndarray:
        """The nearest allowed keys of rows: k of them, or more, which are kept, where masks grow on."""
        if self.queries is None:
            raise ValueError("a masked lookup needs a search, and no queries were given")
        top_k, longer = self.voter.codes.shape[1], SEARCHED * self.voter.codes.shape[1]
        keep = top_k > 1 and step + 1 < self.voter.steps and longer <= np.count_nonzero(allowed)
        found = self.voter.lookup.search(self.queries[rows], longer if keep else top_k, allowed)
        if keep:
            if self.searched is None:
                self.searched = np.zeros((len(self.has), longer), np.int32)
            self.searched[rows], self.has[rows] = found, True
        return found
