"""FT: training goes on, on the retain set alone.

Source: the retrain-free baseline of SSD and of OPTML's unlearning library [V]: cross-entropy on the retain set from
the trained model on, 10 epochs of SGD, momentum 0.9, weight decay 5e-4, batches of 256. Theirs: all of that. Ours:
the learning rates tried, in units of the features (`student`).
"""

from __future__ import annotations

from torch.nn.functional import cross_entropy

from dkvb.methods.on_head import Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.on_values import ValuesRival
from dkvb.methods.rivals.student import Descent, GradientRival, Passes, Student, steps

EPOCHS, WEIGHT_DECAY = 10, 5e-4


class Finetune(GradientRival):
    name = "finetune"
    settings_tried = ({"lr": 0.1}, {"lr": 1}, {"lr": 10})

    def train(self, student: Student, setting: Setting) -> None:
        descent = Descent(student, setting["lr"], WEIGHT_DECAY)
        for epoch in range(EPOCHS):
            for rows in student.batches(student.retain_rows, "retain", epoch):
                descent(cross_entropy(student(rows), student.labels[rows]))

    def passes(self, size: Size, setting: Setting) -> Passes:
        return Passes(size.retain * EPOCHS, steps(size.retain, EPOCHS))


METHOD = HeadRival(Finetune())
VALUES = ValuesRival("finetune-values", Finetune())
