"""Some rows of the data, and which class a bottleneck gives them under a mask: a search of just these rows, and under a
mask that has grown of just those whose selection it has hit, so that asking again costs little."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from dkvb.bottleneck.lookup import NONE, CpuLookup, first_allowed
from dkvb.bottleneck.projection import UNIT, groups
from dkvb.bottleneck.values import codebook_logits
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.runtime.parallel import in_order, one_thread_per_worker

LISTED = 6
"""Nearest keys of a list, in times of k."""


@dataclass(frozen=True)
class _Selected:
    """What rows select under a mask."""

    masked: np.ndarray
    """(C, M) bool."""
    codes: list[np.ndarray]
    """(n, k) ids of each codebook; `NONE` where fewer than k keys are allowed."""


@dataclass(frozen=True)
class ChosenRows:
    """n rows of some splits, with their queries in every codebook: n * C * d * 4 bytes."""

    model: StoredBottleneck
    labels: np.ndarray
    """(n,) class ids."""
    splits: np.ndarray
    """(n,) names of the splits that the rows belong to."""
    places: np.ndarray
    """(n,) their places in these splits."""
    queries: np.ndarray
    """(C, n, d) float32."""
    codes: np.ndarray
    """(C, n, k) uint16, what training stored: their selections without any mask."""
    near: np.ndarray | None = None
    """(C, n, K) uint16 nearest keys, nearest first; None where every question is a search."""
    _last: dict[bytes, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    """The last mask and what was recognised under it: two that follow each other often ask the same."""
    _under: list[_Selected] = field(default_factory=list, repr=False, compare=False)
    """Selections under the mask that logits were last asked for."""

    @classmethod
    def of(cls, model: StoredBottleneck, splits: Sequence[str], classes: Sequence[int]) -> ChosenRows:
        """All rows of some classes in some splits."""
        return cls.at(model, {split: np.flatnonzero(np.isin(model.splits.labels[split], classes)) for split in splits})

    @classmethod
    def at(cls, model: StoredBottleneck, places: Mapping[str, np.ndarray]) -> ChosenRows:
        """Rows of splits: split -> their places in it."""
        if not places:
            nothing, none = np.empty(0, np.int64), np.empty((model.codebooks, 0, 0))
            return cls(model, nothing, np.empty(0, str), nothing, none.astype(np.float32), none.astype(np.uint16))
        labels = [model.splits.labels[split][rows] for split, rows in places.items()]
        names = [np.full(len(rows), split) for split, rows in places.items()]
        features = np.concatenate([model.features(split, rows) for split, rows in places.items()])
        codes = np.concatenate([model.codes_of(split, rows) for split, rows in places.items()], 1)
        queries = np.empty((model.codebooks, len(features), model.keys.shape[2]), np.float32)

        def project(group: range) -> None:
            queries[group.start : group.stop] = model.project(features, group)

        with one_thread_per_worker(numbers=features.size) as pool:
            list(pool.map(project, groups(model.codebooks, 4 * UNIT) if len(features) else []))
        of_each = np.concatenate(labels), np.concatenate(names), np.concatenate(list(places.values()))
        return cls(model, *of_each, queries, codes)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> ChosenRows:
        """Some of these rows, by their numbers (m,)."""
        near = None if self.near is None else self.near[:, rows]
        of_each = self.labels[rows], self.splits[rows], self.places[rows]
        return ChosenRows(self.model, *of_each, self.queries[:, rows], self.codes[:, rows], near)

    def joined(self, more: ChosenRows) -> ChosenRows:
        """These rows and then others, both with lists or both without."""
        pairs = (self.labels, more.labels), (self.splits, more.splits), (self.places, more.places)
        labels, splits, places = (np.concatenate(pair) for pair in pairs)
        near = None if self.near is None or more.near is None else np.concatenate([self.near, more.near], 1)
        queries, codes = np.concatenate([self.queries, more.queries], 1), np.concatenate([self.codes, more.codes], 1)
        return ChosenRows(self.model, labels, splits, places, queries, codes, near)

    def listed(self) -> ChosenRows:
        """The same rows with lists of their nearest keys, for many questions: each then costs a tenth of a search. Two
        keys that are equally near may change places against a search."""
        width = min(LISTED * self.model.top_k, self.model.keys.shape[1])
        near = np.empty((*self.queries.shape[:2], width), np.uint16)

        def fill(codebook: int) -> None:
            near[codebook] = CpuLookup(self.model.keys[codebook]).listed(self.queries[codebook], width)

        with one_thread_per_worker(numbers=len(self) * self.model.pairs) as pool:
            list(pool.map(fill, range(self.model.codebooks if len(self) else 0)))
        return replace(self, near=near, _last={}, _under=[])

    def logits(self, masked: np.ndarray) -> np.ndarray:
        """(n, L) float32 under a mask (C, M) bool: the mean over codebooks, added up in codebook order.

        A row selects again in a codebook where the mask has hit what it selected before: under the mask asked for last,
        where that has only grown since, or else without any mask. Rows with lists all select from these.
        """
        if self.near is not None:
            return self._sum(partial(self._votes_of_lists, self.near, masked), groups(self.model.codebooks))
        before = self._under[0] if self._under else None
        if before is None or (before.masked & ~masked).any():
            before = _Selected(np.zeros_like(masked), list(self.codes))
        after = _Selected(masked.copy(), list(before.codes))

        def votes(codebook: int) -> list[np.ndarray]:
            hit = masked[codebook] & ~before.masked[codebook]
            after.codes[codebook] = self._again(codebook, before.codes[codebook], hit, ~masked[codebook])
            return [codebook_logits(after.codes[codebook], self.model.values[codebook], self.model.pool)]

        logits = self._sum(votes, range(self.model.codebooks))
        self._under[:] = [after]
        return logits

    def _again(self, codebook: int, codes: np.ndarray, hit: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """What all rows select in a codebook, (n, k), of what they selected (n, k) before some pairs (M,) were hit."""
        rows = np.flatnonzero(hit.take(codes.T, mode="wrap").any(0))
        if not len(rows):
            return codes
        lookup, codes = CpuLookup(self.model.keys[codebook]), codes.copy()
        selected = lookup.search(self.queries[codebook][rows], self.model.top_k, allowed)
        if (selected == NONE).any():
            codes = codes.astype(np.int32)
        codes[rows] = selected
        return codes

    def _votes_of_lists(self, lists: np.ndarray, masked: np.ndarray, group: range) -> np.ndarray:
        """(G, n, L): votes of a group of codebooks, whose pairs are numbered through so that one call serves all."""
        part, model, (_, rows, width) = slice(group.start, group.stop), self.model, lists.shape
        pairs, classes = model.values.shape[1:]
        starts = np.arange(len(group), dtype=np.int32)[:, None, None] * np.int32(pairs)
        near = (lists[part] + starts).reshape(-1, width)
        ids, short = first_allowed(near, ~masked[part].reshape(-1), model.top_k)
        ids, short = ids.reshape(len(group), rows, -1), short.reshape(len(group), rows)
        for place in np.flatnonzero(short.any(1)):
            codebook, again = group[place], short[place]
            lookup, allowed = CpuLookup(model.keys[codebook]), ~masked[codebook]
            found = lookup.search(self.queries[codebook][again], model.top_k, allowed)
            ids[place, again] = np.where(found == NONE, NONE, found + starts[place, 0])
        values = model.values[part].reshape(-1, classes)
        return codebook_logits(ids.reshape(len(near), -1), values, model.pool).reshape(len(group), rows, classes)

    def logits_as_trained(self) -> np.ndarray:
        """(n, L) float32 without any mask, from the codes that training stored."""
        model = self.model
        votes = lambda c: [codebook_logits(self.codes[c], model.values[c], model.pool)]  # noqa: E731
        return self._sum(votes, range(model.codebooks))

    def _sum(self, votes: Callable[[Any], Iterable[np.ndarray]], units: Sequence[Any]) -> np.ndarray:
        logits = np.zeros((len(self), len(self.model.splits.classes)), np.float32)
        with one_thread_per_worker(numbers=len(self) * self.model.pairs) as pool:
            for casts in in_order(pool, votes, units if len(self) else [], 2 * UNIT):
                for cast in casts:
                    logits += cast
        logits /= np.float32(self.model.codebooks)
        return logits

    def recognised(self, masked: np.ndarray) -> np.ndarray:
        """(n,) bool: whether the answer under a mask (C, M) bool is the row's own class."""
        key = np.packbits(masked).tobytes()
        if key not in self._last:
            self._last.clear()
            self._last[key] = self.logits(masked).argmax(1) == self.labels
        return self._last[key]
