"""The logit mask: the forget classes' logits become minus infinity. A control that every method has to beat on
something."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_logits
from dkvb.methods.base import Control, Outcome


class LogitMask(Control):
    """Nothing is forgotten inside: the values are all still there and used."""

    name = "logit-mask"

    def __init__(self, trained: TrainedSeed, forget: Sequence[int]) -> None:
        super().__init__(trained, forget)
        self.not_in_paper = ["the method itself"]

    @cached_property
    def _logits(self) -> dict[str, np.ndarray]:
        return {}

    def predictions(self, split: str, n: int) -> np.ndarray:
        if split not in self._logits:
            self._logits[split] = masked_logits(self.trained.bottleneck, self.trained.no_mask, 0, split)
        logits = self._logits[split]
        if n:
            logits = logits.copy()
            logits[:, self.forgotten] = -np.inf
        return logits.argmax(1)

    def forget(self, n: int) -> Outcome:
        started = time.perf_counter()
        excluded = np.array(self.forgotten)
        seconds = time.perf_counter() - started
        before, after = self.both()
        return Outcome(before, after, seconds, keeps="excluded", arrays={"excluded": excluded}, flops=0)


class LogitShift(LogitMask):
    """The logit mask with a dial: one constant is subtracted from the forget classes' logits. Of membership inference
    alone, which tunes the constant."""

    name = "logit-shift"
