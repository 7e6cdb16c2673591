"""What a model answers to the rows that a verdict looks at: all held-out ones, and of the training rows those of the
forgotten classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from dkvb.evaluation.splits import Splits
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_logits, masked_logits_at

Split = Literal["test", "train", "validation"]
BEST_FIRST: tuple[Split, ...] = ("test", "train", "validation")
"""Splits in the order in which a class's rows are compared on: test, or where it has none, what it was learned from."""

ROWS = {"test": "test rows", "train": "training rows", "validation": "validation rows"}
"""The rows of a split, in words."""


@dataclass(frozen=True)
class RowsLookedAt:
    """Rows of every split, and the labels of these rows."""

    splits: Splits
    forget: list[int]

    @cached_property
    def train(self) -> np.ndarray:
        """(n,) training rows of the forgotten classes."""
        return np.flatnonzero(np.isin(self.splits.labels["train"], self.forget))

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """Split -> (N,) class ids; "train" only where there are such rows."""
        labels = {split: self.splits.labels[split] for split in self.splits.evaluation}
        return labels | ({"train": self.splits.labels["train"][self.train]} if len(self.train) else {})

    def split_of(self, c: int) -> Split | None:
        """The split on whose rows of a class models are compared; None where it has none."""
        return next((split for split in BEST_FIRST if split in self.labels and (self.labels[split] == c).any()), None)


@dataclass(frozen=True)
class Outputs:
    """What one model, under one mask, answers to them."""

    rows: RowsLookedAt
    predicted: dict[str, np.ndarray]
    """Split -> (N,) classes."""
    logits: dict[str, np.ndarray]
    """Split -> (n, L) float32, of its rows of the forgotten classes alone."""

    @classmethod
    def of(cls, model: StoredBottleneck, order: np.ndarray, rows: RowsLookedAt) -> Outputs:
        """Those of a bottleneck under its mask order (C, M) at N = 0: masked is where it is negative."""
        predicted, kept = {}, {}
        for split, labels in rows.labels.items():
            if split == "train":
                logits = masked_logits_at(model, order, [0], split, rows.train)[0]
            else:
                logits = masked_logits(model, order, 0, split)
            predicted[split] = logits.argmax(1)
            kept[split] = logits[np.isin(labels, rows.forget)]
        return cls(rows, predicted, kept)

    def of_class(self, c: int) -> np.ndarray:
        """(n, L) float32: logits of a forgotten class's rows on its `split_of`."""
        split = self.rows.split_of(c)
        assert split is not None
        labels = self.rows.labels[split]
        return self.logits[split][labels[np.isin(labels, self.rows.forget)] == c]

    def right(self, split: str, classes: list[int]) -> np.ndarray:
        """(n,) bool: whether each row of some classes is recognised."""
        labels = self.rows.labels[split]
        mine = np.isin(labels, classes)
        return np.asarray(self.predicted[split][mine] == labels[mine])


@dataclass(frozen=True)
class Models:
    """The outputs that are compared."""

    masked: Outputs
    """Of the model under the mask."""
    lifted: Outputs
    """Without it."""
    oracle: Outputs
    second: Outputs | None
    """Of another oracle, from another seed."""
    erased: bool
    """Whether values of masked pairs are gone, so that without the mask it is not the model that it was."""

    @property
    def rows(self) -> RowsLookedAt:
        return self.masked.rows
