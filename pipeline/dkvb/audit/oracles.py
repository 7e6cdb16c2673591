"""Originals and oracles by the dozen: models of different training seeds, of which oracles never saw the forgotten
classes.

A batch of models is an artifact of its own, made once and shared by all audits: what each model answers to the rows of
`dkvb.audit.rows`, and of originals the models themselves where they are small. Where processes share the work, each
model is a unit of it, whatever batch it is of.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dkvb.audit.model_store import ModelStore, model_file
from dkvb.audit.ridge import PENALTY, WIDTH
from dkvb.audit.rows import Rows
from dkvb.audit.trainers import Model, Trainer, trainer
from dkvb.errors import DkvbError, UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.recipe import Recipe
from dkvb.records.audit import Kind, ModelBatch, Role
from dkvb.runtime import progress
from dkvb.runtime.parallel import distributed_run, each_unit
from dkvb.training.codes import quantize_without
from dkvb.training.on_retain_set import damaged
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Claim
from dkvb.workspace.files import canonical_hash
from dkvb.workspace.finished import Artifact
from dkvb.workspace.keys_spec import quantize_spec
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import LOGITS
from dkvb.workspace.specs import dkvb_spec, linear_spec

BATCH = 10
"""Models of a batch at most."""

HELD = 100
"""Batches that a process holds at a time at most: each is an open file."""

APART = 1_000_000
"""What separates the training seeds of originals from those of oracles, so that none of the one shares its start values
with one of the other; the first of either is the model that training, or `retrained`, makes."""


@dataclass(frozen=True)
class Order:
    """Models that are called for: originals, or models that never saw the classes of `forget`.

    Raises:
        UsageError: fewer than one model, or several of a kind that has no randomness.
    """

    kind: Kind
    count: int
    forget: tuple[int, ...] = ()
    """In ascending order."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError(f"{self.count} models were called for: take 1 or more.")
        if self.kind == "converged" and self.count > 1:
            raise UsageError(
                "A head trained to convergence is the same from every start, so that there is 1 model and its null is"
                f" 0: take 1 of them, or {self.count} of kind 'linear', which are trained by epochs."
            )

    def batches(self) -> list[Batch]:
        """The order in batches of `BATCH` models."""
        starts = range(0, self.count, BATCH)
        return [Batch(self.kind, self.forget, first, min(BATCH, self.count - first)) for first in starts]


@dataclass(frozen=True)
class Batch:
    """Models of one artifact."""

    kind: Kind
    forget: tuple[int, ...]
    first: int
    count: int

    @property
    def role(self) -> Role:
        return "oracle" if self.forget else "original"

    def spec(self, trained: TrainedSeed) -> Spec:
        return batch_spec(trained, self.kind, self.forget, self.first, self.count)

    def store(self, trained: TrainedSeed, folder: Path) -> ModelStore:
        shape = (self.count, len(rows_of(trained, self.forget)), len(trained.splits.classes))
        return ModelStore(folder, shape, keep=self.role == "original")

    def result(self, seed: int, store: ModelStore) -> ModelBatch:
        """What its manifest says, once all of its models are there."""
        seconds, kept = store.done()
        return ModelBatch(
            kind=self.kind,
            role=self.role,
            forget=list(self.forget),
            seed=seed,
            first=self.first,
            models=self.count,
            seconds=seconds,
            kept=kept,
        )


def train_models(trained: TrainedSeed, kind: Kind, count: int, forget: Sequence[int] = ()) -> list[Artifact]:
    """The batches of one order, see `train_all`; `forget` in any order."""
    return train_all(trained, [Order(kind, count, tuple(sorted(forget)))])[0]


def train_all(trained: TrainedSeed, orders: Sequence[Order]) -> list[list[Artifact]]:
    """The artifacts of originals, and of models that never saw some classes, a list an order; trained now as far as no
    earlier run has done that, spread over processes as the recipe's `[run]` says. Their results are `ModelBatch`es.

    Raises:
        MissingStage: there is no trained model yet.
        DkvbError: nothing is left to train on, or a loss that is not finite.
    """
    if any(set(np.unique(trained.splits.labels["train"])) <= set(order.forget) for order in orders):
        raise DkvbError("Nothing is left to train on: the forget classes are all there is. Leave one out.")
    trained.features.check()
    for order in orders:
        if order.kind == "values-keys" and order.forget:  # here, so that workers find them
            quantize_without(trained.recipe, trained.workspace, trained.features, trained.seed, order.forget)
    bare = TrainedSeed(
        trained.recipe, trained.workspace, trained.features, trained.seed, left_out=trained.left_out
    )  # nothing that was read of it goes to other processes
    batches = [order.batches() for order in orders]
    if not distributed_run(trained.recipe.run):
        return [[_alone(bare, batch) for batch in of] for of in batches]
    every = list(dict.fromkeys(batch for of in batches for batch in of))
    made: dict[Batch, Artifact] = {}
    for start in range(0, len(every), HELD):
        made |= _on_workers(trained, bare, every[start : start + HELD])
    return [[made[batch] for batch in of] for of in batches]


def answers(batches: Sequence[Artifact]) -> np.ndarray:
    """What all models of some batches answer: (models, P, L) float32."""
    return np.concatenate([arrays.read(batch, LOGITS).astype(np.float32) for batch in batches])


def rows_of(trained: TrainedSeed, forget: Sequence[int] = ()) -> Rows:
    """The P rows that oracles were asked about, or (`forget` empty) originals, which are asked about training rows of
    every class."""
    return Rows.of(trained.splits, sorted(forget) if forget else range(len(trained.splits.classes)))


def tensors_of(trained: TrainedSeed, batch: Artifact, model: int) -> dict[str, np.ndarray]:
    """What a model of a batch consists of, see `Model.tensors`; trained again where it was not kept.

    Args:
        model: its place in the batch.
    """
    result = batch.result_as(ModelBatch)
    if result.kept:
        return batch.tensors(model_file(batch.path, model).name)
    seed = training_seed(result.seed, result.role, result.first + model)
    rows = rows_of(trained, result.forget)
    return trainer(trained, result.kind, result.forget, rows).train(seed).tensors


def training_seed(seed: int, role: Role, model: int) -> int:
    """Of which all that is random in the training of a model is drawn."""
    return seed + model + (APART if role == "original" and model else 0)


def _alone(trained: TrainedSeed, batch: Batch) -> Artifact:
    """Train a batch here."""
    with _claimed(trained, batch) as claim:
        if claim.artifact:
            return claim.artifact
        store = batch.store(trained, claim.path)
        left, makers = store.begin(), Makers(trained)
        with progress.task(f"audit: {batch.role}s, {batch.kind}", batch.count, "models") as task:
            task.skip(batch.count - len(left))
            for model in left:
                with progress.silenced():
                    store.put(model, makers.make(batch, model))
                task.advance()
        return claim.finish(batch.result(trained.seed, store))


def _on_workers(trained: TrainedSeed, bare: TrainedSeed, batches: Sequence[Batch]) -> dict[Batch, Artifact]:
    """Train the models of all batches on the workers of the recipe's `[run]`."""
    made, units = {}, []
    with ExitStack() as held:
        # in one order, whoever holds some of them: so that nobody waits for somebody who waits for them
        in_order = sorted(batches, key=lambda batch: trained.workspace.path(batch.spec(trained)))
        claims = {batch: held.enter_context(_claimed(trained, batch)) for batch in in_order}
        stores = {batch: batch.store(trained, claim.path) for batch, claim in claims.items()}
        for batch in batches:
            if claims[batch].artifact is None:
                units += [(batch, stores[batch], model) for model in stores[batch].begin()]
        each_unit(_model, units, trained.recipe, Makers(bare))
        for batch, claim in claims.items():
            if claim.artifact is None:
                result = batch.result(trained.seed, stores[batch])
                claim.finish(result, sum(result.seconds))
            assert claim.artifact is not None
            made[batch] = claim.artifact
    return made


def _claimed(trained: TrainedSeed, batch: Batch) -> AbstractContextManager[Claim]:
    spec = batch.spec(trained)
    return trained.workspace.claim(spec, force=damaged(trained, spec))


@dataclass
class Makers:
    """Trains models of whichever batch is asked for: what was read for the last one serves its kind and forget set, and
    goes to no other process."""

    trained: TrainedSeed
    _last: tuple[Kind, tuple[int, ...], Trainer] | None = field(default=None, repr=False)

    def make(self, batch: Batch, model: int) -> Model:
        """A model, by its place in the batch."""
        if self._last is None or self._last[:2] != (batch.kind, batch.forget):
            self._last = None  # before there is room for another
            maker = trainer(self.trained, batch.kind, batch.forget, rows_of(self.trained, batch.forget))
            self._last = batch.kind, batch.forget, maker
        return self._last[2].train(training_seed(self.trained.seed, batch.role, batch.first + model))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}


def _model(recipe: Recipe, makers: Makers, unit: tuple[Batch, ModelStore, int]) -> None:
    batch, store, model = unit
    store.put(model, makers.make(batch, model))


def batch_spec(trained: TrainedSeed, kind: Kind, forget: tuple[int, ...], first: int, count: int) -> Spec:
    """What names a batch, and what it was made from."""
    recipe, seed, features = trained.recipe, trained.seed, trained.features
    if kind in ("values", "values-keys"):
        without = forget if kind == "values-keys" else ()
        like = dkvb_spec(recipe, seed, quantize_spec(recipe, seed, features, without).fingerprint)
    else:
        until = "converged" if kind == "converged" else "epochs"
        like = linear_spec(recipe.with_(linear={"until": until}), seed, features)
    settings = {**like.settings, "kind": f"audit {kind}", "forget": list(forget), "first": first, "models": count}
    if kind == "ridge":
        settings = {**settings, "linear": {"width": WIDTH, "penalty": PENALTY}}
    name = f"{recipe.data_name}-{kind}-"
    name += f"without-{'-'.join(map(str, forget))}" if forget else "originals"
    if trained.left_out is not None:
        settings["left_out"] = canonical_hash(trained.left_out.tolist())
    # the rows that models are asked about are rows of the features, which codes are made from
    inputs = {**like.inputs, "embed": features.fingerprint}
    return Spec("oracles", f"{name}-seed{seed}-{first}", settings, inputs)
