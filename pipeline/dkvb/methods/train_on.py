"""Retraining after unlearning: what more compute would bring (paper, section 5.4 and Appendix E.4; the data of Figures
4 and 6).

A masked bottleneck goes on training its values on the retain set, its masked pairs staying masked; SCRUB's student goes
on with min passes. Writes `curve.parquet`, correct predictions per epoch, split and class, the unlearned model being
epoch 0. The models are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars
import torch
from safetensors.numpy import load_file

from dkvb.bottleneck.decoder import Decoder
from dkvb.bottleneck.mask_order import unpack
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.selections import Rows, masked_ids
from dkvb.evaluation.splits import Splits
from dkvb.methods.base import Method, make
from dkvb.methods.pair_masking import Masking
from dkvb.methods.scrub import ScrubMethod
from dkvb.metrics.accuracy import per_class, retain_and_forget
from dkvb.runtime import progress
from dkvb.training.linear_head import predict
from dkvb.training.loop import fit
from dkvb.workspace.artifacts import Artifact, Claim
from dkvb.workspace.files import atomic
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import CHECKPOINT, CURVE, MASK, MEASURED_SPLITS, METRICS

BATCH_SIZE, CLIP = 256, 0.1
"""Appendix E.4, Table 7."""


Counted = dict[str, np.ndarray]
"""Split -> (L,) correct predictions."""


def retrain(
    trained: TrainedSeed, method: Method, n: int, unlearned: Artifact, readable: str, force: bool = False
) -> list[dict[str, Any]] | None:
    """Go on training what a method left, for the recipe's number of epochs.

    Args:
        unlearned: what the method left at n.
        readable: the beginning of the new artifact's name.

    Returns:
        `points`, one an epoch from 0 on: `retain_test`, `forget_test`, `retain_train` and `forget_train` in [0, 1];
        None for a method that leaves nothing to train (a control, say).

    Raises:
        DkvbError: a loss that is not finite.
    """
    settings = _settings(trained, method)
    if settings is None:
        return None
    forget, splits = unlearned.result["forget"], trained.splits
    what = {
        "kind": "retraining",
        "method": method.name,
        "forget": forget,
        "seed": trained.seed,
        **method.settings,
        "n": n,
        **settings,
    }
    inputs = {"train": unlearned.manifest["inputs"]["train"], "unlearn": unlearned.fingerprint}
    with trained.workspace.claim(Spec("unlearn", f"{readable}-retrained", what, inputs), force) as claim:
        label = f"retrain {readable}"
        if claim.artifact:
            claim.artifact.check()
            progress.note(f"{label}: already done ({claim.artifact.path.name})")
            return list(claim.artifact.result["points"])
        more: dict[str, Any] = {}
        if isinstance(method, Masking):
            course = [_known(unlearned, "after"), *_values(trained, method, unlearned, settings, claim)]
        else:
            whole = [_known(unlearned, "before"), *_student(trained, method, n, unlearned, settings)]
            course = [_known(unlearned, "after"), *whole[n + 1 :]]
            more = {"from_original": _points(whole, splits, forget)}  # where the paper's curve of the baseline starts
        points = _points(course, splits, forget)
        with atomic(claim.path / CURVE) as temporary:
            _frame(course, splits).write_parquet(temporary)
        result = {
            "method": method.name,
            "model": method.model,
            "forget": forget,
            "forget_names": [splits.classes[c] for c in forget],
        }
        claim.finish(
            result
            | {"seed": trained.seed, "n": n, "n_name": method.dial, "epochs": settings["epochs"], "points": points}
            | more
        )
        (claim.path / CHECKPOINT).unlink(missing_ok=True)
    first, last = points[0], points[-1]
    changes = (f"{name} {first[f'{name}_test']:.1%} -> {last[f'{name}_test']:.1%}" for name in ("retain", "forget"))
    progress.note(f"{label}: {settings['epochs']} epochs: {', '.join(changes)}")
    return points


def _settings(trained: TrainedSeed, method: Method) -> dict[str, Any] | None:
    """What retraining after this method depends on; None where there is none."""
    epochs = trained.recipe.unlearn.retrain
    if isinstance(method, Masking):
        return {
            "epochs": epochs,
            "retrain_lr": method.retrain_lr,
            "retrain_batch_size": BATCH_SIZE,
            "clip": CLIP,
        }
    return {"epochs": epochs} if isinstance(method, ScrubMethod) and method.trains_on else None


def _values(
    trained: TrainedSeed, method: Method, unlearned: Artifact, settings: dict[str, Any], claim: Claim
) -> list[Counted]:
    """Values under the mask, on the retain set, from a checkpoint where there is one."""
    bottleneck, splits = trained.bottleneck, trained.splits
    masked = unpack(load_file(unlearned.path / MASK)["mask"], bottleneck.pairs)
    ids = {split: masked_ids(bottleneck, split, masked) for split in MEASURED_SPLITS}
    values = torch.from_numpy(
        bottleneck.values.reshape(masked.size, -1)
    ).clone()  # other methods start from the same values
    available = (~masked).sum(1)
    decoder = Decoder(values, bottleneck.codes("train").shape[2], bottleneck.pool, available)
    retain = np.flatnonzero(~np.isin(splits.labels["train"], unlearned.result["forget"]))

    def measure() -> dict[str, float]:
        counted = _counted({split: predict(decoder, ids[split]) for split in MEASURED_SPLITS}, splits)
        return {f"{split} {c}": float(count) for split, counts in counted.items() for c, count in enumerate(counts)}

    history = fit(
        Rows(decoder, ids["train"]),
        torch.from_numpy(retain),
        torch.from_numpy(splits.labels["train"][retain]),
        epochs=settings["epochs"],
        lr=settings["retrain_lr"],
        batch_size=settings["retrain_batch_size"],
        seed=trained.seed,
        unit=f"retrain {method.name}",
        folder=claim.path,
        on_epoch=measure,
        clip=settings["clip"],
    )
    classes = range(len(splits.classes))
    return [
        {split: np.array([row[f"{split} {c}"] for c in classes], np.int64) for split in MEASURED_SPLITS}
        for row in history.rows
    ]


def _student(
    trained: TrainedSeed, method: Method, n: int, unlearned: Artifact, settings: dict[str, Any]
) -> Iterator[Counted]:
    """SCRUB's n epochs over again, to the same bits, and then min passes alone, with the optimiser as it is by then;
    every epoch."""
    again = make(method.name, trained, unlearned.result["forget"])
    assert isinstance(again, ScrubMethod)
    again.recipe = again.recipe.model_copy(update={"max_steps": min(n, again.recipe.max_steps)})
    student, inputs = again.student(), {split: again.inputs(split) for split in MEASURED_SPLITS}
    epochs = n + settings["epochs"]
    with progress.task(f"retrain {method.name} seed {trained.seed}", epochs, "epochs") as task:
        for _ in again.train(student, inputs["train"], epochs):
            task.advance(1)
            yield _counted({split: predict(student, inputs[split]) for split in MEASURED_SPLITS}, trained.splits)


def _counted(predicted: dict[str, np.ndarray], splits: Splits) -> Counted:
    return {
        split: per_class(predicted[split], splits.labels[split], len(splits.classes))[0] for split in MEASURED_SPLITS
    }


def _known(unlearned: Artifact, when: str) -> Counted:
    """What was measured "before" or "after" unlearning."""
    found = polars.read_parquet(unlearned.path / METRICS).filter(polars.col("when") == when).sort("class")
    return {split: found.filter(polars.col("split") == split)["correct"].to_numpy() for split in MEASURED_SPLITS}


def _points(course: list[Counted], splits: Splits, forget: list[int]) -> list[dict[str, Any]]:
    return [{"epoch": epoch} | _accuracies(correct, splits, forget) for epoch, correct in enumerate(course)]


def _accuracies(correct: Counted, splits: Splits, forget: list[int]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for split in MEASURED_SPLITS:
        total = np.bincount(splits.labels[split], minlength=len(splits.classes))
        retain, forgotten = retain_and_forget(correct[split], total, forget)
        found |= {f"retain_{split}": retain, f"forget_{split}": forgotten}
    return found


def _frame(course: list[Counted], splits: Splits) -> polars.DataFrame:
    totals = {split: np.bincount(splits.labels[split], minlength=len(splits.classes)) for split in MEASURED_SPLITS}
    return polars.DataFrame(
        [
            {
                "epoch": epoch,
                "split": split,
                "class": c,
                "correct": int(correct[split][c]),
                "total": int(totals[split][c]),
            }
            for epoch, correct in enumerate(course)
            for split in MEASURED_SPLITS
            for c in range(len(splits.classes))
        ]
    )
