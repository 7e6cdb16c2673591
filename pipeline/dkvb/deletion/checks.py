"""The checks of a verdict: what was measured against the limits of the recipe's `[verify]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dkvb.deletion.recovery import erased_share
from dkvb.evaluation.seed import TrainedSeed
from dkvb.records.proportions import Accuracy, SplitAccuracy
from dkvb.records.verdict import Check, RelearnRow
from dkvb.workspace.requests import PURGED, Request


def forgotten_classes(
    trained: TrainedSeed, test: SplitAccuracy, forget: Sequence[int], requests: Sequence[Request]
) -> Iterator[Check]:
    """A check of every forgotten class: its test accuracy or, where a purge left no samples, that its values are gone.

    Args:
        test: accuracies under the mask.
        requests: those that forget the classes.
    """
    limit = trained.recipe.verify.max_forget
    most = 1 / len(trained.splits.classes) if limit == "chance" else float(limit)
    for c in forget:
        one = test.per_class[c]
        name = f"forget accuracy: {one.name}"
        purged = [request for request in requests if c in request.classes and request.state == PURGED]
        if known := Accuracy.of(one.correct or 0, one.samples):
            passed = known.accuracy <= most
            yield Check(name=name, passed=passed, value=known.accuracy, threshold=most, detail=str(known))
        elif purged:
            yield _values_erased(trained, one.name, purged)
        else:
            detail = "no held-out samples of this class are left on which to measure"
            yield Check(name=name, passed=False, value=None, threshold=most, detail=detail)


def _values_erased(trained: TrainedSeed, class_name: str, purged: Sequence[Request]) -> Check:
    """What is left to check of a class whose samples were purged from the held-out data as well."""
    name = f"values erased: {class_name}"
    if any(request.exact for request in purged):
        detail = "its samples were purged with it; values that were trained without it took the place of all"
        return Check(name=name, passed=True, value=0.0, threshold=0.0, detail=detail)
    if any(request.record.purge and request.record.purge.keys == "reinit" for request in purged):
        detail = "its samples were purged with it; keys and values were made again without it"
        return Check(name=name, passed=True, value=0.0, threshold=0.0, detail=detail)
    left = 1 - (erased_share(trained, np.logical_or.reduce([request.mask() for request in purged])) or 0.0)
    detail = f"its samples were purged with it: no accuracy can be measured; {left:.1%} of its pairs still hold values"
    return Check(name=name, passed=left == 0, value=left, threshold=0.0, detail=detail)


def retained_classes(trained: TrainedSeed, retain: Accuracy | None, before: Accuracy | None) -> Iterator[Check]:
    """Whether the classes that stay are still known: against what training measured `before`, and by itself."""
    limits = trained.recipe.verify
    if retain and before:
        lost = before.accuracy - retain.accuracy
        yield Check(
            name="retain accuracy lost",
            passed=lost <= limits.max_retain_drop,
            value=lost,
            threshold=limits.max_retain_drop,
            detail=f"{before.accuracy:.1%} before, {retain} now",
        )
    if retain and limits.min_retain is not None:
        yield Check(
            name="retain accuracy",
            passed=retain.accuracy >= limits.min_retain,
            value=retain.accuracy,
            threshold=limits.min_retain,
            detail=str(retain),
        )


def relearned_classes(trained: TrainedSeed, rows: Sequence[RelearnRow]) -> Iterator[Check]:
    """Whether no class is learned again faster than the oracle learns it; no check where the recipe sets no limit."""
    most = trained.recipe.verify.max_relearn
    if most is None:
        return
    for row in rows:
        if row.samples and row.difference is not None and row.unlearned and row.oracle:
            yield Check(
                name=f"relearning from {row.samples}: {row.name}",
                passed=row.difference <= most,
                value=row.difference,
                threshold=most,
                detail=(f"{row.unlearned.accuracy:.1%} after {row.used} samples, the oracle {row.oracle.accuracy:.1%}"),
            )
