"""GA, gradient ascent: the loss on the forget set is made larger.

Source: OPTML's unlearning library [V]: minus the cross-entropy on the forget set, 5 epochs. Left to itself it
diverges on a linear head, whose loss has no upper bound. Ours: it stops as soon as the forget training set is
recognised no better than by chance; the learning rates tried, in units of the features (`student`).
"""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from dkvb.methods.on_head import Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.student import Descent, GradientRival, Passes, Student, steps

EPOCHS = 5


class Ascent(GradientRival):
    name = "ascent"
    settings_tried = ({"lr": 0.1}, {"lr": 1}, {"lr": 10}, {"lr": 30})

    def train(self, student: Student, setting: Setting) -> None:
        descent = Descent(student, setting["lr"])
        for epoch in range(EPOCHS):
            for rows in student.batches(student.forget_rows, "forget", epoch):
                if recognised(student) <= 1 / student.classes:
                    return
                descent(-cross_entropy(student(rows), student.labels[rows]))

    def passes(self, size: Size, setting: Setting) -> Passes:
        taken = steps(size.forget, EPOCHS)
        return Passes(size.forget * EPOCHS, taken, size.forget * taken)


def recognised(student: Student) -> float:
    """The share of the forget training set that is recognised."""
    with torch.no_grad():
        rows = student.forget_rows
        return float((student(rows).argmax(1) == student.labels[rows]).float().mean())


METHOD = HeadRival(Ascent())
