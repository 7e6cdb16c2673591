"""The verdict on one trained bottleneck in which classes are forgotten.

Measured on held-out data and on the forgotten classes' training rows, against a model retrained on the retain set (the
oracle: same keys and codes): accuracies with 95 % intervals, where samples of the forgotten classes go, whether outputs
are closer to the oracle's than to those before, what lifting the mask brings back, and how fast a class is learned
again. Nothing is read from earlier verdicts but what was measured before a purge; the oracles alone are kept, as
artifacts, the first shared with the method `retrain`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dkvb.deletion import checks, comparison
from dkvb.deletion.before_purge import before_purge
from dkvb.deletion.outputs import Models, Outputs, RowsLookedAt
from dkvb.deletion.recovery import erased_share, recovery
from dkvb.deletion.relearning import Masked, relearning
from dkvb.deletion.sample_checks import forgotten_samples
from dkvb.errors import DamagedArtifact
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.metrics.proportions import retain_classes
from dkvb.records.proportions import Accuracy
from dkvb.records.train import RetrainedResult, TrainResult
from dkvb.records.verdict import (
    BeforePurge,
    Check,
    OracleRecord,
    RelearnRow,
    RequestState,
    RetainBefore,
    Verdict,
    VerdictAccuracy,
    together,
)
from dkvb.runtime import progress
from dkvb.training.on_retain_set import load_bottleneck, retrained
from dkvb.workspace.requests import Request


def judge(
    trained: TrainedSeed,
    mask: np.ndarray | None,
    classes: Sequence[int],
    requests: Sequence[Request] = (),
    quick: bool = False,
    look: Callable[[Models], None] = lambda models: None,
) -> Verdict:
    """The verdict on one trained bottleneck.

    Args:
        mask: (C, M) bool, True where a pair is masked; None masks nothing.
        classes: ids of all forgotten classes.
        requests: those that made the mask, if any did.
        quick: whether to leave out the second oracle, which says how far two retrained models are apart.
        look: shown what the models answer.

    Raises:
        DamagedArtifact: a mask of another shape than the keys.
        DkvbError: no class is left to retrain on.
    """
    started = time.perf_counter()
    forget, mask = sorted(set(classes)), _checked(trained, mask)
    oracle = load_bottleneck(trained, forget, "retrain")
    second = None if quick else load_bottleneck(trained, forget, "retrain", again=True)
    models, again = measured(trained, mask, forget, oracle, second)
    look(models)
    artifact = retrained(trained, forget, "retrain")
    seconds = artifact.result_as(RetrainedResult).seconds
    known = Known(
        oracle=comparison.oracle_record(str(artifact.path), seconds, models),
        before=_before(trained, forget),
        samples=list(forgotten_samples(trained, mask, requests)),
        requests=requests,
        purged=before_purge(trained.workspace, requests),
    )
    return concluded(trained, mask, models, again, known, started)


@dataclass(frozen=True)
class Known:
    """What a verdict needs beside what the models answer."""

    oracle: OracleRecord
    before: Accuracy | None
    """Retain accuracy on test before anything was forgotten."""
    samples: list[Check]
    """Of single samples that are forgotten."""
    requests: Sequence[Request] = ()
    purged: Sequence[BeforePurge] = ()


def concluded(
    trained: TrainedSeed, mask: np.ndarray, models: Models, again: list[RelearnRow], known: Known, started: float
) -> Verdict:
    """All checks, and the verdict that follows from them. `started`: when the work began, by `time.perf_counter`."""
    splits, forget, before, requests = trained.splits, models.rows.forget, known.before, known.requests
    accuracy, going = comparison.split_accuracies(models.masked), comparison.destinations(models)
    made: list[Check] = [
        *checks.forgotten_classes(trained, accuracy, forget, requests, known.purged),
        *known.samples,
        *checks.retained_classes(trained, models, before),
        *checks.nearest_classes(trained, models),
        *checks.compared_outputs(trained, models),
        *checks.distances(trained, going),
        *checks.relearned_classes(trained, again),
    ]
    states = [check.state for check in made]
    distance, null = comparison.mean_distances(going)
    return Verdict(
        seed=trained.seed,
        classes=forget,
        names=[splits.classes[c] for c in forget],
        labels=splits.classes,
        verdict=together(states),
        passed="failed" not in states,
        checks_failed=states.count("failed"),
        checks_not_shown=states.count("not-shown"),
        masked=int(mask.sum()),
        pairs_total=int(mask.size),
        requests=[_state(trained, request) for request in requests],
        checks=made,
        accuracy=VerdictAccuracy(before=RetainBefore(retain=before), **accuracy),
        oracle=known.oracle,
        destinations=going,
        distance=distance,
        distance_null=null,
        before_purge=list(known.purged),
        relearning=again,
        recovery=recovery(trained, mask, forget, models.masked.predicted["test"], models.lifted.predicted["test"]),
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


UnderMask = tuple[StoredBottleneck, np.ndarray]
"""A bottleneck and its mask order (C, M)."""


def measured(
    trained: TrainedSeed, mask: np.ndarray, forget: list[int], oracle_model: UnderMask, second: UnderMask | None
) -> tuple[Models, list[RelearnRow]]:
    """What the models answer, and what relearning brings back. `second`: another oracle, from another seed."""
    model, rows = trained.bottleneck, RowsLookedAt(trained.splits, forget)
    order = trained.no_mask.copy()
    order[mask] = -1
    oracle, oracle_order = oracle_model
    steps = 3 + (second is not None) + len(forget) * (1 + len(trained.recipe.verify.samples))
    with progress.task(f"verify seed {trained.seed}", steps, "measurements") as task:

        def outputs(under: StoredBottleneck, masked: np.ndarray) -> Outputs:
            measured = Outputs.of(under, masked, rows)
            task.advance(1)
            return measured

        models = Models(
            masked=outputs(model, order),
            lifted=outputs(model, trained.no_mask),
            oracle=outputs(oracle, oracle_order),
            second=outputs(*second) if second else None,
            erased=bool(erased_share(trained, mask)),
        )
        learning = {"unlearned": Masked(model, order < 0), "oracle": Masked(oracle, oracle_order < 0)}
        again = relearning(trained.recipe, learning, forget, trained.seed, lambda: task.advance(1))
    return models, again


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
        level=request.record.reached,
        level_in_words=request.record.level_in_words,
    )
