"""The trained model of one seed, with its data, as arrays in memory: what unlearning methods, masks and measures ask of
one that is stored, answered without a workspace."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dkvb.bottleneck.mask_order import selection_counts_by_class
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.splits import Splits, stored_split
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.recipe import Keys, Recipe


@dataclass(frozen=True)
class Arrays:
    """Features and labels of a set of samples."""

    features: np.ndarray
    """(N, D) float32."""
    labels: np.ndarray
    """(N,) int64 ids of classes."""


class ArraySplits(Splits):
    """Splits of arrays: validation rows lie within those of training, as in stored ones."""

    __repr__ = object.__repr__  # those of stored ones show artifacts

    def __init__(self, train: Arrays, test: Arrays, classes: list[str], kept: np.ndarray, aside: np.ndarray) -> None:
        """
        Args:
            classes: L names.
            kept, aside: rows of `train` to learn from, and those kept out for choosing N.
        """
        self.stored = {"train": train, "test": test}
        self.names = classes
        self.rows = {"train": kept, "validation": aside, "test": np.arange(len(test.labels))}
        self.labels = {split: self.stored[stored_split(split)].labels[rows] for split, rows in self.rows.items()}

    @property
    def classes(self) -> list[str]:
        return self.names

    @property
    def width(self) -> int:
        return int(self.stored["train"].features.shape[1])

    def listed_rows(self, split: str) -> np.ndarray:
        return self.rows[split]

    def features_of(self, split: str, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        return self.stored[stored_split(split)].features[self.rows[split][rows]]

    def with_test(self, test: Arrays) -> ArraySplits:
        """The same with a test set."""
        return ArraySplits(self.stored["train"], test, self.names, self.rows["train"], self.rows["validation"])


class ArrayBottleneck(StoredBottleneck):
    """Keys, codes and values in memory; there are no neighbour lists, so that what a mask takes is searched again."""

    __repr__ = object.__repr__

    def __init__(
        self,
        splits: ArraySplits,
        projection: np.ndarray,
        keys: np.ndarray,
        codes: dict[str, np.ndarray],
        values: np.ndarray,
        recipe: Recipe,
    ) -> None:
        """
        Args:
            projection: (C, D, d); keys: (C, M, d); values: (C, M, L), float32.
            codes: split -> (C, N, k) uint16.
        """
        self.splits, self.values, self.pool = splits, values, recipe.train.pool
        self.masks_unused = recipe.keys.unused == "mask"
        self.projection, self.keys, self.coded = projection, keys, codes

    @property
    def codebooks(self) -> int:
        return len(self.keys)

    @property
    def pairs(self) -> int:
        return int(self.keys.shape[1])

    @property
    def top_k(self) -> int:
        return int(self.coded["train"].shape[2])

    def with_values(self, values: np.ndarray) -> ArrayBottleneck:
        other = copy.copy(self)
        other.values = values
        return other

    def codes(self, split: str) -> np.ndarray:
        return self.coded[split]

    def codes_of(self, split: str, rows: np.ndarray) -> np.ndarray:
        return self.coded[split][:, rows]

    def neighbours(self, split: str, codebook: int) -> None:
        return None

    def features(self, split: str, rows: np.ndarray) -> np.ndarray:
        return self.splits.features_of(split, rows)

    def projections(self, group: range) -> np.ndarray:
        return self.projection[group.start : group.stop]

    def queries(self, split: str, group: range, pool: ThreadPoolExecutor) -> np.ndarray:
        return self.project(self.splits.features_of(split), group)

    def with_test(self, splits: ArraySplits, codes: np.ndarray) -> ArrayBottleneck:
        """The same with a test set, and its codes (C, N, k)."""
        other = copy.copy(self)
        other.splits, other.coded = splits, self.coded | {"test": codes}
        return other


class ArraySeed(TrainedSeed):
    """One seed's bottleneck and the data that it was trained on."""

    __repr__ = object.__repr__

    def __init__(self, recipe: Recipe, seed: int, keys: Keys, bottleneck: ArrayBottleneck) -> None:
        """
        Args:
            keys: the recipe's `[keys]` as these data are served by them.
            bottleneck: with the values of training.
        """
        self.recipe, self.seed, self.keys, self.as_trained = recipe, seed, keys, bottleneck
        self.standing: tuple[np.ndarray, np.ndarray] | None = None
        self.left_out: np.ndarray | None = None

    @property
    def splits(self) -> ArraySplits:
        splits = self.as_trained.splits
        assert isinstance(splits, ArraySplits)
        return splits

    @property
    def bottleneck(self) -> ArrayBottleneck:
        return self.as_trained if self.standing is None else self.as_trained.with_values(self.standing[0])

    @cached_property
    def _counts(self) -> np.ndarray:
        codes, labels = self.as_trained.codes("train"), self.splits.labels["train"]
        return selection_counts_by_class(codes, labels, len(self.splits.classes), self.keys.pairs)

    def counts(self, classes: Sequence[int] | None = None) -> np.ndarray:
        return self._counts if classes is None else self._counts[list(classes)]

    def class_counts(self, classes: Sequence[int]) -> np.ndarray:
        return np.asarray(self.counts(classes).sum(0, dtype=np.int64))

    def standing_as(self, values: tuple[np.ndarray, np.ndarray] | None, left_out: np.ndarray) -> ArraySeed:
        """The same model with other values, see `TrainedSeed.standing`, and other rows (n,) left out."""
        other = ArraySeed(self.recipe, self.seed, self.keys, self.as_trained)
        other.standing, other.left_out = values, left_out if len(left_out) else None
        return other

    def measured_on(self, test: Arrays, codes: np.ndarray, recipe: Recipe) -> ArraySeed:
        """The same with a test set and its codes (C, N, k), and the limits of a recipe."""
        bottleneck = self.as_trained.with_test(self.splits.with_test(test), codes)
        other = ArraySeed(recipe, self.seed, self.keys, bottleneck)
        other.standing, other.left_out = self.standing, self.left_out
        return other
