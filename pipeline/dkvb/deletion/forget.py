"""`forget`: open a request that masks some classes on top of all that is forgotten already."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from dkvb.bottleneck.mask_order import model_hash
from dkvb.deletion import ledger, together
from dkvb.deletion.costs import levels
from dkvb.deletion.measured import measured
from dkvb.deletion.together import Holder
from dkvb.deletion.wanted import first_model, purged_since, refuse_all, wanted_ids
from dkvb.errors import UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.methods.base import make
from dkvb.methods.pair_masking import Masking as PairMasking
from dkvb.metrics.accuracy import percent
from dkvb.recipe import Recipe
from dkvb.records.deletion import Plan, RequestEntry
from dkvb.records.filing import Pseudonym
from dkvb.records.masking import Harmed, Masking, MaskSettings, Shares
from dkvb.runtime import progress
from dkvb.workspace import request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import reading
from dkvb.workspace.request_writing import Filing
from dkvb.workspace.requests import MASKED, Union

HARMED = 5
"""How many of the classes that lose most a plan lists."""


def run(
    recipe: Recipe,
    workspace: Workspace,
    names: Sequence[str | int],
    reason: str | None = None,
    pseudonym: bool = False,
) -> list[RequestEntry]:
    """Forget some classes in the trained bottleneck of the recipe's first seed, on top of what is forgotten already.

    Args:
        names: class names, or ids as ints; those already forgotten are passed over.
        reason: why the request is made.
        pseudonym: whether salted hashes stand for the names in ledger, ids and receipts.

    Returns:
        The request that was opened; where all classes are forgotten already, the requests that forgot them, with
        `skipped` True.

    Raises:
        UsageError: an unknown class, a method that masks nothing, or no class would be left.
        MissingStage: nothing trained yet.
        DamagedArtifact: a request, the model or the codes have been altered.
    """
    with reading(workspace):
        trained, wanted = _wanted(recipe, workspace, names)
    with requests.held(workspace):
        ledger.catch_up(workspace)
        if purged_since(trained):
            trained, wanted = _wanted(recipe, workspace, names)
        earlier, new = _earlier(trained, wanted)
        trained = trained.under(earlier)
        if not new:
            return _already(trained, wanted, earlier)
        alias = Pseudonym.of([trained.splits.classes[c] for c in new]) if pseudonym else None
        return [_open(trained, new, earlier, Filing(reason, alias))]


def plan(recipe: Recipe, workspace: Workspace, names: Sequence[str | int]) -> list[Plan] | list[RequestEntry]:
    """Like `run`, but only measure what it would do, and write nothing."""
    with reading(workspace):
        return _planned(recipe, workspace, names)


def _planned(recipe: Recipe, workspace: Workspace, names: Sequence[str | int]) -> list[Plan] | list[RequestEntry]:
    trained, wanted = _wanted(recipe, workspace, names)
    earlier, new = _earlier(trained, wanted)
    if not new:
        return _already(trained, wanted, earlier)
    trained = trained.under(earlier)
    masking, _ = _masking(trained, new, earlier)
    costs = levels(trained, [*earlier.classes, *new], earlier.rows, masking)
    return [Plan(harmed=_harmed(trained, masking), costs=costs, **dict(masking))]


def _wanted(recipe: Recipe, workspace: Workspace, names: Sequence[str | int]) -> tuple[TrainedSeed, list[int]]:
    """The trained models of the recipe's first seed, and the ids of the named classes."""
    trained = first_model(recipe, workspace)
    _ = trained.dkvb_artifact  # without one there is nothing to forget in
    return trained, wanted_ids(trained, names)


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


def _open(trained: TrainedSeed, forget: list[int], earlier: Union, filing: Filing) -> RequestEntry:
    masking, holders = _masking(trained, forget, earlier)
    if masking.raised:  # before the request that causes it: killed in between, more is masked than need be, never less
        cause = request_writing.next_id(trained.workspace, filing.shown(masking.names))
        masking = masking.model_copy(update={"raised": together.write(trained, holders, cause)})
    request = request_writing.open_request(
        trained.workspace, trained.dkvb_artifact, masking, holders[-1].mask, filing=filing
    )
    request = ledger.record(trained.workspace, MASKED, request)
    before, after = masking.before, masking.after
    progress.note(
        f"forget {', '.join(masking.names)}: request {request.id}, {masking.masked:,} pairs masked; forget"
        f" {percent(before.forget_test)} -> {percent(after.forget_test)}, retain {percent(before.retain_test)} ->"
        f" {percent(after.retain_test)}"
    )
    return request.record.entry(skipped=False)


def _masking(trained: TrainedSeed, forget: list[int], earlier: Union) -> tuple[Masking, list[Holder]]:
    """Choose the pairs of the classes and measure what masking them does: the record, and all that is forgotten then,
    these classes last."""
    started = time.perf_counter()
    classes = trained.splits.classes
    refuse_all(trained, forget, earlier)
    never = trained.no_mask < 0
    masked_before = never if earlier.mask is None else never | earlier.mask
    new, note = new_holder(trained, forget, masked_before)
    chosen = time.perf_counter()
    earlier_holders, always = together.holders_of(trained, earlier)
    holders = [*earlier_holders, new]
    masked_after = together.hold(trained, holders, always)
    values = trained.bottleneck.values
    masking = Masking(
        names=[classes[c] for c in forget],
        classes=forget,
        seed=trained.seed,
        method=new.method.name,
        settings=new.settings.model_copy(update={"n": new.n}),
        masked=int(new.mask.sum()),
        newly_masked=int((new.mask & ~masked_before).sum()),
        masked_together=int(masked_after.sum() - never.sum()),
        allowed=int((~masked_after).sum()),
        pairs_total=masked_after.size,
        earlier=earlier.classes,
        model_before_sha256=model_hash(values, masked_before),
        model_after_sha256=model_hash(values, masked_after),
        **measured(
            trained, masked_before, masked_after, forget, earlier.classes, _seen(new, masked_before, masked_after)
        ),
        looked=[look for holder in holders for look in holder.looked],
        raised=together.top_ups(earlier_holders, "") or None,
        note=note,
        seconds=round(chosen - started, 4),
        seconds_total=round(time.perf_counter() - started, 4),
    )
    return masking, holders


def _seen(holder: Holder, before: np.ndarray, after: np.ndarray) -> dict[int, tuple[int, int]]:
    """Class -> how many of its training rows are recognised under two masks (C, M), of a holder that was looked at."""
    rows, classes = holder.method.rows, [look.class_id for look in holder.looked if "train" in look.recognised]
    now, then = rows.recognised(after), rows.recognised(before)  # what was looked at last is still known
    mine = {c: (rows.labels == c) & (rows.splits == "train") for c in classes}
    return {c: (int(then[those].sum()), int(now[those].sum())) for c, those in mine.items()}


def _method(trained: TrainedSeed, forget: list[int]) -> PairMasking:
    """Votes where the recipe has it, otherwise the recipe's first method that masks pairs."""
    named = trained.recipe.unlearn.methods
    for name in sorted(named, key=lambda name: name != "votes"):
        method = make(name, trained, forget)
        if isinstance(method, PairMasking):
            return method
    raise UsageError(
        f"`dkvb forget` masks pairs, and {', '.join(named)} does not: give --method votes, activations or examples."
    )


def new_holder(trained: TrainedSeed, forget: list[int], masked: np.ndarray) -> tuple[Holder, str | None]:
    """The classes with the pairs that they mask beside those that are masked already, (C, M) bool; and a note."""
    method = _method(trained, forget)
    given, target, judged_on, note = method.given, None, None, None
    if given == "auto":
        chosen = method.choose_n(masked)
        n, note, judged_on, target = chosen.n, chosen.note, chosen.judged_on, trained.recipe.unlearn.target
    else:
        n = int(given)
        method.check(n)
    order = method.order()
    settings = MaskSettings(n=n, n_name=method.dial, given=given, target=target, judged_on=judged_on, **method.settings)
    mask = (order < n) & (trained.no_mask >= 0)
    return Holder(forget, settings, method, mask, n), note


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
