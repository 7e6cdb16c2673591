"""Rivals on the bottleneck's values, its keys and codes as they are: what the architecture alone does for them.

Values are the weights of a linear model whose features are selections: a logit is the mean of the J = C k values that
a sample selects, so that its row has J entries of 1 / J and a mean squared length of 1 / J.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch

from dkvb.bottleneck.decoder import Decoder
from dkvb.errors import DkvbError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.selections import masked_ids
from dkvb.methods.base import Method, Outcome
from dkvb.methods.on_head import Setting, Size
from dkvb.methods.rivals.as_method import RivalMethod, dial_of
from dkvb.methods.rivals.student import Passes, Student
from dkvb.metrics.flops import sgd_flops, values_flops
from dkvb.training.linear_head import predict
from dkvb.training.loop import suitable_threads
from dkvb.workspace.names import MEASURED_SPLITS


class OfValues(Protocol):
    """A rival that works on values: a gradient rival, or `dkvb.methods.rivals.ssd_values`."""

    @property
    def settings_tried(self) -> Sequence[Setting]: ...

    def train(self, student: Student, setting: Setting) -> None: ...

    def passes(self, size: Size, setting: Setting) -> Passes: ...


class OnValues(RivalMethod):
    """A rival on the bottleneck's values."""

    model = "dkvb"

    def __init__(self, name: str, rival: OfValues, trained: TrainedSeed, forget: Sequence[int]) -> None:
        super().__init__(name, rival, trained, forget)
        self.rival = rival

    def _decoder(self) -> Decoder:
        """The trained values, copied."""
        bottleneck = self.trained.bottleneck
        available = (self.trained.no_mask >= 0).sum(1)
        values = torch.from_numpy(bottleneck.values).flatten(0, 1).clone()
        return Decoder(values, self.trained.keys.top_k, bottleneck.pool, available)

    def _ids(self, split: str) -> torch.Tensor:
        return masked_ids(self.trained.bottleneck, split, self.trained.no_mask < 0)

    def _student(self) -> Student:
        decoder, ids = self._decoder(), self._ids("train")
        labels = self.trained.splits.labels["train"]
        forgotten = np.isin(labels, self.forgotten)
        if not forgotten.any() or forgotten.all():
            raise DkvbError(f"{self.name} needs training samples of the forget classes, and of others.")
        return Student(
            module=decoder,
            inputs=ids,
            labels=torch.from_numpy(labels),
            forgotten=torch.from_numpy(forgotten),
            classes=len(self.trained.splits.classes),
            forget=self.forgotten,
            unit=ids.shape[1] / decoder.scale**2,
            seed=self.trained.seed,
            name=self.name,
        )

    def _train(self, student: Student, n: int) -> None:
        with suitable_threads(student.module):
            self.rival.train(student, self.tried[n - 1])

    def _at(self, n: int) -> Callable[[str], np.ndarray]:
        if n == 0:
            decoder: torch.nn.Module = self._decoder()
        else:
            student = self._student()
            self._train(student, n)
            decoder = student.module
        return lambda split: predict(decoder, self._ids(split))

    def forget(self, n: int) -> Outcome:
        student = self._student()
        ids = {split: self._ids(split) for split in MEASURED_SPLITS}
        before = {split: predict(student.module, x) for split, x in ids.items()}
        started = time.perf_counter()
        if n:
            self._train(student, n)
        seconds = time.perf_counter() - started
        after = {split: predict(student.module, x) for split, x in ids.items()}
        values = student.module.get_parameter("values").detach().numpy()
        arrays = {"values": values.reshape(self.trained.bottleneck.values.shape)}
        return Outcome(before, after, seconds, keeps="weights", arrays=arrays, flops=self._flops(student, n))

    def _flops(self, student: Student, n: int) -> int:
        if n == 0:
            return 0
        rows, keys = len(student.labels), self.trained.keys
        size = Size(rows, len(student.forget_rows), student.inputs.shape[1], student.classes)
        passes = self.rival.passes(size, self.tried[n - 1])
        samples = 2 * passes.trained + passes.asked
        products = values_flops(samples, keys.codebooks, keys.top_k, student.classes) // 2
        return products + sgd_flops(student.module.get_parameter("values").numel(), passes.steps)


class ValuesRival:
    """Makes the method of a rival on the bottleneck's values; what the registry's table names."""

    trains_on = False

    def __init__(self, name: str, rival: OfValues) -> None:
        self.rival_of_values, self.name, self.dial = rival, name, dial_of(rival)

    def __call__(self, trained: TrainedSeed, forget: Sequence[int]) -> Method:
        return OnValues(self.name, self.rival_of_values, trained, forget)
