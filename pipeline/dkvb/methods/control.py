"""What controls without a dial share: n is 0, the trained model, or 1, the control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from dkvb.methods.base import TRAIN_AND_TEST, CurvePoint, Point, point
from dkvb.study import Study


class Control:
    """A method with nothing to choose."""

    name: str
    model: Literal["dkvb", "linear"] = "dkvb"
    dial = ""
    given: int | str = 1

    def __init__(self, study: Study, forget: Sequence[int]) -> None:
        self.study, self.forgotten = study, list(forget)
        self.settings: dict[str, Any] = {}
        self.not_in_paper = ["the control itself"]

    def predictions(self, split: str, n: int) -> np.ndarray:
        """Predicted classes (N,) of a split."""
        raise NotImplementedError

    def grid(self) -> list[int]:
        return [0, 1]

    def check(self, n: int) -> None:
        """Nothing to choose."""

    def sweep(self, grid: Sequence[int], advance: Callable[[int], None]) -> list[Point]:
        points = []
        for split in self.study.splits.evaluation:
            for n in grid:
                points.append(point(self.study.splits, split, self.predictions(split, n), n))
                advance(1)
        return points

    def choose(self, curve: Sequence[CurvePoint], target: float) -> tuple[int, str | None]:
        return 1, None

    def both(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Predictions of the trained model and of the control, by split."""
        before, after = ({split: self.predictions(split, n) for split in TRAIN_AND_TEST} for n in (0, 1))
        return before, after
