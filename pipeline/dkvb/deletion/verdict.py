"""The verdict on one trained bottleneck in which classes are forgotten.

Measured on held-out data: accuracies with 95 % intervals, the same from a model retrained on the retain set (the
oracle: same keys and codes), where samples of the forgotten classes go, what lifting the mask brings back, and how fast
a class is learned again. Nothing is read from earlier verdicts; the oracle alone is kept, as an artifact, and shared
with the method `retrain`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dkvb.deletion import checks
from dkvb.deletion.comparison import destinations, oracle_record, split_accuracies
from dkvb.deletion.recovery import erased_share, recovery
from dkvb.deletion.relearning import Masked, relearning
from dkvb.deletion.sample_checks import forgotten_samples
from dkvb.errors import DamagedArtifact
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.metrics.proportions import retain_classes
from dkvb.records.proportions import Accuracy
from dkvb.records.train import TrainResult
from dkvb.records.verdict import Check, RelearnRow, RequestState, RetainBefore, Verdict, VerdictAccuracy
from dkvb.runtime import progress
from dkvb.training.on_retain_set import load_bottleneck, retrained
from dkvb.workspace.requests import Request


@dataclass
class _Predicted:
    """Predicted classes (N,) by split: under the mask, with the mask lifted, and by the oracle."""

    masked: dict[str, np.ndarray] = field(default_factory=dict)
    lifted: dict[str, np.ndarray] = field(default_factory=dict)
    oracle: dict[str, np.ndarray] = field(default_factory=dict)


def judge(
    trained: TrainedSeed, mask: np.ndarray | None, classes: Sequence[int], requests: Sequence[Request] = ()
) -> Verdict:
    """The verdict on one trained bottleneck.

    Args:
        mask: (C, M) bool, True where a pair is masked; None masks nothing.
        classes: ids of all forgotten classes.
        requests: those that made the mask, if any did.

    Raises:
        DamagedArtifact: a mask of another shape than the keys.
        DkvbError: no class is left to retrain on.
    """
    started = time.perf_counter()
    splits, forget = trained.splits, sorted(set(classes))
    mask = _checked(trained, mask)
    predicted, again = _measured(trained, mask, forget)
    accuracy = split_accuracies(splits, predicted.masked, forget)
    before = _before(trained, forget)
    made: list[Check] = [
        *checks.forgotten_classes(trained, accuracy["test"], forget, requests),
        *forgotten_samples(trained, mask, requests),
        *checks.retained_classes(trained, accuracy["test"].retain, before),
        *checks.relearned_classes(trained, again),
    ]
    masked, oracle, labels = predicted.masked["test"], predicted.oracle["test"], splits.labels["test"]
    return Verdict(
        seed=trained.seed,
        classes=forget,
        names=[splits.classes[c] for c in forget],
        labels=splits.classes,
        passed=all(check.passed for check in made),
        masked=int(mask.sum()),
        pairs_total=int(mask.size),
        requests=[_state(trained, request) for request in requests],
        checks=made,
        accuracy=VerdictAccuracy(before=RetainBefore(retain=before), **accuracy),
        oracle=oracle_record(retrained(trained, forget, "retrain"), splits, forget, predicted.masked, predicted.oracle),
        destinations=destinations(masked, oracle, labels, splits.classes, forget),
        relearning=again,
        recovery=recovery(trained, mask, forget, masked, predicted.lifted["test"]),
        seconds=round(time.perf_counter() - started, 3),
    )


def _checked(trained: TrainedSeed, mask: np.ndarray | None) -> np.ndarray:
    shape = (trained.bottleneck.codebooks, trained.bottleneck.pairs)
    mask = np.zeros(shape, bool) if mask is None else np.asarray(mask, bool)
    if mask.shape != shape:
        raise DamagedArtifact(
            f"The mask of the requests has shape {mask.shape} and the keys {shape}: `dkvb forget` opens them again."
        )
    return mask


def _measured(trained: TrainedSeed, mask: np.ndarray, forget: Sequence[int]) -> tuple[_Predicted, list[RelearnRow]]:
    """Predictions on all held-out data, and what relearning brings back."""
    model, predicted = trained.bottleneck, _Predicted()
    order = trained.no_mask.copy()
    order[mask] = -1
    oracle, oracle_order = load_bottleneck(trained, forget, "retrain")
    steps = 2 + len(forget) * (1 + len(trained.recipe.verify.samples))
    with progress.task(f"verify seed {trained.seed}", steps, "measurements") as task:
        for split in trained.splits.evaluation:
            predicted.masked[split] = masked_predictions(model, order, [0], split)[0]
            predicted.lifted[split] = masked_predictions(model, trained.no_mask, [0], split)[0]
        task.advance(1)
        for split in trained.splits.evaluation:
            predicted.oracle[split] = masked_predictions(oracle, oracle_order, [0], split)[0]
        task.advance(1)
        models = {"unlearned": Masked(model, order < 0), "oracle": Masked(oracle, oracle_order < 0)}
        again = relearning(trained.recipe, models, forget, trained.seed, lambda: task.advance(1))
    return predicted, again


def _before(trained: TrainedSeed, forget: Sequence[int]) -> Accuracy | None:
    """Retain accuracy on test as training measured it: after a purge the model can no longer say."""
    result = trained.dkvb_artifact.result_as(TrainResult)
    retain = retain_classes(len(trained.splits.classes), forget)
    samples = sum(result.tested[c] for c in retain)
    return Accuracy.of(samples - sum(result.misclassified_test[c] for c in retain), samples)


def _state(trained: TrainedSeed, request: Request) -> RequestState:
    mask = request.mask()
    return RequestState(
        id=request.id,
        classes=request.classes,
        state=request.state,
        masked=int(mask.sum()),
        erased=erased_share(trained, mask),
    )
