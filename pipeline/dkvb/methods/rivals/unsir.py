"""UNSIR: noise on which the forgotten class does worst takes its place, and the damage is repaired.

Source: Tarun et al. 2023 [V]: 32 noise inputs a class, made by 25 steps of ascent of the class's loss; impair, one
epoch on the noise under the class's label (20 times over) and at most 500 retain samples a class; repair, one epoch
on those samples alone. Ours, for features: a step is a tenth of the data's length, and the noise keeps that length;
the learning rates tried, in units of the features (`student`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from dkvb.methods.on_head import Head, HeadData, Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.importance import errors
from dkvb.methods.rivals.student import Descent, GradientRival, Passes, Student, head_of, steps, student_of
from dkvb.training.loop import suitable_threads

NOISE, ASCENT, STEP, TIMES, RETAIN = 32, 25, 0.1, 20, 500
"""Noise inputs a class, steps of their ascent, its step over the data's length, how often each noise input is seen, and
retain samples a class."""


class Unsir(GradientRival):
    name = "unsir"
    settings_tried = ({"lr": 0.1}, {"lr": 1}, {"lr": 10})

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Head:
        student = student_of(head, data, self.name)
        made = [noise(head, data, c) for c in data.forget]
        rows = sampled(student)
        real = len(rows)
        inputs = [data.train[rows.numpy()], *(array for array in made for _ in range(TIMES))]
        student.inputs = torch.from_numpy(np.concatenate(inputs))
        own = torch.tensor([c for c in data.forget for _ in range(NOISE * TIMES)], dtype=torch.int64)
        student.labels = torch.cat([student.labels[rows], own])
        with suitable_threads(student.module):
            descent = Descent(student, setting["lr"])
            for name, seen in (("impair", len(student.labels)), ("repair", real)):
                self._epoch(student, descent, name, seen)
        return head_of(student.module)

    def _epoch(self, student: Student, descent: Descent, name: str, seen: int) -> None:
        """One epoch on the first `seen` inputs."""
        for rows in student.batches(torch.arange(seen), name):
            descent(cross_entropy(student(rows), student.labels[rows]))

    def passes(self, size: Size, setting: Setting) -> Passes:
        real, made = min(size.retain, RETAIN * size.classes), NOISE * TIMES
        return Passes(2 * real + made + NOISE * ASCENT, steps(real + made) + steps(real))


def noise(head: Head, data: HeadData, c: int) -> np.ndarray:
    """(32, D) float32 inputs on which the head's loss for class c is large, each of the data's length."""
    length = data.mean_square**0.5

    def at_length(rows: np.ndarray) -> np.ndarray:
        return rows * (length / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))  # type: ignore[no-any-return]

    made = at_length(data.draw("unsir", "noise", c).standard_normal((NOISE, data.train.shape[1])))
    labels = np.full(NOISE, c)
    for _ in range(ASCENT):
        gradient = errors(head, made.astype(np.float32), labels) @ head.weight
        made = at_length(made + STEP * at_length(gradient))
    return made.astype(np.float32)


def sampled(student: Student) -> torch.Tensor:
    """Rows of the retain set, at most 500 of a class."""
    labels = student.labels.numpy()
    kept: Sequence[np.ndarray] = [
        student.draw("retain", c).permutation(np.flatnonzero(labels == c))[:RETAIN]
        for c in np.setdiff1d(np.unique(labels), student.forget)
    ]
    return torch.from_numpy(np.concatenate(kept))


METHOD = HeadRival(Unsir())
