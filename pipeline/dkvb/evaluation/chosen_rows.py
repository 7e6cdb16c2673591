"""Some rows of the data, and which class a bottleneck gives them under a mask: a search of just these rows, so that
asking again under another mask costs little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dkvb.bottleneck.lookup import CpuLookup, reselect
from dkvb.bottleneck.projection import UNIT, groups
from dkvb.bottleneck.values import codebook_logits
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.runtime.parallel import in_order, one_thread_per_worker

LISTED = 6
"""Nearest keys of a list, in times of k."""


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
    _last: dict[bytes, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    """The last mask and what was recognised under it: two that follow each other often ask the same."""
    near: np.ndarray | None = None
    """(C, n, K) uint16 nearest keys, nearest first; None where every question is a search."""

    @classmethod
    def of(cls, model: StoredBottleneck, splits: Sequence[str], classes: Sequence[int]) -> ChosenRows:
        """All rows of some classes in some splits."""
        places = [np.flatnonzero(np.isin(model.splits.labels[split], classes)) for split in splits]
        labels = [model.splits.labels[split][rows] for split, rows in zip(splits, places, strict=True)]
        names = [np.full(len(rows), split) for split, rows in zip(splits, places, strict=True)]
        if not splits:
            nothing = np.empty(0, np.int64)
            return cls(model, nothing, np.empty(0, str), nothing, np.empty((model.codebooks, 0, 0), np.float32))
        features = np.concatenate([model.features(split, rows) for split, rows in zip(splits, places, strict=True)])
        queries = np.empty((model.codebooks, len(features), model.keys.shape[2]), np.float32)

        def project(group: range) -> None:
            queries[group.start : group.stop] = model.project(features, group)

        with one_thread_per_worker() as pool:
            list(pool.map(project, groups(model.codebooks, 4 * UNIT) if len(features) else []))
        return cls(model, np.concatenate(labels), np.concatenate(names), np.concatenate(places), queries)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> ChosenRows:
        """Some of these rows, by their numbers (m,)."""
        return ChosenRows(self.model, self.labels[rows], self.splits[rows], self.places[rows], self.queries[:, rows])

    def listed(self) -> ChosenRows:
        """The same rows with lists of their nearest keys, for many questions: each then costs a tenth of a search. Two
        keys that are equally near may change places against a search of other rows or keys."""
        width = min(LISTED * self.model.top_k, self.model.keys.shape[1])
        near = np.empty((*self.queries.shape[:2], width), np.uint16)

        def fill(codebook: int) -> None:
            near[codebook] = CpuLookup(self.model.keys[codebook]).search(self.queries[codebook], width)

        with one_thread_per_worker() as pool:
            list(pool.map(fill, range(self.model.codebooks if len(self) else 0)))
        return replace(self, near=near, _last={})

    def logits(self, masked: np.ndarray) -> np.ndarray:
        """(n, L) float32 under a mask (C, M) bool: the mean over codebooks, added up in codebook order."""
        model = self.model

        def votes(codebook: int) -> np.ndarray:
            allowed = ~masked[codebook]
            lookup = CpuLookup(model.keys[codebook])
            near = None if self.near is None else self.near[codebook]
            codes = reselect(np.arange(len(self)), model.top_k, allowed, lookup, self.queries[codebook], near)
            return codebook_logits(codes, model.values[codebook], model.pool)

        return self._sum(votes)

    def logits_as_trained(self) -> np.ndarray:
        """(n, L) float32 without any mask, from the codes that training stored."""
        codes = np.empty((self.model.codebooks, len(self), self.model.top_k), np.int32)
        for split in np.unique(self.splits):
            mine = self.splits == split
            codes[:, mine] = self.model.codes(str(split))[:, self.places[mine]]
        return self._sum(lambda c: codebook_logits(codes[c], self.model.values[c], self.model.pool))

    def _sum(self, votes: Callable[[int], np.ndarray]) -> np.ndarray:
        logits = np.zeros((len(self), len(self.model.splits.classes)), np.float32)
        with one_thread_per_worker() as pool:
            for cast in in_order(pool, votes, range(self.model.codebooks if len(self) else 0), 2 * UNIT):
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
