"""NegGrad+: down the loss on the retain set and up that on the forget set, in one step.

Source: the baseline of SCRUB (Kurmanji et al. 2023) [V]: a CE(retain batch) − (1 − a) CE(forget batch), batches in
pairs; usual are a = 0.95 and 0.9999 [K]. Ours: the learning rates tried, in units of the features (`student`), and 5
epochs over the retain set.
"""

from __future__ import annotations

from itertools import cycle

from torch.nn.functional import cross_entropy

from dkvb.methods.on_head import Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.student import BATCH_SIZE, Descent, GradientRival, Passes, Student, steps

EPOCHS = 5


class NegGradPlus(GradientRival):
    name = "neggrad-plus"
    settings_tried = (
        {"a": 0.95, "lr": 1},
        {"a": 0.99, "lr": 1},
        {"a": 0.99, "lr": 10},
        {"a": 0.99, "lr": 100},
        {"a": 0.9999, "lr": 100},
    )

    def train(self, student: Student, setting: Setting) -> None:
        descent, share = Descent(student, setting["lr"]), setting["a"]
        for epoch in range(EPOCHS):
            left = cycle(student.batches(student.forget_rows, "forget", epoch))
            for rows, lost in zip(student.batches(student.retain_rows, "retain", epoch), left, strict=False):
                kept = cross_entropy(student(rows), student.labels[rows])
                gone = cross_entropy(student(lost), student.labels[lost])
                descent(share * kept - (1 - share) * gone)

    def passes(self, size: Size, setting: Setting) -> Passes:
        taken = steps(size.retain, EPOCHS)
        return Passes(size.retain * EPOCHS + min(size.forget, BATCH_SIZE) * taken, taken)


METHOD = HeadRival(NegGradPlus())
