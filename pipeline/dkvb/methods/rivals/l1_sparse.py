"""l1-sparse: fine-tuning on the retain set with a penalty on weights that fades.

Source: Jia et al. 2023, OPTML's code [V]: FT with a_t ‖weights‖₁, a_t = a (1 − t / T) over the epochs; a of 1e-4 to
5e-4 for whole networks [K]. Ours: a in units of the features' root mean square, the values tried, and one learning
rate, in units of the features (`student`).
"""

from __future__ import annotations

from torch.nn.functional import cross_entropy

from dkvb.methods.on_head import Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.finetune import EPOCHS
from dkvb.methods.rivals.student import Descent, GradientRival, Passes, Student, steps


class L1Sparse(GradientRival):
    name = "l1-sparse"
    settings_tried = (
        {"a": 5e-4, "lr": 1},
        {"a": 5e-3, "lr": 1},
        {"a": 5e-4, "lr": 10},
        {"a": 5e-3, "lr": 10},
        {"a": 5e-4, "lr": 100},
    )

    def train(self, student: Student, setting: Setting) -> None:
        descent = Descent(student, setting["lr"])
        scale = (student.inputs.shape[1] * student.unit) ** -0.5  # the features' root mean square
        for epoch in range(EPOCHS):
            penalty = setting["a"] * scale * (1 - epoch / EPOCHS)
            for rows in student.batches(student.retain_rows, "retain", epoch):
                length = sum(parameter.abs().sum() for parameter in student.module.parameters())
                descent(cross_entropy(student(rows), student.labels[rows]) + penalty * length)

    def passes(self, size: Size, setting: Setting) -> Passes:
        return Passes(size.retain * EPOCHS, steps(size.retain, EPOCHS))


METHOD = HeadRival(L1Sparse())
