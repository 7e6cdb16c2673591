"""`forget`: open a request that masks some classes on top of all that is forgotten already."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dkvb.bottleneck.mask_order import model_hash
from dkvb.deletion import ledger
from dkvb.errors import UsageError
from dkvb.evaluation.accuracies import Counted, count, measure
from dkvb.evaluation.forget_sets import class_id
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.methods.activations import Activations
from dkvb.methods.base import CurvePoint, make
from dkvb.methods.examples import Examples
from dkvb.metrics.accuracy import per_class, percent, retain_and_forget
from dkvb.recipe import Recipe
from dkvb.records.deletion import CorrectCounts, Harmed, Masking, MaskSettings, Plan, RequestEntry, Shares
from dkvb.runtime import progress
from dkvb.workspace import requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.names import MEASURED_SPLITS
from dkvb.workspace.requests import MASKED, Union, need_features

HARMED = 5
"""How many of the classes that lose most a plan lists."""


def run(recipe: Recipe, workspace: Workspace, names: Sequence[str | int]) -> list[RequestEntry]:
    """Forget some classes in the trained bottleneck of the recipe's first seed, on top of what is forgotten already.

    Args:
        names: class names, or ids as ints; those already forgotten are passed over.

    Returns:
        The request that was opened; where all classes are forgotten already, the requests that forgot them, with
        `skipped` True.

    Raises:
        UsageError: an unknown class, a method that masks nothing, or no class would be left.
        MissingStage: nothing trained yet.
        DamagedArtifact: a request, the model or the codes have been altered.
    """
    trained, wanted = _wanted(recipe, workspace, names)
    with requests.held(workspace):
        ledger.catch_up(workspace)
        earlier, new = _earlier(trained, wanted)
        return [_open(trained, new, earlier)] if new else _already(trained, wanted, earlier)


def plan(recipe: Recipe, workspace: Workspace, names: Sequence[str | int]) -> list[Plan] | list[RequestEntry]:
    """Like `run`, but only measure what it would do, and write nothing."""
    trained, wanted = _wanted(recipe, workspace, names)
    earlier, new = _earlier(trained, wanted)
    if not new:
        return _already(trained, wanted, earlier)
    masking, _ = _masking(trained, new, earlier)
    return [Plan(harmed=_harmed(trained, masking), **dict(masking))]


def _wanted(recipe: Recipe, workspace: Workspace, names: Sequence[str | int]) -> tuple[TrainedSeed, list[int]]:
    """The trained models of the recipe's first seed, and the ids of the named classes."""
    trained = TrainedSeed(recipe, workspace, need_features(recipe, workspace), recipe.run.seeds[0])
    _ = trained.dkvb_artifact  # without one there is nothing to forget in
    wanted = sorted({class_id(name, trained.splits.classes) for name in names})
    if not wanted:
        raise UsageError("Name at least one class to forget, such as `dkvb forget truck`.")
    return trained, wanted


def _earlier(trained: TrainedSeed, wanted: Sequence[int]) -> tuple[Union, list[int]]:
    """What is forgotten already, and those of the wanted classes that are not."""
    earlier = requests.forgotten(trained.workspace, trained.dkvb_artifact)
    return earlier, [c for c in wanted if c not in earlier.classes]


def _already(trained: TrainedSeed, wanted: Sequence[int], earlier: Union) -> list[RequestEntry]:
    entries = []
    for request in earlier.requests:
        if same := [trained.splits.classes[c] for c in wanted if c in request.classes]:
            progress.note(f"forget: {', '.join(same)} already forgotten by request {request.id}")
            entries.append(request.record.entry(skipped=True))
    return entries


def _open(trained: TrainedSeed, forget: list[int], earlier: Union) -> RequestEntry:
    masking, mask = _masking(trained, forget, earlier)
    request = requests.open_request(trained.workspace, trained.dkvb_artifact, masking, mask)
    request = ledger.record(trained.workspace, MASKED, request, mask=request.record.mask_sha256)
    before, after = masking.before, masking.after
    progress.note(
        f"forget {', '.join(masking.names)}: request {request.id}, {masking.masked:,} pairs masked; forget"
        f" {percent(before.forget_test)} -> {percent(after.forget_test)}, retain {percent(before.retain_test)} ->"
        f" {percent(after.retain_test)}"
    )
    return request.record.entry(skipped=False)


def _masking(trained: TrainedSeed, forget: list[int], earlier: Union) -> tuple[Masking, np.ndarray]:
    """Choose the pairs of the classes and measure what masking them does: the record, and the mask (C, M) bool."""
    started = time.perf_counter()
    classes = trained.splits.classes
    if len(forget) + len(earlier.classes) >= len(classes):
        raise UsageError(
            f"Forgetting {', '.join(classes[c] for c in forget)} as well would leave no class: {len(earlier.classes)}"
            f" of {len(classes)} are forgotten already. Leave one out."
        )
    method = _method(trained, forget)
    masked_before = trained.no_mask < 0
    if earlier.mask is not None:
        masked_before = masked_before | earlier.mask
    chosen = _choose(trained, method, earlier)
    masked_after = masked_before | chosen.mask
    values = trained.bottleneck.values
    masking = Masking(
        names=[classes[c] for c in forget],
        classes=forget,
        seed=trained.seed,
        method=method.name,
        settings=MaskSettings(n=chosen.n, n_name=method.dial, given=method.given, **method.settings),
        masked=int(chosen.mask.sum()),
        newly_masked=int(masked_after.sum() - masked_before.sum()),
        masked_together=int(masked_after.sum() - (trained.no_mask < 0).sum()),
        allowed=int((~masked_after).sum()),
        pairs_total=masked_after.size,
        earlier=earlier.classes,
        model_before_sha256=model_hash(values, masked_before),
        model_after_sha256=model_hash(values, masked_after),
        **_measured(trained, masked_before, chosen.mask, forget, earlier.classes),
        note=chosen.note,
        seconds=round(chosen.seconds, 4),
        seconds_total=round(time.perf_counter() - started, 4),
    )
    return masking, chosen.mask


def _method(trained: TrainedSeed, forget: list[int]) -> Activations | Examples:
    """The recipe's first method that masks pairs."""
    for name in trained.recipe.unlearn.methods:
        method = make(name, trained, forget)
        if isinstance(method, Activations | Examples):
            return method
    raise UsageError(
        f"`dkvb forget` masks pairs, and {', '.join(trained.recipe.unlearn.methods)} does not: give --method"
        " activations or examples."
    )


@dataclass(frozen=True)
class _Chosen:
    """The pairs to mask, (C, M) bool, and the N that they come of."""

    mask: np.ndarray
    n: int
    note: str | None
    seconds: float
    """Ranking the pairs, choosing N and masking."""


def _choose(trained: TrainedSeed, method: Activations | Examples, earlier: Union) -> _Chosen:
    started = time.perf_counter()
    order = method.order()
    order[trained.no_mask < 0] = -1
    n, note = _n(trained, method, order, earlier)
    method.check(n)
    mask = (order >= 0) & (order < n)
    return _Chosen(mask, n, note, time.perf_counter() - started)


def _n(
    trained: TrainedSeed, method: Activations | Examples, order: np.ndarray, earlier: Union
) -> tuple[int, str | None]:
    """N as given, or chosen under what is masked already; and what a user should know about it."""
    if method.given != "auto":
        return int(method.given), None
    settings = trained.recipe.unlearn
    if settings.choose == "validation" and "validation" not in trained.splits.evaluation:
        raise UsageError(
            f"'auto' chooses {method.dial} on validation data, and this recipe keeps none: give a number (--na, --ne),"
            " set data.validation (0.1, say), or --choose test."
        )
    whole, grid = order.copy(), method.grid()
    if earlier.mask is not None:
        whole[earlier.mask] = -1
    labels, classes = trained.splits.labels[settings.choose], len(trained.splits.classes)
    curve = []
    for n, predicted in zip(grid, masked_predictions(trained.bottleneck, whole, grid, settings.choose), strict=True):
        correct, total = per_class(predicted, labels, classes)
        correct[list(earlier.classes)] = total[list(earlier.classes)] = 0
        retain, forgot = retain_and_forget(correct, total, method.forgotten)
        curve.append(CurvePoint(n, retain or 0.0, forgot or 0.0))
    return method.choose(curve, 0.0 if settings.target == "zero" else 1 / classes)


def _measured(
    trained: TrainedSeed,
    masked_before: np.ndarray,
    mask: np.ndarray,
    forget: Sequence[int],
    earlier: Sequence[int],
) -> dict[str, Any]:
    """The fields of `Masking` that hold accuracies: together on train, test and validation, per class on the last
    two."""
    order = np.where(masked_before, -1, trained.no_mask)
    order[mask] = 0  # allowed at N = 0 and masked at N = 1, even where an earlier request masks it as well
    splits = dict.fromkeys((*MEASURED_SPLITS, *trained.splits.evaluation))
    predicted = {split: masked_predictions(trained.bottleneck, order, [0, 1], split) for split in splits}
    fields: dict[str, Any] = {}
    correct: dict[str, list[int]] = {}
    for i, when in enumerate(("before", "after")):
        counts = count(trained.splits, {split: both[i] for split, both in predicted.items()})
        fields[when] = measure(counts, forget, leave_out=earlier)
        for split in trained.splits.evaluation:
            fields[f"per_class_{split}_{when}"] = counts[split].per_class
            correct |= _as_lists(counts[split], split, when)
    return fields | {"correct": CorrectCounts(**correct)}


def _as_lists(counted: Counted, split: str, when: str) -> dict[str, list[int]]:
    return {f"{split}_{when}": counted.correct.tolist(), f"{split}_total": counted.total.tolist()}


def _harmed(trained: TrainedSeed, masking: Masking) -> list[Harmed]:
    """The retained classes that lose most, on validation data where there are some, else on test data."""
    split = trained.splits.evaluation[-1]
    before: Shares = getattr(masking, f"per_class_{split}_before")
    after: Shares = getattr(masking, f"per_class_{split}_after")
    rows = [
        Harmed(class_id=c, name=trained.splits.classes[c], split=split, before=was, after=now, lost=was - now)
        for c, (was, now) in enumerate(zip(before, after, strict=True))
        if c not in masking.classes and was is not None and now is not None and now < was
    ]
    return sorted(rows, key=lambda row: (-row.lost, row.class_id))[:HARMED]
