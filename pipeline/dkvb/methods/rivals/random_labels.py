"""Random labels: training goes on with the forget set under labels drawn at random.

Sources [V]: SalUn's RL draws from all classes, the forgotten one among them, anew in every epoch, and trains on the
forget set and then on the retain set, 10 epochs (`own` 1); Amnesiac unlearning, as SSD's repository has it, draws
once from the classes that stay and shuffles both sets together, 3 epochs (`own` 0). Ours: the learning rates tried,
in units of the features (`student`), with SGD for both.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from dkvb.methods.on_head import Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.student import Descent, GradientRival, Passes, Student, steps

EPOCHS = {True: 10, False: 3}
"""Whether the forgotten class is among the labels drawn -> epochs."""


class RandomLabels(GradientRival):
    name = "random-labels"
    settings_tried = (
        {"own": 1, "lr": 0.1},
        {"own": 1, "lr": 1},
        {"own": 0, "lr": 0.1},
        {"own": 0, "lr": 1},
    )

    def train(self, student: Student, setting: Setting) -> None:
        descent = Descent(student, setting["lr"])
        if setting["own"]:
            on_any_label(student, descent)
        else:
            _on_other_labels(student, descent)

    def passes(self, size: Size, setting: Setting) -> Passes:
        epochs = EPOCHS[bool(setting["own"])]
        apart = steps(size.forget, epochs) + steps(size.retain, epochs)
        return Passes(size.train * epochs, apart if setting["own"] else steps(size.train, epochs))


def drawn(student: Student, own: bool, epoch: int) -> torch.Tensor:
    """Labels (N,) with those of the forget set drawn at random.

    Args:
        own: whether from all classes, or from those that stay.
    """
    classes = np.arange(student.classes)
    among = classes if own else np.setdiff1d(classes, student.forget)
    labels = student.labels.clone()
    labels[student.forget_rows] = torch.from_numpy(
        student.draw("labels", epoch).choice(among, len(student.forget_rows)).astype(np.int64)
    )
    return labels


def on_any_label(student: Student, step: Callable[[torch.Tensor], None]) -> None:
    """SalUn's RL: every epoch the forget set under new labels, then the retain set."""
    for epoch in range(EPOCHS[True]):
        labels = drawn(student, True, epoch)
        for part in (student.forget_rows, student.retain_rows):
            for rows in student.batches(part, "rows", epoch):
                step(cross_entropy(student(rows), labels[rows]))


def _on_other_labels(student: Student, step: Callable[[torch.Tensor], None]) -> None:
    labels = drawn(student, False, 0)
    for epoch in range(EPOCHS[False]):
        for rows in student.batches(torch.arange(len(labels)), "rows", epoch):
            step(cross_entropy(student(rows), labels[rows]))


METHOD = HeadRival(RandomLabels())
