"""Bad Teacher: an untrained head teaches the forget set, the trained one the rest.

Source: Chundawat et al. 2023 [V]: KL(q ‖ p) with q of an untrained network on the forget set and of the trained model
on 30% of the retain set, temperature 1, one epoch, batches of 256. Ours: a linear head as torch draws one for the
untrained network, SGD in place of Adam, and the learning rates tried, in units of the features (`student`). Upstream
also divides the loss by the number of classes, which a learning rate makes up for.
"""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from dkvb.methods.on_head import Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.student import Descent, GradientRival, Passes, Student, steps

RETAIN = 0.3
"""Share of the retain set that takes part."""


class BadTeacher(GradientRival):
    name = "bad-teacher"
    settings_tried = ({"lr": 0.1}, {"lr": 1}, {"lr": 10})

    def train(self, student: Student, setting: Setting) -> None:
        rows = taught(student)
        wanted = answers(student, rows)
        descent = Descent(student, setting["lr"])
        for places in student.batches(torch.arange(len(rows)), "rows"):
            descent(cross_entropy(student(rows[places]), wanted[places]))  # KL but for a constant

    def passes(self, size: Size, setting: Setting) -> Passes:
        rows = size.forget + round(RETAIN * size.retain)
        return Passes(rows, steps(rows), 2 * rows)  # both teachers are asked


def taught(student: Student) -> torch.Tensor:
    """The rows that take part: the forget set, and a share of the rest."""
    drawn = student.draw("retain").permutation(len(student.retain_rows))
    chosen = student.retain_rows[torch.from_numpy(drawn[: round(RETAIN * len(drawn))])]
    return torch.cat([student.forget_rows, chosen])


def answers(student: Student, rows: torch.Tensor) -> torch.Tensor:
    """(n, L) probabilities that rows are taught."""
    bad = torch.nn.Linear(student.inputs.shape[1], student.classes, device="meta").to_empty(device="cpu")
    edge, draw = student.inputs.shape[1] ** -0.5, student.draw("teacher")
    with torch.no_grad():
        for parameter in bad.parameters():  # torch's own start, from a generator of its own
            parameter.copy_(torch.from_numpy(draw.uniform(-edge, edge, tuple(parameter.shape))))
        of_bad, of_good = bad(student.inputs[rows]).softmax(1), student(rows).softmax(1)
    return torch.where(student.forgotten[rows, None], of_bad, of_good)


METHOD = HeadRival(BadTeacher())
