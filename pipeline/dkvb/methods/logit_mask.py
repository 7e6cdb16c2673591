"""The logit mask: the forget classes' logits become minus infinity. A control that every method has to beat on something."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np

from dkvb.evaluate import masked_logits
from dkvb.methods.base import TRAIN_AND_TEST, CurvePoint, Forgotten, Point, point
from dkvb.study import Study


class LogitMask:
    """n is 0, the trained model, or 1, masked. Nothing is forgotten inside: the values are all still there and used."""

    name = "logit-mask"
    model: Literal["dkvb", "linear"] = "dkvb"
    dial = ""
    given: int | str = 1

    def __init__(self, study: Study, forget: Sequence[int]) -> None:
        self.study, self.forgotten = study, list(forget)
        self.settings: dict[str, Any] = {}
        self.not_in_paper = ["the method itself"]

    def grid(self) -> list[int]:
        return [0, 1]

    def check(self, n: int) -> None:
        """Nothing to choose."""

    @cached_property
    def _logits(self) -> dict[str, np.ndarray]:
        return {}

    def _predictions(self, split: str, n: int) -> np.ndarray:
        if split not in self._logits:
            self._logits[split] = masked_logits(self.study.bottleneck, self.study.no_mask, 0, split)
        logits = self._logits[split]
        if n:
            logits = logits.copy()
            logits[:, self.forgotten] = -np.inf
        return logits.argmax(1)

    def sweep(self, grid: Sequence[int], advance: Callable[[int], None]) -> list[Point]:
        points = []
        for split in self.study.splits.evaluation:
            for n in grid:
                points.append(point(self.study.splits, split, self._predictions(split, n), n))
                advance(1)
        return points

    def choose(self, curve: Sequence[CurvePoint], target: float) -> tuple[int, str | None]:
        return 1, None

    def forget(self, n: int) -> Forgotten:
        started = time.perf_counter()
        excluded = np.array(self.forgotten)
        seconds = time.perf_counter() - started
        before = {split: self._predictions(split, 0) for split in TRAIN_AND_TEST}
        after = {split: self._predictions(split, 1) for split in TRAIN_AND_TEST}
        return Forgotten(before, after, seconds, arrays={"excluded": excluded}, flops=0)
