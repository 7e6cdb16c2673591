"""SCRUB and its variants: a student trained away from the model on the forget set (paper, section 5.3 and Appendix
E.3)."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch

from dkvb.bottleneck.decoder import Decoder
from dkvb.errors import DkvbError, UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.selections import masked_ids
from dkvb.methods.base import CurvePoint, Outcome, Point, point
from dkvb.methods.scrub_passes import scrub_epochs, scrub_passes
from dkvb.metrics.flops import adam_flops, linear_flops, values_flops
from dkvb.runtime.seeding import integer
from dkvb.training.linear_head import predict
from dkvb.training.loop import suitable_threads
from dkvb.workspace.names import MEASURED_SPLITS

NOISE = 1e-2


LONGEST = 10
"""Epochs after which the paper stops (Appendix E.3)."""


class ScrubMethod:
    """n is the number of epochs, one min pass each, the first `max_steps` of them with a max pass before it."""

    family = "training"
    trains_on = True
    name = "scrub"
    model: Literal["dkvb", "linear"] = "linear"
    dial = "epochs"
    target = "zero"
    """What "auto" aims at, in place of `unlearn.target` (Appendix E.3)."""

    def __init__(self, trained: TrainedSeed, forget: Sequence[int]) -> None:
        self.trained, self.forgotten = trained, list(forget)
        self.recipe = trained.recipe.scrub
        self.settings: dict[str, Any] = self.recipe.model_dump(exclude={"min_steps", "values_lr"})
        self.not_in_paper = ["alpha", "gamma", "temperature"]

    @property
    def given(self) -> int | str:
        return self.recipe.min_steps

    def grid(self) -> list[int]:
        longest = self.recipe.min_steps if isinstance(self.recipe.min_steps, int) else 0
        return list(range(max(LONGEST, longest) + 1))

    def check(self, n: int) -> None:
        """Any number of epochs will do."""

    def student(self) -> torch.nn.Module:
        """The trained model, to be trained on."""
        weight, bias = self.trained.in_line.unfold(self.trained.linear["weight"], self.trained.linear["bias"])
        head = torch.nn.Linear(weight.shape[1], weight.shape[0])
        head.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
        return head

    def inputs(self, split: str) -> torch.Tensor:
        """What the student takes for the samples (N, …) of a split."""
        return self.trained.in_line(torch.from_numpy(self.trained.splits.features_of(split)))

    def _unsettle(self, student: torch.nn.Module) -> None:
        """Take the student away from a teacher that it could not leave by gradients."""

    def _arrays(self, student: torch.nn.Module) -> dict[str, np.ndarray]:
        parameters = {name: parameter.detach().numpy() for name, parameter in student.named_parameters()}
        weight, bias = self.trained.in_line.fold(parameters["weight"], parameters["bias"])
        return {"weight": weight, "bias": bias}

    def _pass_flops(self, samples: int) -> int:
        """Training the student on samples for an epoch, less the teacher's forward pass."""
        return linear_flops(samples, self.trained.splits.width, len(self.trained.splits.classes))

    def _flops(self, student: torch.nn.Module, epochs: int) -> tuple[int, int]:
        """Student forward and backward, the teacher forward, which is half as much, and Adam, over every batch of every
        pass; and Adam's alone."""
        forget = int(np.isin(self.trained.splits.labels["train"], self.forgotten).sum())
        retain = len(self.trained.splits.labels["train"]) - forget
        parameters = sum(parameter.numel() for parameter in student.parameters())
        passes = ((forget, min(epochs, self.recipe.max_steps)), (retain, epochs))
        products = sum(self._pass_flops(samples * times) * 3 // 2 for samples, times in passes)
        adam = sum(adam_flops(parameters, samples, self.recipe.batch_size, times) for samples, times in passes)
        return products + adam, adam

    def train(self, student: torch.nn.Module, inputs: torch.Tensor, epochs: int) -> Iterator[int]:
        """Train the student in place on the training set's inputs (N, …); yields the number of finished epochs.

        Raises:
            DkvbError: no samples to forget or to retain, or a loss that is not finite.
        """
        labels = self.trained.splits.labels["train"]
        forget = torch.from_numpy(np.isin(labels, self.forgotten))
        if not forget.any():
            raise DkvbError(
                "The forget classes have no training samples: there is nothing for SCRUB to move away from."
            )
        if forget.all():
            raise DkvbError(
                "Nothing is left for SCRUB to retain: the forget classes are all there is in the training set. Leave"
                " one out."
            )
        teacher = copy.deepcopy(student).requires_grad_(False)
        self._unsettle(student)
        with suitable_threads(student):
            yield from scrub_epochs(
                scrub_passes(
                    student, teacher, inputs, torch.from_numpy(labels), forget, self.recipe, epochs, self.trained.seed
                )
            )

    def sweep(self, grid: Sequence[int], advance: Callable[[int], None]) -> list[Point]:
        student, splits = self.student(), self.trained.splits
        held_out = {split: self.inputs(split) for split in splits.evaluation}
        points: list[Point] = []

        def measure(n: int) -> None:
            if n in grid:
                points.extend(point(splits, split, predict(student, x), n) for split, x in held_out.items())
                advance(len(held_out))

        measure(0)
        for epoch in self.train(student, self.inputs("train"), max(grid)):
            measure(epoch)
        return points

    def choose(self, curve: Sequence[CurvePoint], target: float) -> tuple[int, str | None]:
        """The stopping rule of Appendix E.3: forgotten without damage, else the best retain accuracy among forgotten
        epochs. Forgotten is 0%, whatever the target at which masking aims."""
        forgotten = [at for at in curve if at.n > 0 and at.forget <= 0]
        if not forgotten:
            best = min((at for at in curve if at.n > 0), key=lambda at: (at.forget, -at.retain))
            return best.n, f"no epoch brings forget accuracy to 0%; the lowest is {best.forget:.1%}"
        undamaged = next((at.n for at in forgotten if at.retain >= curve[0].retain), None)
        return (undamaged if undamaged is not None else max(forgotten, key=lambda at: (at.retain, -at.n)).n), None

    def _scrubbed(self, student: torch.nn.Module, inputs: torch.Tensor, n: int) -> str | None:
        """Bring the student to what is kept; what a user should know about it."""
        for _ in self.train(student, inputs, n):
            pass
        return None

    def forget(self, n: int) -> Outcome:
        student = self.student()
        inputs = {split: self.inputs(split) for split in MEASURED_SPLITS}
        before = {split: predict(student, x) for split, x in inputs.items()}
        started = time.perf_counter()
        note = self._scrubbed(student, inputs["train"], n)
        seconds = time.perf_counter() - started
        after = {split: predict(student, x) for split, x in inputs.items()}
        outcome = Outcome(before, after, seconds, keeps="weights", arrays=self._arrays(student), note=note)
        outcome.flops, outcome.flops_adam = self._flops(student, n)
        return outcome


class ScrubValues(ScrubMethod):
    """SCRUB on the bottleneck's values, its keys and codes as they are: what the architecture alone does for SCRUB. Not
    in the paper.

    Where student and teacher are one, the divergence has a gradient of zero. On the linear head rounding breaks the
    tie; values, which are only added up, would stay where they are. So the student starts `NOISE` of the values'
    deviation away from its teacher.
    """

    name = "scrub-values"
    model = "dkvb"

    def __init__(self, trained: TrainedSeed, forget: Sequence[int]) -> None:
        super().__init__(trained, forget)
        self.recipe = self.recipe.model_copy(update={"lr": self.recipe.values_lr})
        self.settings |= {"lr": self.recipe.lr}
        self.settings["noise"] = NOISE
        self.not_in_paper = ["max_steps", "lr", "noise", *self.not_in_paper]

    def student(self) -> torch.nn.Module:
        bottleneck = self.trained.bottleneck
        values = torch.from_numpy(bottleneck.values).flatten(0, 1).clone()
        available = (self.trained.no_mask >= 0).sum(1)
        return Decoder(values, self.trained.keys.top_k, bottleneck.pool, available)

    def inputs(self, split: str) -> torch.Tensor:
        return masked_ids(self.trained.bottleneck, split, self.trained.no_mask < 0)

    def _unsettle(self, student: torch.nn.Module) -> None:
        values = student.get_parameter("values")
        source = torch.Generator().manual_seed(integer(self.trained.seed, self.name, "noise", *self.forgotten))
        with torch.no_grad():
            values.add_(torch.randn(values.shape, generator=source), alpha=NOISE * float(values.std()))

    def _arrays(self, student: torch.nn.Module) -> dict[str, np.ndarray]:
        return {
            "values": student.get_parameter("values").detach().numpy().reshape(self.trained.bottleneck.values.shape)
        }

    def _pass_flops(self, samples: int) -> int:
        keys = self.trained.keys
        return values_flops(samples, keys.codebooks, keys.top_k, len(self.trained.splits.classes))


class ScrubRewind(ScrubMethod):
    """SCRUB+R (Kurmanji et al. 2023): rewind to the epoch whose error on the forget set is that of samples never seen.

    The reference is the last epoch's error on validation samples of the forget classes; kept is the student, the
    original among them, whose error on the forget training set comes closest to it, the earliest of equals.
    """

    trains_on = False
    name = "scrub-r"

    @property
    def given(self) -> int | str:
        return LONGEST if self.recipe.min_steps == "auto" else self.recipe.min_steps

    def check(self, n: int) -> None:
        labels = self.trained.splits.labels
        if (
            "validation" not in self.trained.splits.evaluation
            or not np.isin(labels["validation"], self.forgotten).any()
        ):
            raise UsageError(
                "scrub-r needs validation samples of the forget classes to compare with; there are none: set"
                " data.validation (0.1, say)."
            )

    def _scrubbed(self, student: torch.nn.Module, inputs: torch.Tensor, n: int) -> str | None:
        labels = self.trained.splits.labels
        forget, unseen = (np.isin(labels[split], self.forgotten) for split in ("train", "validation"))
        held_out = self.inputs("validation")[torch.from_numpy(unseen)]

        def error(x: torch.Tensor, y: np.ndarray) -> float:
            return float((predict(student, x) != y).mean())

        seen = inputs[torch.from_numpy(forget)]
        students, errors = [copy.deepcopy(student.state_dict())], [error(seen, labels["train"][forget])]
        for _ in self.train(student, inputs, n):
            students.append(copy.deepcopy(student.state_dict()))
            errors.append(error(seen, labels["train"][forget]))
        reference = error(held_out, labels["validation"][unseen])
        epoch = int(np.abs(np.array(errors) - reference).argmin())
        student.load_state_dict(students[epoch])
        return (
            f"rewound to epoch {epoch} of {n}: forget error {errors[epoch]:.1%} in training, {reference:.1%} at the end"
            " on unseen samples"
        )
