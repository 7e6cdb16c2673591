"""Boundary Expand: the forget set is moved to an output of its own, which is then taken away.

Source: Chen et al. 2023, as in DELETE's and OPTML's code [V]: one output more; cross-entropy on the forget set alone
with that output as its label, SGD with momentum 0.9, 10 epochs; then the output is deleted. Ours: it starts at zero,
and the learning rates tried, in units of the features (`student`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from dkvb.methods.on_head import Head, HeadData, Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.student import Descent, GradientRival, Passes, Student, head_of, steps, student_of
from dkvb.training.loop import suitable_threads

EPOCHS = 10


class BoundaryExpand(GradientRival):
    name = "boundary-expand"
    settings_tried = ({"lr": 0.1}, {"lr": 1}, {"lr": 10})

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Head:
        more = Head(np.concatenate([head.weight, np.zeros_like(head.weight[:1])]), np.append(head.bias, np.float32(0)))
        student = student_of(more, data, self.name)
        with suitable_threads(student.module):
            self.train(student, setting)
        trained = head_of(student.module)
        return Head(trained.weight[:-1].copy(), trained.bias[:-1].copy())

    def train(self, student: Student, setting: Setting) -> None:
        descent = Descent(student, setting["lr"])
        for epoch in range(EPOCHS):
            for rows in student.batches(student.forget_rows, "forget", epoch):
                descent(cross_entropy(student(rows), torch.full((len(rows),), student.classes - 1)))

    def passes(self, size: Size, setting: Setting) -> Passes:
        return Passes(size.forget * EPOCHS, steps(size.forget, EPOCHS))

    def flops(self, size: Size, setting: Setting) -> int:
        return super().flops(Size(size.train, size.forget, size.width, size.classes + 1), setting)


METHOD = HeadRival(BoundaryExpand())
