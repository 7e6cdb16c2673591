"""SalUn: random labels, but only the weights that matter to the forget set may move.

Source: Fan et al. 2024, generate_mask.py and RL.py [V]: g = |sum over the forget set of the gradient of the loss| at
the trained model; the share `top` of all weights with the largest g moves (0.5 is theirs; thresholds from 0.1 on are
saved), all others stay. As mended there in February 2026, momentum and weight decay do not move them either: after
every step they are set back, and their momentum to zero. Ours: the learning rates tried, in units of the features
(`student`).
"""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from dkvb.methods.on_head import Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.random_labels import EPOCHS, on_any_label
from dkvb.methods.rivals.student import Descent, GradientRival, Passes, Student, steps


class SalUn(GradientRival):
    name = "salun"
    settings_tried = (
        {"top": 0.5, "lr": 0.1},
        {"top": 0.5, "lr": 1},
        {"top": 0.2, "lr": 1},
    )

    def train(self, student: Student, setting: Setting) -> None:
        descent = Descent(student, setting["lr"])
        held = {parameter: (~free, parameter.detach().clone()) for parameter, free in salient(student, setting["top"])}

        def step(loss: torch.Tensor) -> None:
            descent(loss)
            with torch.no_grad():
                for parameter, (still, start) in held.items():
                    parameter[still] = start[still]
                    descent.sgd.state[parameter]["momentum_buffer"][still] = 0

        on_any_label(student, step)

    def passes(self, size: Size, setting: Setting) -> Passes:
        epochs = EPOCHS[True]
        taken = steps(size.forget, epochs) + steps(size.retain, epochs)
        return Passes(size.train * epochs + size.forget, taken)


def salient(student: Student, top: float) -> list[tuple[torch.nn.Parameter, torch.Tensor]]:
    """Each parameter with the mask, of its shape, of what may move: the largest sums of gradients over all of them."""
    parameters = list(student.module.parameters())
    rows = student.forget_rows
    gradients = torch.autograd.grad(cross_entropy(student(rows), student.labels[rows], reduction="sum"), parameters)
    sizes = torch.cat([gradient.abs().flatten() for gradient in gradients])
    free = torch.zeros(len(sizes), dtype=torch.bool)
    free[torch.argsort(sizes, descending=True, stable=True)[: round(top * len(sizes))]] = True
    parts = free.split([gradient.numel() for gradient in gradients])
    return [(parameter, part.view(parameter.shape)) for parameter, part in zip(parameters, parts, strict=True)]


METHOD = HeadRival(SalUn())
