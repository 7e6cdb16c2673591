"""Training on after unlearning: what more compute would bring (paper, section 5.4 and Appendix E.4; the data of Figures
4 and 6).

A masked bottleneck goes on training its values on the retain set, its masked pairs staying masked; SCRUB's student goes
on with min passes. Writes `curve.parquet`, correct predictions per epoch, split and class, the unlearned model being
epoch 0. The models are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars
import torch

from dkvb.bottleneck.decoder import Decoder
from dkvb.bottleneck.mask_order import unpack
from dkvb.evaluation.accuracies import Counted, count, measure
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.selections import Rows, masked_ids
from dkvb.evaluation.splits import Splits
from dkvb.methods.base import Method, make
from dkvb.methods.pair_masking import Masking
from dkvb.methods.scrub import ScrubMethod
from dkvb.metrics.accuracy import percent
from dkvb.records.unlearn import TrainOn, TrainOnPoint, UnlearnResult
from dkvb.runtime import progress
from dkvb.training.linear_head import predict
from dkvb.training.loop import Schedule, Unit, fit
from dkvb.workspace.artifacts import Claim
from dkvb.workspace.files import atomic
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import CHECKPOINT, CURVE, MASK, MEASURED_SPLITS, METRICS

BATCH_SIZE, CLIP = 256, 0.1
"""Appendix E.4, Table 7."""


@dataclass(frozen=True)
class Plan:
    """What training on after a method depends on, beside the unlearned model: the artifact's settings."""

    epochs: int
    retrain_lr: float | None = None
    """Learning rate of the values; None for a student, which goes on with its own optimiser; so are the next two."""
    retrain_batch_size: int | None = None
    clip: float | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


Correct = dict[str, np.ndarray]
"""Split -> (L,) correct predictions."""


def train_on(
    trained: TrainedSeed, method: Method, n: int, unlearned: Artifact, readable: str, force: bool = False
) -> list[TrainOnPoint] | None:
    """Go on training what a method left, for the recipe's number of epochs.

    Args:
        unlearned: what the method left at n.
        readable: the beginning of the new artifact's name.

    Returns:
        A point per epoch from 0 on; None for a method that leaves nothing to train (a control, say).

    Raises:
        DkvbError: a loss that is not finite.
    """
    plan = plan_for(trained, method)
    if plan is None:
        return None
    forget = unlearned.result_as(UnlearnResult).forget
    settings = {"kind": "retraining", "method": method.name, "forget": forget, "seed": trained.seed}
    settings |= {**method.settings, "n": n, **plan.settings}
    inputs = {"train": unlearned.inputs["train"], "unlearn": unlearned.fingerprint}
    label = f"retrain {readable}"
    with trained.workspace.claim(Spec("unlearn", f"{readable}-retrained", settings, inputs), force) as claim:
        if done := claim.reuse(label):
            return done.result_as(TrainOn).points
        if isinstance(method, Masking):
            whole, course = None, [_known(unlearned, "after"), *_values(trained, method, unlearned, plan, claim)]
        else:
            whole = [_known(unlearned, "before"), *_student(trained, method, n, forget, plan)]
            course = [_known(unlearned, "after"), *whole[n + 1 :]]
        with atomic(claim.path / CURVE) as temporary:
            _frame(course, trained.splits).write_parquet(temporary)
        result = TrainOn(
            method=method.name,
            model=method.model,
            forget=forget,
            forget_names=[trained.splits.classes[c] for c in forget],
            seed=trained.seed,
            n=n,
            n_name=method.dial,
            epochs=plan.epochs,
            points=_points(course, trained.splits, forget),
            from_original=_points(whole, trained.splits, forget) if whole else None,
        )
        (claim.path / CHECKPOINT).unlink(missing_ok=True)
        claim.finish(result)
    first, last = result.points[0], result.points[-1]
    progress.note(
        f"{label}: {plan.epochs} epochs: retain {percent(first.retain_test)} -> {percent(last.retain_test)},"
        f" forget {percent(first.forget_test)} -> {percent(last.forget_test)}"
    )
    return result.points


def plan_for(trained: TrainedSeed, method: Method) -> Plan | None:
    """How to train on after this method; None where it leaves nothing to train."""
    epochs = trained.recipe.unlearn.retrain
    if isinstance(method, Masking):
        return Plan(epochs, method.retrain_lr, BATCH_SIZE, CLIP)
    return Plan(epochs) if isinstance(method, ScrubMethod) and method.trains_on else None


def _values(trained: TrainedSeed, method: Method, unlearned: Artifact, plan: Plan, claim: Claim) -> list[Correct]:
    """Values under the mask, on the retain set, from a checkpoint where there is one."""
    bottleneck, splits = trained.bottleneck, trained.splits
    masked = unpack(unlearned.tensors(MASK)["mask"], bottleneck.pairs)
    ids = {split: masked_ids(bottleneck, split, masked) for split in MEASURED_SPLITS}
    # a copy: other methods start from the same values
    values = torch.from_numpy(bottleneck.values.reshape(masked.size, -1)).clone()
    decoder = Decoder(values, bottleneck.codes("train").shape[2], bottleneck.pool, available=(~masked).sum(1))
    retain = np.flatnonzero(~np.isin(splits.labels["train"], unlearned.result_as(UnlearnResult).forget))

    def measure_epoch() -> dict[str, float]:
        correct = _correct({split: predict(decoder, ids[split]) for split in MEASURED_SPLITS}, splits)
        return {f"{split} {c}": float(number) for split, of in correct.items() for c, number in enumerate(of)}

    assert plan.retrain_lr is not None
    assert plan.retrain_batch_size is not None
    history = fit(
        Rows(decoder, ids["train"]),
        torch.from_numpy(retain),
        torch.from_numpy(splits.labels["train"][retain]),
        Schedule(plan.epochs, plan.retrain_lr, plan.retrain_batch_size, plan.clip),
        Unit(f"retrain {method.name}", trained.seed, claim.path),
        measure_epoch,
    )
    classes = range(len(splits.classes))
    return [
        {split: np.array([row[f"{split} {c}"] for c in classes], np.int64) for split in MEASURED_SPLITS}
        for row in history.rows
    ]


def _student(trained: TrainedSeed, method: Method, n: int, forget: list[int], plan: Plan) -> Iterator[Correct]:
    """SCRUB's n epochs over again, to the same bits, and then min passes alone, with the optimiser as it is by then;
    every epoch."""
    again = make(method.name, trained, forget)
    assert isinstance(again, ScrubMethod)
    again.recipe = again.recipe.model_copy(update={"max_steps": min(n, again.recipe.max_steps)})
    student, inputs = again.student(), {split: again.inputs(split) for split in MEASURED_SPLITS}
    epochs = n + plan.epochs
    with progress.task(f"retrain {method.name} seed {trained.seed}", epochs, "epochs") as task:
        for _ in again.train(student, inputs["train"], epochs):
            task.advance(1)
            yield _correct({split: predict(student, inputs[split]) for split in MEASURED_SPLITS}, trained.splits)


def _correct(predicted: dict[str, np.ndarray], splits: Splits) -> Correct:
    return {split: counted.correct for split, counted in count(splits, predicted).items()}


def _known(unlearned: Artifact, when: str) -> Correct:
    """What was measured "before" or "after" unlearning."""
    rows = polars.read_parquet(unlearned.file(METRICS)).filter(polars.col("when") == when).sort("class")
    return {split: rows.filter(polars.col("split") == split)["correct"].to_numpy() for split in MEASURED_SPLITS}


def _totals(splits: Splits) -> dict[str, np.ndarray]:
    """Split -> (L,) samples."""
    return {split: np.bincount(splits.labels[split], minlength=len(splits.classes)) for split in MEASURED_SPLITS}


def _points(course: list[Correct], splits: Splits, forget: list[int]) -> list[TrainOnPoint]:
    totals = _totals(splits)
    points = []
    for epoch, correct in enumerate(course):
        measured = measure({split: Counted(correct[split], totals[split]) for split in MEASURED_SPLITS}, forget)
        points.append(TrainOnPoint(epoch=epoch, **measured.model_dump()))
    return points


def _frame(course: list[Correct], splits: Splits) -> polars.DataFrame:
    """A row per epoch, split and class."""
    totals = _totals(splits)
    return polars.DataFrame(
        {"epoch": epoch, "split": split, "class": c, "correct": int(correct[split][c]), "total": int(totals[split][c])}
        for epoch, correct in enumerate(course)
        for split in MEASURED_SPLITS
        for c in range(len(splits.classes))
    )
