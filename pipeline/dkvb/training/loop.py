"""The one training loop: Adam on a module whose whole input is in memory, resumable by epoch to the same bits.

Adam (0.9, 0.999, 1e-8) is dense, or makes up for what a row missed: values keep moving after their last hit, which
SparseAdam would not reproduce.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.nn import functional

from dkvb.bottleneck.decoder import Decoder
from dkvb.errors import DkvbError
from dkvb.recipe import Linear, Train
from dkvb.runtime import progress
from dkvb.runtime.seeding import generator
from dkvb.training.adam import Adam
from dkvb.training.row_adam import RowAdam
from dkvb.workspace.files import atomic
from dkvb.workspace.names import CHECKPOINT

SAVE_EVERY = 1.0
"""Seconds between checkpoints at the least: an epoch shorter than that costs less to repeat than to save."""


@dataclass
class History:
    """One row per finished epoch."""

    rows: list[dict[str, float]] = field(default_factory=list)

    def parquet(self, path: Path) -> None:
        import polars

        with atomic(path) as temporary:
            polars.DataFrame(self.rows).write_parquet(temporary)


BLOCK = 2**14
"""Numbers whose squares are added up in one thread."""


SMALL = 2**20
"""Parameters below which a second thread costs more than it brings."""


@contextmanager
def suitable_threads(module: torch.nn.Module) -> Iterator[None]:
    """One thread for a small module, as many as there are for a large one."""
    before = torch.get_num_threads()
    if sum(parameter.numel() for parameter in module.parameters()) < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Schedule:
    """For how long and by what steps a module is trained."""

    epochs: int
    lr: float
    batch_size: int
    clip: float | None = None
    """The largest L2 norm of a step's gradient over all parameters; None leaves gradients as they are."""
    label_smoothing: float = 0.0
    """Share of each label that is spread evenly over all classes."""
    adam: Literal["dense", "rows"] = "dense"
    """Whether a step passes over all parameters, or over the rows of values that it selects; see
    `dkvb.training.row_adam`."""

    @classmethod
    def of(cls, settings: Train | Linear) -> Schedule:
        """As a section of the recipe has it."""
        steps = (settings.epochs, settings.lr, settings.batch_size)
        if isinstance(settings, Linear):
            return cls(*steps)
        return cls(*steps, label_smoothing=settings.label_smoothing, adam=settings.adam)


@dataclass(frozen=True)
class Unit:
    """One training of a seed."""

    name: str
    """Names it among the seed's random draws, and to a person."""
    seed: int
    folder: Path | None = None
    """Where a checkpoint is kept between epochs; None keeps none."""

    @property
    def checkpoint(self) -> Path | None:
        return self.folder / CHECKPOINT if self.folder else None


def fit(
    module: torch.nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    schedule: Schedule,
    unit: Unit,
    on_epoch: Callable[[], dict[str, float]] = dict,
) -> History:
    """Train a module with cross-entropy for the epochs of a schedule, or what is left of them.

    Args:
        module: (B, …) inputs -> (B, L) logits.
        inputs: (N, …); labels: (N,) int64.
        on_epoch: further measures of the epoch's history row.

    Raises:
        DkvbError: the loss is not finite; names epoch and step. The last checkpoint stays.
    """
    adam, history = _optimiser(module, schedule), History()
    done = _restore(unit.checkpoint, module, adam, history) if unit.checkpoint else 0
    saved = time.monotonic()
    with suitable_threads(module), progress.task(f"{unit.name} seed {unit.seed}", schedule.epochs, "epochs") as task:
        task.skip(done)
        for epoch in range(done, schedule.epochs):
            row = _epoch(module, adam, inputs, labels, schedule, unit, epoch)
            adam.settle()
            row |= on_epoch()
            history.rows.append(row)
            if unit.checkpoint and epoch + 1 < schedule.epochs and time.monotonic() - saved > SAVE_EVERY:
                _save(unit.checkpoint, module, adam, history)
                saved = time.monotonic()
            task.advance(1, f"loss {row['loss']:.4f}")
    return history


def _optimiser(module: torch.nn.Module, schedule: Schedule) -> Adam | RowAdam:
    """That of a schedule; moments of values that lie on disk lie there as well."""
    if schedule.adam == "dense":
        return Adam(module, schedule.lr)
    (decoder,) = (part for part in module.modules() if isinstance(part, Decoder))
    return RowAdam(decoder, schedule.lr)


def _epoch(
    module: torch.nn.Module,
    adam: Adam | RowAdam,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    schedule: Schedule,
    unit: Unit,
    epoch: int,
) -> dict[str, float]:
    """Train for one epoch; its history row."""
    order = torch.from_numpy(generator(unit.seed, unit.name, "order", epoch).permutation(len(labels)))
    total, correct = 0.0, 0
    for step, rows in enumerate(order.split(schedule.batch_size)):
        logits = module(inputs[rows])
        loss = functional.cross_entropy(logits, labels[rows], label_smoothing=schedule.label_smoothing)
        value = loss.item()
        if not value < float("inf"):
            raise DkvbError(
                f"The loss of {unit.name} (seed {unit.seed}) is {value} in epoch {epoch + 1}, step {step + 1}: a"
                f" learning rate of {schedule.lr} is too large for these data; lower it in the recipe. The last good"
                " checkpoint is kept."
            )
        adam.zero_grad()
        loss.backward()
        if schedule.clip is not None:
            _clip(module, schedule.clip)
        adam.step()
        total += value * len(rows)
        correct += int((logits.detach().argmax(1) == labels[rows]).sum())
    return {"epoch": epoch + 1, "loss": total / len(labels), "train_accuracy": correct / len(labels)}


def _clip(module: torch.nn.Module, clip: float) -> None:
    """torch's `clip_grad_norm_`, with the norm added up in blocks that no second thread shares: the same bits on any
    number of them."""
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    norm = torch.stack([part.norm() for gradient in gradients for part in gradient.view(-1).split(BLOCK)]).norm()
    for gradient in gradients:
        gradient.mul_(torch.clamp(clip / (norm + 1e-6), max=1.0))


def _save(path: Path, module: torch.nn.Module, adam: Adam | RowAdam, history: History) -> None:
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in module.named_parameters():
        state = adam.state[parameter]
        tensors |= {
            name: parameter.detach(),
            f"{name}.m": state["exp_avg"],
            f"{name}.v": state["exp_avg_sq"],
            f"{name}.step": state["step"],
        }
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={"history": json.dumps(history.rows), "sha256": _digest(tensors)})


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].contiguous().numpy().data)
    return digest.hexdigest()


def _restore(path: Path, module: torch.nn.Module, adam: Adam | RowAdam, history: History) -> int:
    """Load a checkpoint into module, optimiser and history; returns the epochs done. A damaged one, or another
    module's, counts as none."""
    if not path.is_file():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
        rows = json.loads(metadata["history"])
        shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
        if metadata["sha256"] != _digest(tensors) or any(
            tensors[name].shape != shape for name, shape in shapes.items()
        ):
            return 0
    except (SafetensorError, ValueError, KeyError):
        return 0
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(tensors[name])
            moments = {"exp_avg": tensors[f"{name}.m"], "exp_avg_sq": tensors[f"{name}.v"]}
            adam.restore(parameter, moments | {"step": tensors[f"{name}.step"]})
    history.rows.extend(rows)
    return len(rows)
