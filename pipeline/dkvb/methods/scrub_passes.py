"""The passes of SCRUB: a student leaves its teacher on the forget set and stays close on the retain set.

After Kurmanji et al. 2023 as used in the paper's section 5.3 and Appendix E.3. Teacher = the trained head, frozen; the
student starts as its copy. p_t, p_s = softmax(logits / T); KD = T^2 mean_i KL(p_t || p_s). Max pass: minimise -KD on
forget batches. Min pass: minimise gamma CE + alpha KD on retain batches. One Adam for both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch.nn import functional

from dkvb.errors import DkvbError
from dkvb.recipe import Scrub
from dkvb.runtime.seeding import generator
from dkvb.training.adam import Adam


def distillation(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """KD = T^2 mean_i KL(p_t || p_s) of logits (B, L)."""
    log_student, log_teacher = (functional.log_softmax(logits / temperature, 1) for logits in (student, teacher))
    return functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * temperature**2


def scrub_passes(
    student: torch.nn.Module,
    teacher: torch.nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    forget: torch.Tensor,
    settings: Scrub,
    epochs: int,
    seed: int,
) -> Iterator[tuple[Literal["max", "min"], int]]:
    """Train the student in place; yields every finished pass and its epoch, counted from 1. An epoch ends with its min
    pass.

    Args:
        teacher: frozen; a copy of the student as it was, not the student itself, or the divergence would be zero
            throughout.
        inputs: (N, D) training features; labels: (N,) int64.
        forget: (N,) bool, True on the forget set.

    Raises:
        DkvbError: the loss is not finite; names pass, epoch and step.
    """
    adam = Adam(student, settings.lr)
    sets = {"forget": torch.nonzero(forget)[:, 0], "retain": torch.nonzero(~forget)[:, 0]}

    def batches(name: str, epoch: int) -> tuple[torch.Tensor, ...]:
        order = generator(seed, "scrub", name, epoch).permutation(len(sets[name]))
        return sets[name][torch.from_numpy(order)].split(settings.batch_size)

    def step(loss: torch.Tensor, where: str) -> None:
        if not math.isfinite(value := loss.item()):
            raise DkvbError(
                f"The loss of SCRUB (seed {seed}) is {value} in {where}: a learning rate of {settings.lr} is too large"
                " for these data; lower it in the recipe. The trained model is untouched."
            )
        adam.zero_grad()
        loss.backward()
        adam.step()

    for epoch in range(1, epochs + 1):
        if epoch <= settings.max_steps:
            for number, rows in enumerate(batches("forget", epoch), start=1):
                loss = -distillation(student(inputs[rows]), teacher(inputs[rows]), settings.temperature)
                step(loss, f"the max pass of epoch {epoch}, step {number}")
            yield "max", epoch
        for number, rows in enumerate(batches("retain", epoch), start=1):
            logits = student(inputs[rows])
            kept = distillation(logits, teacher(inputs[rows]), settings.temperature)
            loss = settings.gamma * functional.cross_entropy(logits, labels[rows]) + settings.alpha * kept
            step(loss, f"the min pass of epoch {epoch}, step {number}")
        yield "min", epoch


def scrub_epochs(passes: Iterator[tuple[Literal["max", "min"], int]]) -> Iterator[int]:
    """`scrub_passes`, an epoch at a time; yields the number of finished epochs."""
    for kind, epoch in passes:
        if kind == "min":
            yield epoch
