"""What gradient rivals share: a module that is trained on, its batches, and SGD in units that fit any features.

A learning rate of 1 is 1 / mean squared length of what the weights multiply: the features of a linear head, the
selections of the bottleneck's values. So a search over learning rates fits CLIP's features, which have length 1, as
well as a convolutional network's. The sources' learning rates, of whole networks on images, say nothing here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dkvb.errors import DkvbError
from dkvb.methods.on_head import Head, HeadData, Rival, Setting, Size
from dkvb.metrics.flops import linear_flops, sgd_flops
from dkvb.runtime.seeding import generator
from dkvb.training.loop import suitable_threads

BATCH_SIZE, MOMENTUM = 256, 0.9
"""As the sources have them."""


@dataclass
class Student:
    """A module to be trained on in place, and what it is trained with.

    Args:
        module: inputs (B, …) -> logits (B, L).
        inputs: (N, …); labels: (N,) int64; forgotten: (N,) bool, the rows of the forget classes.
        unit: the step that is a learning rate of 1.
        name: names the rival among the seed's random draws.
    """

    module: torch.nn.Module
    inputs: torch.Tensor
    labels: torch.Tensor
    forgotten: torch.Tensor
    classes: int
    forget: Sequence[int]
    unit: float
    seed: int
    name: str

    def __post_init__(self) -> None:
        self.forget_rows = torch.nonzero(self.forgotten)[:, 0]
        self.retain_rows = torch.nonzero(~self.forgotten)[:, 0]

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits (n, L) of rows (n,)."""
        return self.module(self.inputs[rows])  # type: ignore[no-any-return]

    def draw(self, *unit: object) -> np.random.Generator:
        return generator(self.seed, self.name, *unit, *self.forget)

    def batches(self, rows: torch.Tensor, *unit: object) -> tuple[torch.Tensor, ...]:
        """Rows (n,) in the order that the unit draws, a batch each."""
        return rows[torch.from_numpy(self.draw(*unit).permutation(len(rows)))].split(BATCH_SIZE)


class Descent:
    """SGD on a student, a call a step."""

    def __init__(self, student: Student, lr: float) -> None:
        self.student, self.lr, self.steps = student, lr, 0
        parameters = list(student.module.parameters())
        self.sgd = torch.optim.SGD(parameters, lr=lr * student.unit, momentum=MOMENTUM, foreach=False)

    def __call__(self, loss: torch.Tensor) -> None:
        """One step down a loss.

        Raises:
            DkvbError: it is not finite.
        """
        self.steps += 1
        if not math.isfinite(value := loss.item()):
            raise DkvbError(
                f"The loss of {self.student.name} (seed {self.student.seed}) is {value} in step {self.steps}, at a"
                f" learning rate of {self.lr:g}: look for features out of all proportion. The trained model is"
                " untouched."
            )
        self.sgd.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.sgd.step()


@dataclass(frozen=True)
class Passes:
    """What a training goes through: samples trained on, samples that are only asked, and steps, all epochs together."""

    trained: int
    steps: int
    asked: int = 0


def steps(samples: int, epochs: int = 1) -> int:
    """Batches of some epochs."""
    return -(-samples // BATCH_SIZE) * epochs


class GradientRival(Rival):
    """A rival that trains a module on; `train` knows neither whether it is a linear head nor the bottleneck's
    values."""

    def train(self, student: Student, setting: Setting) -> None:
        """Train the student in place."""
        raise NotImplementedError

    def passes(self, size: Size, setting: Setting) -> Passes:
        """What `train` goes through, at most."""
        raise NotImplementedError

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Head:
        student = student_of(head, data, self.name)
        with suitable_threads(student.module):
            self.train(student, setting)
        return head_of(student.module)

    def flops(self, size: Size, setting: Setting) -> int:
        passes = self.passes(size, setting)
        products = linear_flops(2 * passes.trained + passes.asked, size.width, size.classes) // 2
        return products + sgd_flops(size.classes * (size.width + 1), passes.steps)


def student_of(head: Head, data: HeadData, name: str) -> Student:
    """A copy of a head, to be trained on."""
    classes, width = head.weight.shape
    module = torch.nn.Linear(width, classes, device="meta").to_empty(device="cpu")
    weights = {"weight": head.weight, "bias": head.bias}
    module.load_state_dict({key: torch.tensor(array) for key, array in weights.items()})
    return Student(
        module=module,
        inputs=torch.from_numpy(data.train),
        labels=torch.tensor(data.labels, dtype=torch.int64),  # a copy, which rivals may alter
        forgotten=torch.from_numpy(data.forgotten),
        classes=classes,
        forget=data.forget,
        unit=1 / data.mean_square,
        seed=data.seed,
        name=name,
    )


def head_of(module: torch.nn.Module) -> Head:
    """The head that a trained linear module is."""
    weight, bias = (module.get_parameter(name).detach().numpy() for name in ("weight", "bias"))
    return Head(weight, bias)
