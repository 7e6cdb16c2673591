"""A rival as a method of `dkvb unlearn`: n is the place of a setting in its search, counted from 1; 0 is the trained
model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

from dkvb.errors import UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.methods.base import CurvePoint, Method, Outcome, Point, point
from dkvb.methods.on_head import Head, HeadData, Rival, Setting, Unlearned, best_setting, in_words
from dkvb.workspace.names import MEASURED_SPLITS


class Searched(Protocol):
    """What a search needs of a rival."""

    @property
    def settings_tried(self) -> Sequence[Setting]: ...


def dial_of(rival: Searched) -> str:
    """What n counts: nothing, where there is one setting alone."""
    return "setting" if len(rival.settings_tried) > 1 else ""


class RivalMethod:
    """What rivals on the linear head and on the bottleneck's values share (`dkvb.methods.base.Method`)."""

    model: Literal["dkvb", "linear"]

    def __init__(self, name: str, rival: Searched, trained: TrainedSeed, forget: Sequence[int]) -> None:
        self.name, self.tried, self.dial = name, list(rival.settings_tried), dial_of(rival)
        self.trained, self.forgotten = trained, list(forget)
        self.given: int | str = "auto" if self.dial else 1
        self.settings: dict[str, Any] = {"tried": [dict(setting) for setting in self.tried]}
        self.not_in_paper = ["the method itself"]

    def grid(self) -> list[int]:
        return list(range(len(self.tried) + 1))

    def check(self, n: int) -> None:
        """Raise UsageError for a setting that is not in the search."""
        if not 0 <= n <= len(self.tried):
            raise UsageError(f"{self.name} tries {len(self.tried)} settings: there is no setting {n}.")

    def choose(self, curve: Sequence[CurvePoint], target: float) -> tuple[int, str | None]:
        n, missed = best_setting(curve, target, self._apart)
        said = f"setting {n} of {len(self.tried)}: {in_words(self.tried[n - 1])}"
        return n, f"{said}; {missed}" if missed else said

    def _at(self, n: int) -> Callable[[str], np.ndarray]:
        """Predicted classes (N,) of a split, by the model at n."""
        raise NotImplementedError

    def _apart(self, n: int) -> float:
        """See `dkvb.methods.on_head.Rival.apart`."""
        return 0.0

    def sweep(self, grid: Sequence[int], advance: Callable[[int], None]) -> list[Point]:
        points = []
        for n in grid:
            predicted = self._at(n)
            for split in self.trained.splits.evaluation:
                points.append(point(self.trained.splits, split, predicted(split), n))
                advance(1)
        return points


class OnHead(RivalMethod):
    """A rival on the linear head, through what the head was trained through (`dkvb.evaluation.standardise`)."""

    model = "linear"

    def __init__(self, rival: Rival, trained: TrainedSeed, forget: Sequence[int]) -> None:
        super().__init__(rival.name, rival, trained, forget)
        self.rival, self._kept = rival, dict[str, np.ndarray]()

    def _features(self, split: str) -> np.ndarray:
        """(N, D) float32, in line."""
        if split not in self._kept:
            self._kept[split] = self.trained.in_line(self.trained.splits.features_of(split))
        return self._kept[split]

    def _head(self) -> Head:
        """The trained head."""
        return Head(*self.trained.in_line.unfold(self.trained.linear["weight"], self.trained.linear["bias"]))

    def _data(self) -> HeadData:
        """With nothing computed of them yet."""
        labels, held_out = self.trained.splits.labels, self._features("validation")
        return HeadData(
            self._features("train"), labels["train"], held_out, labels["validation"], self.forgotten, self.trained.seed
        )

    @cached_property
    def _swept(self) -> HeadData:
        """What a search shares."""
        return self._data()

    def _apart(self, n: int) -> float:
        return self.rival.apart(self.rival.unlearn(self._head(), self._swept, self.tried[n - 1]), self._swept)

    def _at(self, n: int) -> Callable[[str], np.ndarray]:
        data, head = self._swept, self._head()
        left = self.rival.unlearn(head, data, self.tried[n - 1]) if n else self.rival.original(head, data)
        return lambda split: left.logits(self._features(split)).argmax(1)

    def forget(self, n: int) -> Outcome:
        head, data = self._head(), self._data()
        original = self.rival.original(head, data)
        before = {split: original.logits(self._features(split)).argmax(1) for split in MEASURED_SPLITS}
        started = time.perf_counter()
        left = self.rival.unlearn(head, data, self.tried[n - 1]) if n else original
        seconds = time.perf_counter() - started
        after = {split: left.logits(self._features(split)).argmax(1) for split in MEASURED_SPLITS}
        outcome = Outcome(before, after, seconds, note=left.note)
        outcome.flops = self.rival.flops(data.size(len(head.bias)), self.tried[n - 1]) if n else 0
        self._keep(outcome, left)
        return outcome

    def _keep(self, outcome: Outcome, left: Unlearned) -> None:
        """A head's weights; of a rule there is nothing to keep."""
        if isinstance(left, Head):
            weight, bias = self.trained.in_line.fold(left.weight, left.bias)
            arrays = {"weight": weight, "bias": bias}
            outcome.keeps = "weights"
            outcome.arrays = {key: np.ascontiguousarray(array, np.float32) for key, array in arrays.items()}


class HeadRival:
    """Makes the method of a rival on the linear head; what the registry's table names."""

    trains_on = False

    def __init__(self, rival: Rival) -> None:
        self.rival, self.name, self.dial = rival, rival.name, dial_of(rival)

    def __call__(self, trained: TrainedSeed, forget: Sequence[int]) -> Method:
        return OnHead(self.rival, trained, forget)
