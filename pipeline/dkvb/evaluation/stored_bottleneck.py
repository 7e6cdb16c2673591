"""Keys, codes and values of one seed as they lie on disk, read when they are first used."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dkvb.bottleneck.mask_order import NEVER
from dkvb.bottleneck.projection import UNIT, fill_up, project
from dkvb.bottleneck.values import Pool
from dkvb.evaluation.queries import group_projections, group_queries
from dkvb.evaluation.splits import Splits, stored_split
from dkvb.records.quantize import QuantizeResult
from dkvb.runtime.parallel import one_thread_per_worker
from dkvb.workspace import arrays
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import KEYS, PROJECTION
from dkvb.workspace.settings import QuantizeSettings

KEPT = 2**30
"""Bytes of a split's features that are kept in memory at most."""


SMALL = 2**25
"""Bytes of an array that is read at once: asking for a chunk after the other takes longer than reading them."""


@dataclass
class StoredBottleneck:
    """Keys, codes and values of one seed.

    `values` is (C, M, L) float32. `masks_unused` excludes pairs that training never selected, as the official
    evaluation does.
    """

    splits: Splits
    codes_artifact: Artifact
    values: np.ndarray
    pool: Pool
    masks_unused: bool = False

    def with_values(self, values: np.ndarray) -> StoredBottleneck:
        """The same keys and codes with other values (C, M, L) float32; what was read of them is not read again."""
        _ = self._codes, self._neighbours, self._features  # there now, so that the copy shares what is read later
        other = copy.copy(self)
        other.values = values
        return other

    def no_mask(self, selected: np.ndarray) -> np.ndarray:
        """The mask order (C, M) of a model from which nothing is unlearned.

        Args:
            selected: (C, M), how often training selected each pair.
        """
        order = np.full(selected.shape, NEVER, np.int32)
        if self.masks_unused:
            order[selected == 0] = -1
        return order

    @cached_property
    def _fitted(self) -> QuantizeResult:
        return self.codes_artifact.result_as(QuantizeResult)

    @property
    def codebooks(self) -> int:
        return self._fitted.codebooks

    @property
    def pairs(self) -> int:
        return self._fitted.pairs

    @property
    def top_k(self) -> int:
        """Keys that each query selects in a codebook."""
        return self.codes_artifact.settings_as(QuantizeSettings).keys.top_k

    @cached_property
    def keys(self) -> np.ndarray:
        """(C, M, d) float32."""
        return arrays.read(self.codes_artifact, KEYS)

    @cached_property
    def _codes(self) -> dict[str, np.ndarray]:
        return {}

    def codes(self, split: str) -> np.ndarray:
        """(C, N, k) uint16 codes of a split, codebook by codebook."""
        if split not in self._codes:
            self._codes[split] = self._read_codes(split, self.splits.rows[split])
        return self._codes[split]

    def codes_of(self, split: str, rows: np.ndarray) -> np.ndarray:
        """(C, n, k) uint16 codes of some rows (n,) of a split; no others are kept in memory."""
        if split in self._codes:
            return self._codes[split][:, rows]
        return self._read_codes(split, self.splits.rows[split][rows])

    def _read_codes(self, split: str, rows: np.ndarray) -> np.ndarray:
        name = f"{stored_split(split)}/codes"
        stored = arrays.opened(self.codes_artifact, name)
        codes = np.empty((stored.shape[1], len(rows), stored.shape[2]), stored.dtype)
        if stored.nbytes <= SMALL:
            with arrays.reading(self.codes_artifact, name):
                np.take(np.asarray(stored[:]).transpose(1, 0, 2), rows, axis=1, out=codes)
            return codes

        def fill(codebook: int) -> None:  # a chunk holds one codebook
            with arrays.reading(self.codes_artifact, name):
                np.take(np.asarray(stored[:, codebook]), rows, axis=0, out=codes[codebook])

        with one_thread_per_worker() as pool:
            list(pool.map(fill, range(len(codes))))
        return codes

    @cached_property
    def _neighbours(self) -> dict[str, Any]:
        return {}

    def neighbours(self, split: str, codebook: int) -> np.ndarray | None:
        """(N, K) nearest keys of every sample, nearest first, where they were kept."""
        name = f"{split}/neighbours"
        if split not in self._neighbours:
            kept = (self.codes_artifact.path / name).is_dir()
            self._neighbours[split] = self._lists(name) if kept else None
        lists = self._neighbours[split]
        if lists is None:
            return None
        with arrays.reading(self.codes_artifact, name):
            listed = lists[codebook] if isinstance(lists, np.ndarray) else np.asarray(lists[:, codebook])
        return listed if len(listed) == len(self.splits.rows[split]) else listed[self.splits.listed_rows(split)]

    def _lists(self, name: str) -> Any:
        """Neighbour lists: (C, N, K) in memory where they are small, or else the array (N, C, K) on disk."""
        stored = arrays.opened(self.codes_artifact, name)
        if stored.nbytes > SMALL:
            return stored
        with arrays.reading(self.codes_artifact, name):
            return np.ascontiguousarray(np.asarray(stored[:]).transpose(1, 0, 2))

    def queries(self, split: str, group: range, pool: ThreadPoolExecutor) -> np.ndarray:
        """(G, N, d) float32 queries of a group of codebooks."""
        self.codes_artifact.file(PROJECTION)
        stored = group_queries(self.splits.features, stored_split(split), self.codes_artifact.path, group, pool)
        rows = self.splits.rows[split]
        return stored if len(rows) == stored.shape[1] else stored[:, rows]

    @cached_property
    def _features(self) -> dict[str, np.ndarray]:
        return {}

    def features(self, split: str, rows: np.ndarray) -> np.ndarray:
        """(n, D) float32 features of some rows (n,) of a split. What is stored is read once and kept, unless it is
        large."""
        stored, places = stored_split(split), self.splits.rows[split][rows]
        name = f"{stored}/features"
        if stored not in self._features:
            array = arrays.opened(self.splits.features, name)
            if array.nbytes > KEPT:
                return arrays.read(self.splits.features, name, places)
            self._features[stored] = arrays.read_at_once(self.splits.features, name)
        return self._features[stored][places]

    def projections(self, group: range) -> np.ndarray:
        """(G, D, d) float32 of a group of codebooks."""
        self.codes_artifact.file(PROJECTION)
        return group_projections(self.codes_artifact.path, group)

    def project(self, features: np.ndarray, group: range) -> np.ndarray:
        """(G, N, d) float32 queries of features (N, D): the bits that they have among all rows of the store."""
        projections = self.projections(group)
        queries = []
        for start in range(0, len(features), arrays.SHARD):
            block = features[start : start + arrays.SHARD]
            filled = fill_up(block, (self.codebooks % UNIT or UNIT) * projections.shape[2], arrays.SHARD)
            queries.append(project([filled], len(filled), projections)[:, : len(block)])
        return queries[0] if len(queries) == 1 else np.concatenate(queries, 1)
