"""The trained models of one seed with the data they are studied on: what every unlearning method is given."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from dkvb import stores
from dkvb.artifacts import dkvb_spec, labels, linear_spec, present, quantize_spec, stored_train_rows, train_rows
from dkvb.bottleneck.masking import NEVER
from dkvb.bottleneck.projection import project
from dkvb.bottleneck.values import Pool
from dkvb.queries import group_projections, group_queries
from dkvb.recipe import Recipe
from dkvb.workspace import Artifact, Workspace

VALUES, COUNTS, LINEAR = "values.safetensors", "counts", "linear.safetensors"


@dataclass
class Splits:
    """Labels and rows of the splits of one seed: `train` (what was learned from), `validation` (kept out of it), `test`."""

    features: Artifact
    validation: float
    seed: int

    @cached_property
    def classes(self) -> list[str]:
        return [str(name) for name in self.features.result["classes"]]

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Split -> row numbers in its stored arrays."""
        kept, aside = train_rows(self.features, self.validation, self.seed)
        return {"train": kept, "validation": aside, "test": np.flatnonzero(present(self.features, "test"))}

    def listed_rows(self, split: str) -> np.ndarray:
        """Places of a split's rows in neighbour lists that were made before any row was purged."""
        if split != "validation":
            return self.rows[split]
        aside = stored_train_rows(self.features, self.validation, self.seed)[1]
        return np.flatnonzero(present(self.features, "train")[aside])

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """Split -> (N,) int64."""
        stored = {split: labels(self.features, split) for split in ("train", "test")}
        return {split: stored[_stored(split)][rows] for split, rows in self.rows.items()}

    def features_of(self, split: str) -> np.ndarray:
        """(N, D) float32 features of a split."""
        return stores.read(self.features, f"{_stored(split)}/features")[self.rows[split]]

    @property
    def evaluation(self) -> list[str]:
        """Splits on which N may be chosen or is reported."""
        return ["test", "validation"] if len(self.rows["validation"]) else ["test"]


@dataclass
class Bottleneck:
    """Keys, codes and values of one seed.

    `values` is (C, M, L) float32. `masks_unused` excludes pairs that training never selected, as the official evaluation does.
    """

    splits: Splits
    codes_artifact: Artifact
    values: np.ndarray
    pool: Pool
    masks_unused: bool = False

    def no_mask(self, selected: np.ndarray) -> np.ndarray:
        """The mask order (C, M) of a model from which nothing is unlearned.

        Args:
            selected: (C, M), how often training selected each pair.
        """
        order = np.full(selected.shape, NEVER, np.int32)
        if self.masks_unused:
            order[selected == 0] = -1
        return order

    @property
    def codebooks(self) -> int:
        return int(self.codes_artifact.result["codebooks"])

    @property
    def pairs(self) -> int:
        return int(self.codes_artifact.result["pairs"])

    @cached_property
    def keys(self) -> np.ndarray:
        """(C, M, d) float32."""
        return stores.read(self.codes_artifact, "keys")

    @cached_property
    def _codes(self) -> dict[str, np.ndarray]:
        return {}

    def codes(self, split: str) -> np.ndarray:
        """(C, N, k) uint16 codes of a split, codebook by codebook."""
        if split not in self._codes:
            stored = stores.read(self.codes_artifact, f"{_stored(split)}/codes")
            self._codes[split] = np.ascontiguousarray(stored[self.splits.rows[split]].transpose(1, 0, 2))
        return self._codes[split]

    @cached_property
    def _neighbours(self) -> dict[str, Any]:
        return {}

    def neighbours(self, split: str, codebook: int) -> np.ndarray | None:
        """(N, K) nearest keys of every sample, nearest first, where they were kept."""
        name = f"{split}/neighbours"
        if split not in self._neighbours:
            kept = (self.codes_artifact.path / name).is_dir()
            self._neighbours[split] = stores.opened(self.codes_artifact, name) if kept else None
        if self._neighbours[split] is None:
            return None
        with stores.reading(self.codes_artifact, name):
            listed = np.asarray(self._neighbours[split][:, codebook])
        return listed if len(listed) == len(self.splits.rows[split]) else listed[self.splits.listed_rows(split)]

    def queries(self, split: str, group: range, pool: ThreadPoolExecutor) -> np.ndarray:
        """(G, N, d) float32 queries of a group of codebooks."""
        stored = group_queries(self.splits.features, _stored(split), self.codes_artifact.path, group, pool)
        rows = self.splits.rows[split]
        return stored if len(rows) == stored.shape[1] else stored[:, rows]

    def project(self, features: np.ndarray, group: range) -> np.ndarray:
        """(G, N, d) float32 queries of features (N, D) that are not in the store."""
        return project([features], len(features), group_projections(self.codes_artifact.path, group))


def _stored(split: str) -> str:
    """The validation split is part of the stored training set."""
    return "test" if split == "test" else "train"


@dataclass
class Study:
    """One seed's trained models; each is read when a method first asks for it.

    Raises (by its properties):
        MissingStage: that model has not been trained.
        DamagedArtifact: it has been altered.
    """

    recipe: Recipe
    workspace: Workspace
    features: Artifact
    seed: int

    @cached_property
    def splits(self) -> Splits:
        return Splits(self.features, self.recipe.data.validation, self.seed)

    @cached_property
    def dkvb_artifact(self) -> Artifact:
        codes = self.workspace.get(quantize_spec(self.recipe, self.seed, self.features))
        fingerprint = codes.fingerprint if codes else ""
        return self.workspace.need_spec(dkvb_spec(self.recipe, self.seed, fingerprint), f"The trained bottleneck of seed {self.seed}")

    @cached_property
    def linear_artifact(self) -> Artifact:
        spec = linear_spec(self.recipe, self.seed, self.features)
        return self.workspace.need_spec(spec, f"The trained linear head of seed {self.seed}")

    @cached_property
    def bottleneck(self) -> Bottleneck:
        trained = self.dkvb_artifact
        codes = self.workspace.need_spec(quantize_spec(self.recipe, self.seed, self.features), f"The keys and codes of seed {self.seed}")
        values = load_file(trained.path / VALUES)["values"]
        return Bottleneck(self.splits, codes, values, self.recipe.train.pool, self.recipe.keys.unused == "mask")

    @cached_property
    def linear(self) -> dict[str, np.ndarray]:
        """`weight` (L, D) and `bias` (L,) float32."""
        return load_file(self.linear_artifact.path / LINEAR)

    def class_counts(self, classes: Sequence[int]) -> np.ndarray:
        """(C, M): how often training samples of some classes selected each pair in the last epoch."""
        return stores.read(self.dkvb_artifact, COUNTS, list(classes)).sum(0, dtype=np.int64)

    @cached_property
    def no_mask(self) -> np.ndarray:
        """The mask order (C, M) of the trained model."""
        if not self.bottleneck.masks_unused:
            return self.bottleneck.no_mask(np.empty((self.bottleneck.codebooks, self.bottleneck.pairs)))
        return self.bottleneck.no_mask(self.class_counts(range(len(self.splits.classes))))
