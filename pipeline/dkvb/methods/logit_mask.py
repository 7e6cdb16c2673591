"""The logit mask: the forget classes' logits become minus infinity. A control that every method has to beat on something."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from dkvb.evaluate import masked_logits
from dkvb.methods.base import Forgotten
from dkvb.methods.control import Control
from dkvb.study import Study


class LogitMask(Control):
    """Nothing is forgotten inside: the values are all still there and used."""

    name = "logit-mask"

    def __init__(self, study: Study, forget: Sequence[int]) -> None:
        super().__init__(study, forget)
        self.not_in_paper = ["the method itself"]

    @cached_property
    def _logits(self) -> dict[str, np.ndarray]:
        return {}

    def predictions(self, split: str, n: int) -> np.ndarray:
        if split not in self._logits:
            self._logits[split] = masked_logits(self.study.bottleneck, self.study.no_mask, 0, split)
        logits = self._logits[split]
        if n:
            logits = logits.copy()
            logits[:, self.forgotten] = -np.inf
        return logits.argmax(1)

    def forget(self, n: int) -> Forgotten:
        started = time.perf_counter()
        excluded = np.array(self.forgotten)
        seconds = time.perf_counter() - started
        before, after = self.both()
        return Forgotten(before, after, seconds, arrays={"excluded": excluded}, flops=0)
