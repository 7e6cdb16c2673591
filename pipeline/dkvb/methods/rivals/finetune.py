"""FT: training goes on, on the retain set alone.

Source: the baseline of SSD (5 epochs) and of OPTML's unlearning library (10 epochs; SGD, momentum 0.9, weight decay
5e-4, batches of 256) [V]: cross-entropy on the retain set, from the trained model on. Ours: 5 epochs at a constant
learning rate, the rates tried, in units of the features (`student`), and no weight decay, which there takes a
200,000th off a weight in a step.
"""

from __future__ import annotations

from torch.nn.functional import cross_entropy

from dkvb.methods.on_head import Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.student import Descent, GradientRival, Passes, Student, steps

EPOCHS = 5


class Finetune(GradientRival):
    name = "finetune"
    settings_tried = ({"lr": 1}, {"lr": 10}, {"lr": 100})

    def train(self, student: Student, setting: Setting) -> None:
        descent = Descent(student, setting["lr"])
        for epoch in range(EPOCHS):
            for rows in student.batches(student.retain_rows, "retain", epoch):
                descent(cross_entropy(student(rows), student.labels[rows]))

    def passes(self, size: Size, setting: Setting) -> Passes:
        return Passes(size.retain * EPOCHS, steps(size.retain, EPOCHS))


METHOD = HeadRival(Finetune())
