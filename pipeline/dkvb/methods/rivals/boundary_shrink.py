"""Boundary Shrink: every sample to forget gets the label of the nearest other class.

Source: Chen et al. 2023, as in DELETE's and OPTML's code [V]: x' = x + e sign(gradient of the loss at x), one step;
the new label is the trained model's answer to x'; cross-entropy on the forget set alone, SGD with momentum 0.9, 10
epochs. There e = 0.1 of images in [0, 1]. Ours, for features: e in units of each column's deviation, the runner-up
where x' is still answered with the label, and the learning rates tried, in units of the features (`student`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from dkvb.methods.on_head import Head, HeadData, Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.importance import errors
from dkvb.methods.rivals.student import Descent, GradientRival, Passes, Student, head_of, steps, student_of
from dkvb.training.loop import suitable_threads

EPOCHS = 10


class BoundaryShrink(GradientRival):
    name = "boundary-shrink"
    settings_tried = ({"e": 0.4, "lr": 0.01}, {"e": 0.4, "lr": 0.1}, {"e": 0.4, "lr": 1}, {"e": 0.1, "lr": 0.1})

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Head:
        student = student_of(head, data, self.name)
        student.labels[student.forget_rows] = torch.from_numpy(nearest_labels(head, data, setting["e"]))
        with suitable_threads(student.module):
            self.train(student, setting)
        return head_of(student.module)

    def train(self, student: Student, setting: Setting) -> None:
        descent = Descent(student, setting["lr"])
        for epoch in range(EPOCHS):
            for rows in student.batches(student.forget_rows, "forget", epoch):
                descent(cross_entropy(student(rows), student.labels[rows]))

    def passes(self, size: Size, setting: Setting) -> Passes:
        return Passes(size.forget * EPOCHS, steps(size.forget, EPOCHS), 3 * size.forget)


def nearest_labels(head: Head, data: HeadData, e: float) -> np.ndarray:
    """(n,) new labels of the forget training set, none of them a forget class."""
    features, own = data.train[data.forgotten], np.asarray(data.labels, np.int64)[data.forgotten]
    gradient = errors(head, features, own) @ head.weight
    logits = head.logits(features + np.float32(e) * features.std(0) * np.sign(gradient))
    logits[:, data.forget] = -np.inf  # the runner-up where it is still the label
    return logits.argmax(1)


METHOD = HeadRival(BoundaryShrink())
