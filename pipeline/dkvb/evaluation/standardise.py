"""Columns of features that are out of all proportion, brought in line inside the linear head.

A column that is far from zero or far wider than the others puts a linear head at chance: its few steps all go into that
column. Such columns are centred, and narrowed to the usual spread; what was trained on them is folded into weights and
biases for the features as they are. Other columns are not touched, so that for features in proportion, CLIP's among
them, every bit is as the paper's training has it. Not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from dkvb.metrics.columns import moments

if TYPE_CHECKING:
    import torch

FAR, WIDE = 64.0, 20.0
"""Times the usual spread that a column's mean may be from zero, and that its own spread may be. CLIP's features reach
30 and 3; the paper's head loses 10 points of 88 at 100, and 39 where a column is 100 times as wide as the others."""


@dataclass(frozen=True)
class Standardiser:
    """What is done to the columns that are out of proportion, often none."""

    columns: np.ndarray
    """(K,) int64."""
    mean: np.ndarray
    """(K,) float64, subtracted."""
    times: np.ndarray
    """(K,) float64, what they are divided by then; 1 where a column is far from zero, but no wider than others."""

    @classmethod
    def of(cls, features: np.ndarray) -> Standardiser:
        """That of training features (N, D); the usual spread is the median deviation of columns that are not
        constant."""
        mean, spread = moments(features)
        wider = spread[spread > 0]
        usual = float(np.median(wider)) if len(wider) else 1.0
        columns = np.flatnonzero((np.abs(mean) > FAR * usual) | (spread > WIDE * usual))
        wide = spread[columns] > WIDE * usual
        return cls(columns, mean[columns], np.where(wide, spread[columns] / usual, 1.0))

    def in_words(self) -> str:
        """Which columns they are."""
        names = ", ".join(map(str, self.columns[:5])) + (", …" if len(self.columns) > 5 else "")
        what = (
            f"column {names} of the features is" if len(self.columns) == 1 else f"columns {names} of the features are"
        )
        return f"{what} out of proportion to the others: brought in line inside the linear head"

    @overload
    def __call__(self, features: np.ndarray) -> np.ndarray: ...

    @overload
    def __call__(self, features: torch.Tensor) -> torch.Tensor: ...

    def __call__(self, features: Any) -> Any:
        """Features (N, D), an array or a tensor, with these columns in line: the same object where there are none, else
        a copy."""
        if not len(self.columns):
            return features
        copied = features.copy() if isinstance(features, np.ndarray) else features.clone()
        held = copied if isinstance(copied, np.ndarray) else copied.numpy()  # a tensor's own memory
        held[:, self.columns] = (held[:, self.columns].astype(np.float64) - self.mean) / self.times
        return copied

    def fold(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight (L, D) and bias (L,) float32 that give for features as they are what these give for those in line."""
        if not len(self.columns):
            return weight, bias
        folded, shift = weight.copy(), weight[:, self.columns] / self.times
        folded[:, self.columns] = shift
        return folded, (bias - shift @ self.mean).astype(np.float32)

    def unfold(self, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What `fold` made them from, but for rounding."""
        if not len(self.columns):
            return weight, bias
        shift, unfolded = weight[:, self.columns].astype(np.float64), weight.copy()
        unfolded[:, self.columns] = shift * self.times
        return unfolded, (bias + shift @ self.mean).astype(np.float32)
