"""DELETE: the forget set learns the model's own answers without the right one.

Source: DELETE's delete.py and abstract [V]: q = softmax of the trained model's logits with that of the label at minus
infinity; KL(q ‖ p) on the forget set alone, SGD with momentum 0.9, 20 epochs. Where that is 0, the forget training
set is answered as by the logit mask. Ours: of several classes all are masked; the learning rates tried, in units of
the features (`student`).
"""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from dkvb.methods.on_head import Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.student import Descent, GradientRival, Passes, Student, steps

EPOCHS = 20


class Delete(GradientRival):
    name = "delete"
    settings_tried = ({"lr": 0.1}, {"lr": 1}, {"lr": 10})

    def train(self, student: Student, setting: Setting) -> None:
        descent, wanted = Descent(student, setting["lr"]), without_labels(student)
        for epoch in range(int(setting.get("epochs", EPOCHS))):
            for places in student.batches(torch.arange(len(wanted)), "forget", epoch):
                # KL but for a constant
                descent(cross_entropy(student(student.forget_rows[places]), wanted[places]))

    def passes(self, size: Size, setting: Setting) -> Passes:
        return Passes(size.forget * EPOCHS, steps(size.forget, EPOCHS), size.forget)


def without_labels(student: Student) -> torch.Tensor:
    """(n, L): the student's probabilities on the forget set, those of the forget classes at zero and the rest made up
    to one."""
    with torch.no_grad():
        logits = student(student.forget_rows)
        logits[:, list(student.forget)] = -torch.inf
        return logits.softmax(1)


METHOD = HeadRival(Delete())
