"""The rows that models are asked about: all test and validation rows, and training rows of the forgotten classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkvb.evaluation.splits import Splits
from dkvb.metrics.evenly import evenly

EACH = 500
"""Training rows of a class at most, evenly spaced: a share of so many is known to within 5 points, and what a hundred
models answer to all rows of a large class would take more room than the data."""

ASKED = ("test", "validation", "train")
"""Splits in the order in which their rows follow each other."""


@dataclass(frozen=True)
class Rows:
    """P rows of the splits of one seed."""

    split: np.ndarray
    """(P,) str: test, validation or train."""
    places: np.ndarray
    """(P,) each row's place in its split."""
    labels: np.ndarray
    """(P,) int64."""

    @classmethod
    def of(cls, splits: Splits, classes: Sequence[int]) -> Rows:
        """All test and validation rows, and up to `EACH` training rows of each of some classes: the same of a class,
        whatever the others are."""
        asked = {split: np.arange(len(splits.labels[split])) for split in ("test", "validation")}
        mine = [evenly(np.flatnonzero(splits.labels["train"] == c), EACH) for c in classes]
        asked["train"] = np.sort(np.concatenate([np.empty(0, np.int64), *mine]))
        return cls(
            np.repeat(ASKED, [len(asked[split]) for split in ASKED]),
            np.concatenate([asked[split] for split in ASKED]),
            np.concatenate([splits.labels[split][asked[split]] for split in ASKED]),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def within(self, larger: Rows) -> np.ndarray:
        """(P,) where each of these rows stands among those of a larger set that holds them all."""
        where = {
            (str(split), int(place)): i
            for i, (split, place) in enumerate(zip(larger.split, larger.places, strict=True))
        }
        return np.array([where[str(s), int(p)] for s, p in zip(self.split, self.places, strict=True)], np.int64)
