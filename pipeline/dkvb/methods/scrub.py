"""SCRUB on the linear head: a student drifts from its teacher on the forget set and stays close on the retain set.

After Kurmanji et al. 2023 as used in the paper's section 5.3 and Appendix E.3. Teacher = the trained head, frozen; the student starts
as its copy. p_t, p_s = softmax(logits / T); KD = T^2 mean_i KL(p_t || p_s). Max pass: minimise -KD on forget batches. Min pass:
minimise gamma CE + alpha KD on retain batches. One Adam for both.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional

from dkvb.fitting import optimiser, suitable_threads
from dkvb.methods.base import TRAIN_AND_TEST, CurvePoint, Forgotten, Point, point
from dkvb.recipe import Scrub
from dkvb.seeding import generator
from dkvb.study import Study

LONGEST = 10
"""Epochs after which the paper stops (Appendix E.3)."""


def distillation(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """KD = T^2 mean_i KL(p_t || p_s) of logits (B, L)."""
    log_student, log_teacher = (functional.log_softmax(logits / temperature, 1) for logits in (student, teacher))
    return functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * temperature**2


def scrub_epochs(
    student: torch.nn.Module,
    teacher: torch.nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    forget: torch.Tensor,
    settings: Scrub,
    epochs: int,
    seed: int,
) -> Iterator[int]:
    """Train the student in place; yields the number of finished epochs.

    Args:
        teacher: frozen; a copy of the student as it was, not the student itself, or the divergence would be zero throughout.
        inputs: (N, D) training features; labels: (N,) int64.
        forget: (N,) bool, True on the forget set.
    """
    adam = optimiser(student, settings.lr)
    sets = {"forget": torch.nonzero(forget)[:, 0], "retain": torch.nonzero(~forget)[:, 0]}

    def batches(name: str, epoch: int) -> tuple[torch.Tensor, ...]:
        order = generator(seed, "scrub", name, epoch).permutation(len(sets[name]))
        return sets[name][torch.from_numpy(order)].split(settings.batch_size)

    def step(loss: torch.Tensor) -> None:
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()

    for epoch in range(1, epochs + 1):
        if epoch <= settings.max_steps:
            for rows in batches("forget", epoch):
                step(-distillation(student(inputs[rows]), teacher(inputs[rows]), settings.temperature))
        for rows in batches("retain", epoch):
            logits = student(inputs[rows])
            kept = distillation(logits, teacher(inputs[rows]), settings.temperature)
            step(settings.gamma * functional.cross_entropy(logits, labels[rows]) + settings.alpha * kept)
        yield epoch


class ScrubMethod:
    """n is the number of epochs, one min pass each, the first `max_steps` of them with a max pass before it."""

    name = "scrub"
    model: Literal["dkvb", "linear"] = "linear"
    dial = "epochs"

    def __init__(self, study: Study, forget: Sequence[int]) -> None:
        self.study, self.forgotten = study, list(forget)
        self.recipe = study.recipe.scrub
        self.settings: dict[str, Any] = self.recipe.model_dump(exclude={"min_steps"})
        self.not_in_paper = ["alpha", "gamma", "temperature"]

    @property
    def given(self) -> int | str:
        return self.recipe.min_steps

    def grid(self) -> list[int]:
        longest = self.recipe.min_steps if isinstance(self.recipe.min_steps, int) else 0
        return list(range(max(LONGEST, longest) + 1))

    def check(self, n: int) -> None:
        """Any number of epochs will do."""

    def _student(self) -> torch.nn.Linear:
        weight, bias = (torch.from_numpy(self.study.linear[name]) for name in ("weight", "bias"))
        head = torch.nn.Linear(weight.shape[1], weight.shape[0])
        head.load_state_dict({"weight": weight, "bias": bias})
        return head

    def _inputs(self, split: str) -> torch.Tensor:
        return torch.from_numpy(self.study.splits.features_of(split))

    def _train(self, student: torch.nn.Module, inputs: torch.Tensor, epochs: int) -> Iterator[int]:
        labels = self.study.splits.labels["train"]
        forget = torch.from_numpy(np.isin(labels, self.forgotten))
        teacher = copy.deepcopy(student).requires_grad_(False)
        with suitable_threads(student):
            yield from scrub_epochs(student, teacher, inputs, torch.from_numpy(labels), forget, self.recipe, epochs, self.study.seed)

    def sweep(self, grid: Sequence[int], advance: Callable[[int], None]) -> list[Point]:
        student, splits = self._student(), self.study.splits
        held_out = {split: self._inputs(split) for split in splits.evaluation}
        points: list[Point] = []

        def measure(n: int) -> None:
            if n in grid:
                points.extend(point(splits, split, _predict(student, x), n) for split, x in held_out.items())
                advance(len(held_out))

        measure(0)
        for epoch in self._train(student, self._inputs("train"), max(grid)):
            measure(epoch)
        return points

    def choose(self, curve: Sequence[CurvePoint], target: float) -> tuple[int, str | None]:
        """The stopping rule of Appendix E.3: forgotten without damage, else the best retain accuracy among forgotten epochs."""
        forgotten = [at for at in curve if at.n > 0 and at.forget <= target]
        if not forgotten:
            best = min((at for at in curve if at.n > 0), key=lambda at: (at.forget, -at.retain))
            return best.n, f"no epoch brings forget accuracy to {target:.1%}; the lowest is {best.forget:.1%}"
        undamaged = next((at.n for at in forgotten if at.retain >= curve[0].retain), None)
        return (undamaged if undamaged is not None else max(forgotten, key=lambda at: (at.retain, -at.n)).n), None

    def forget(self, n: int) -> Forgotten:
        student = self._student()
        inputs = {split: self._inputs(split) for split in TRAIN_AND_TEST}
        before = {split: _predict(student, x) for split, x in inputs.items()}
        started = time.perf_counter()
        for _ in self._train(student, inputs["train"], n):
            pass
        seconds = time.perf_counter() - started
        after = {split: _predict(student, x) for split, x in inputs.items()}
        arrays = {name: parameter.detach().numpy() for name, parameter in student.named_parameters()}
        return Forgotten(before, after, seconds, arrays=arrays)


def _predict(head: torch.nn.Module, inputs: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return head(inputs).argmax(1).numpy()
