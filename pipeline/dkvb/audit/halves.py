"""A seed's data as a shadow model sees them: half of the training rows to learn from, and as test rows those training
rows of the forgotten classes that it is attacked on, whether it learned from them or not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dkvb.audit.bench import Bench
from dkvb.audit.rows import Rows
from dkvb.evaluation.in_memory import ArrayBottleneck, Arrays, ArraySeed, ArraySplits
from dkvb.evaluation.seed import TrainedSeed
from dkvb.records.audit import Kind


@dataclass
class Everything:
    """What all halves of one seed are taken from.

    Args:
        attacked: (P,) places among the training rows.
    """

    trained: TrainedSeed
    kind: Kind
    attacked: np.ndarray

    @cached_property
    def _learned(self) -> Arrays:
        """Training rows, and those kept out after them."""
        splits, parts = self.trained.splits, ("train", "validation")
        features, labels = ([of(split) for split in parts] for of in (splits.features_of, splits.labels.__getitem__))
        return Arrays(np.concatenate(features), np.concatenate(labels))

    @cached_property
    def _attacked(self) -> Arrays:
        return Arrays(self._learned.features[self.attacked], self._learned.labels[self.attacked])

    @cached_property
    def rows(self) -> Rows:
        """The rows that shadow models are asked about: their test rows."""
        count = len(self.attacked)
        return Rows(np.repeat("test", count), np.arange(count), self._attacked.labels)

    def half(self, learned: np.ndarray) -> TrainedSeed:
        """The seed with half of its training rows.

        Keys stay: they were fitted without labels, to all rows.

        Args:
            learned: (N,) bool of the training rows.
        """
        trained, kept = self.trained, np.flatnonzero(learned)
        aside = np.arange(len(learned), len(self._learned.labels))
        splits = ArraySplits(self._learned, self._attacked, list(trained.splits.classes), kept, aside)
        if self.kind not in ("values", "values-keys"):
            other = replace(trained)
            other.splits = splits
            return other
        model = trained.bottleneck
        everyone = model.codes("train")
        codes = {
            "train": everyone[:, kept],
            "validation": model.codes("validation"),
            "test": everyone[:, self.attacked],
        }
        projection = model.projections(range(model.codebooks))
        half = ArrayBottleneck(splits, projection, model.keys, codes, np.empty(0, np.float32), trained.recipe)
        return ArraySeed(trained.recipe, trained.seed, trained.keys, half)


@dataclass
class HalfBench(Bench):
    """One shadow model, ready to be unlearned.

    Args:
        made: gives what it consists of, see `dkvb.audit.trainers.Model.tensors`, where a method asks for it.
        asked_about: see `Everything.rows`.
        drawn: its training seed.
    """

    made: Callable[[], dict[str, np.ndarray]]
    asked_about: Rows
    drawn: int

    @cached_property
    def rows(self) -> Rows:
        return self.asked_about

    def seed(self, model: int) -> int:
        return self.drawn

    @cached_property
    def _tensors(self) -> dict[str, np.ndarray]:
        return self.made()

    def tensors(self, model: int) -> dict[str, np.ndarray]:
        return self._tensors

    def as_trained(self, model: int) -> TrainedSeed:
        half = self.trained
        if isinstance(half, ArraySeed):
            return ArraySeed(half.recipe, self.drawn, half.keys, half.as_trained.with_values(self._tensors["values"]))
        other = copy.copy(half)
        other.seed, other.linear = self.drawn, self._tensors
        return other
