"""The rows and labels of train, validation and test of one seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dkvb.records.embed import EmbedResult
from dkvb.workspace import arrays
from dkvb.workspace.finished import Artifact
from dkvb.workspace.rows import labels, present, stored_train_rows, train_rows


@dataclass
class Splits:
    """Labels and rows of the splits of one seed: `train` (what was learned from), `validation` (kept out of it),
    `test`."""

    features: Artifact
    validation: float
    seed: int

    @cached_property
    def embedded(self) -> EmbedResult:
        """What the stored features are."""
        return self.features.result_as(EmbedResult)

    @property
    def classes(self) -> list[str]:
        return self.embedded.classes

    @property
    def width(self) -> int:
        """D, numbers in a feature vector."""
        return self.embedded.dim

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
        return {split: stored[stored_split(split)][rows] for split, rows in self.rows.items()}

    def features_of(self, split: str, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(n, D) float32 features of some rows (n,) of a split; of all where none are given."""
        return arrays.read(self.features, f"{stored_split(split)}/features", self.rows[split][rows])

    @property
    def evaluation(self) -> list[str]:
        """Splits on which N may be chosen or is reported."""
        return ["test", "validation"] if len(self.rows["validation"]) else ["test"]


def stored_split(split: str) -> str:
    """The validation split is part of the stored training set."""
    return "test" if split == "test" else "train"
