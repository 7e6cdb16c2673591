"""U-LiRA on the methods of an audit: shadow models that each learned a random half of the training rows, unlearned, and
attacked (`dkvb.metrics.half_splits`).

Of each row of the forgotten classes about half of the models learned, and then forgot it, and the others never did. A
method that leaves no trace of rows makes both alike. Shadow models are trained once for each kind, and each method's
attack is an artifact of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dkvb.audit.entries import Stand, chosen_before, entry_spec
from dkvb.audit.halves import Everything, HalfBench
from dkvb.audit.judge import U_LIRA, half_splits
from dkvb.audit.model_store import ModelStore
from dkvb.audit.oracles import answers, batch_spec, tensors_of
from dkvb.audit.subjects import Subject
from dkvb.audit.trainers import Model, trainer
from dkvb.audit.unlearned import unlearn
from dkvb.errors import DkvbError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.metrics.half_splits import FEWEST
from dkvb.metrics.per_point import references
from dkvb.recipe import Recipe
from dkvb.records.audit import Attacked, AuditEntry, Kind, LeftOut, Measured, ModelBatch
from dkvb.runtime import progress
from dkvb.runtime.parallel import distributed_run, each_unit
from dkvb.runtime.seeding import generator
from dkvb.training.on_retain_set import damaged
from dkvb.workspace import arrays
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import LOGITS

LEAST = 4 * FEWEST
"""Shadow models below which hardly any row has enough of them on either side."""

APART = 2_000_000
"""What separates training seeds of shadow models from those of others, see `dkvb.audit.oracles.APART`."""

BY_CONSTRUCTION = "retrained models never saw a row of the class: by construction an attacker is right half of the time"


@dataclass
class Shadows:
    """Shadow models of one kind, for one set of forgotten classes."""

    trained: TrainedSeed
    kind: Kind
    forget: list[int]
    attacked: np.ndarray
    """(P,) places, among the training rows, of the rows of the forgotten classes that are attacked."""
    count: int

    @classmethod
    def of(cls, stand: Stand, kind: Kind, count: int) -> Shadows:
        """Those of an audit, attacked on the training rows that its models are asked about."""
        rows = stand.beside(kind).bench.rows
        return cls(stand.trained, kind, stand.forget, rows.places[rows.split == "train"], count)

    @cached_property
    def everything(self) -> Everything:
        return Everything(self.trained, self.kind, self.attacked)

    def learned(self, model: int) -> np.ndarray:
        """(N,) bool: the training rows that a model learned from, half of them."""
        rows = len(self.trained.splits.labels["train"])
        drawn = generator(self.trained.seed, "audit", "shadow", model).permutation(rows)[: rows // 2]
        learned = np.zeros(rows, bool)
        learned[drawn] = True
        return learned

    @cached_property
    def member(self) -> np.ndarray:
        """(T, P) bool: whether each model learned from each attacked row."""
        return np.stack([self.learned(model)[self.attacked] for model in range(self.count)])

    def _seed(self, model: int) -> int:
        return self.trained.seed + APART + model

    def train(self, model: int) -> Model:
        return self._trained(self.everything.half(self.learned(model)), model)

    def _trained(self, half: TrainedSeed, model: int) -> Model:
        return trainer(half, self.kind, (), self.everything.rows).train(self._seed(model))

    @cached_property
    def artifact(self) -> Artifact:
        """The models, trained now where no earlier run has done that."""
        spec = batch_spec(self.trained, self.kind, tuple(self.forget), 0, self.count)
        name, settings = f"{self.trained.recipe.data_name}-{self.kind}-shadows", {**spec.settings, "role": "shadow"}
        spec = replace(spec, readable=f"{name}-seed{self.trained.seed}", settings=settings)
        with self.trained.workspace.claim(spec, force=damaged(self.trained, spec)) as claim:
            if claim.artifact:
                return claim.artifact
            shape = (self.count, len(self.attacked), len(self.trained.splits.classes))
            store = ModelStore(claim.path, shape, keep=True)
            self._make(store)
            seconds, kept = store.done()
            return claim.finish(
                ModelBatch(
                    kind=self.kind,
                    role="shadow",
                    forget=self.forget,
                    seed=self.trained.seed,
                    first=0,
                    models=self.count,
                    seconds=seconds,
                    kept=kept,
                )
            )

    def _make(self, store: ModelStore) -> None:
        """Train the models that are not there yet."""
        left, recipe = store.begin(), self.trained.recipe
        if distributed_run(recipe.run):
            each_unit(_shadow, left, recipe, self, store)
            return
        with progress.task(f"audit: shadows, {self.kind}", self.count, "models") as task:
            task.skip(self.count - len(left))
            for model in left:
                _shadow(recipe, self, store, model)
                task.advance()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing that was read goes to other processes."""
        return {"trained": replace(self.trained)} | {
            name: getattr(self, name) for name in ("kind", "forget", "attacked", "count")
        }

    def bench(self, model: int) -> HalfBench:
        """A model, ready to be unlearned."""
        half = self.everything.half(self.learned(model))

        def made() -> dict[str, np.ndarray]:
            if self.artifact.result_as(ModelBatch).kept:
                return tensors_of(self.trained, self.artifact, model)
            return self._trained(half, model).tensors

        return HalfBench(half, self.kind, self.forget, [], made, self.everything.rows, self._seed(model))


def _shadow(recipe: Recipe, shadows: Shadows, store: ModelStore, model: int) -> None:
    with progress.silenced():
        store.put(model, shadows.train(model))


def attacked(recipe: Recipe, stand: Stand, count: int, entry: AuditEntry) -> AuditEntry:
    """An entry of an audit with U-LiRA in it, or with the reason why it is missing."""
    if entry.role == "retrained":
        return _with(entry, LeftOut(name=U_LIRA, reason=BY_CONSTRUCTION))
    if entry.error is not None or entry.model == "given":
        return entry
    if entry.model == "converged":
        return _with(entry, LeftOut(name=U_LIRA, reason="a head trained to convergence is attacked as kind linear"))
    kind, trained = entry.model, stand.trained
    beside, shadows = stand.beside(kind), Shadows.of(stand, kind, count)
    rows = beside.bench.rows
    mine = np.flatnonzero(rows.split == "train")
    taken = references(beside.retrained[:, mine], rows.labels[mine], stand.forget)
    subject = Subject(entry.method, kind, entry.label)
    spec = entry_spec(stand, subject)
    settings = {**spec.settings, "kind": "audit attack", "shadows": shadows.artifact.fingerprint}
    spec = replace(spec, readable=f"{spec.readable}-u-lira", settings=settings)
    with trained.workspace.claim(spec, stand.force) as claim:
        if claim.artifact:
            held = claim.artifact.result_as(Attacked)
            return _with(entry, held.measured or LeftOut(name=U_LIRA, reason=held.left_out or ""))
        before = answers([shadows.artifact])
        left = before if subject.line else _unlearned(stand, shadows, subject, claim.path)
        if isinstance(left, LeftOut):
            found: Measured | LeftOut = left
        else:
            found = half_splits(left, before, taken, stand.forget, shadows.member)
        measured = found if isinstance(found, Measured) else None
        claim.finish(Attacked(measured=measured, left_out=found.reason if isinstance(found, LeftOut) else None))
    return _with(entry, found)


def _unlearned(stand: Stand, shadows: Shadows, subject: Subject, folder: Path) -> np.ndarray | LeftOut:
    """(T, P, L) logits of the shadow models after a method, with the settings that the audit chose for its originals;
    where it masks, each chooses its own N."""
    chosen, marks = chosen_before(stand, subject), arrays.Marks(folder)
    shape = (shadows.count, len(shadows.attacked), len(shadows.trained.splits.classes))
    stored = arrays.create(folder, LOGITS, shape, np.float32, (1, *shape[1:]))
    with progress.task(f"audit: U-LiRA, {subject.key}", shadows.count, "models") as task:
        for model in range(shadows.count):
            if marks.get(str(model)) is None:
                try:
                    with progress.silenced():
                        stored[model] = unlearn(shadows.bench(model), subject, 0, chosen).logits
                except DkvbError as error:
                    return LeftOut(name=U_LIRA, reason=f"the method fails on a half of the data: {error}")
                marks.set(str(model), {})
            task.advance()
    return np.asarray(stored[:])


def _with(entry: AuditEntry, found: Measured | LeftOut) -> AuditEntry:
    if isinstance(found, Measured):
        left_out = {name: reason for name, reason in entry.left_out.items() if name != found.name}
        return entry.model_copy(update={"measures": {**entry.measures, found.name: found}, "left_out": left_out})
    return entry.model_copy(update={"left_out": {**entry.left_out, found.name: found.reason}})
