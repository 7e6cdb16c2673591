"""`purge`: erase what a request masks, and its classes' samples, from the whole workspace; then look for what may be
left. Of an exact request, values that were trained without it take the place of those of training.

The classes' rows in features, ids, codes and neighbour lists are overwritten in place, and their labels turned to -1 -
c, so that no other row moves: splits, codes and predictions of retained samples keep their bits. The first thing
written is a mark in the request (`purging`), with salted hashes of what is to be erased beside it; every step after
that may be repeated, so that a purge that was killed is ended by running it again.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from dkvb.deletion import in_place, ledger, made_from, standing, together
from dkvb.deletion.deleted import to_delete
from dkvb.deletion.erase_artifacts import erase
from dkvb.deletion.needles import Needles
from dkvb.deletion.reach import Reach, reach_of
from dkvb.deletion.scan import scan
from dkvb.deletion.sought import sought
from dkvb.errors import DamagedArtifact, DkvbError, SettingsClash
from dkvb.recipe import Recipe
from dkvb.records.deletion import RequestEntry
from dkvb.records.purges import PurgeBegun, PurgePlan, PurgeRecord, Scan, SplitRows
from dkvb.runtime import progress
from dkvb.stages import report
from dkvb.workspace import exact_values, request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import erasing
from dkvb.workspace.files import sha256
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.names import STORED_SPLITS, VALUES
from dkvb.workspace.requests import EXACT, MASKED, PURGED, Request
from dkvb.workspace.shredding import shred

NEEDLES, STAGING = "needles.npz", "staging"


class Refit(Protocol):
    """Fits the keys anew once the classes are erased: `dkvb.deletion.reinit.Reinit`, which imports torch."""

    def check(self, reach: Reach) -> None:
        """Raise where that cannot be done, before anything is erased."""

    def replaced(self, request: Request) -> list[str]:
        """Names of the artifacts that it is about to delete: they belong to the former keys."""

    def run(self, request: Request) -> None:
        """Fit and train; may be repeated."""


def plan(workspace: Workspace, wanted: str) -> PurgePlan:
    """What a purge would do: the request, and the models that would be deleted because they still know its classes."""
    request = requests.find(workspace, wanted)
    begun = request.record.purging
    if request.state == PURGED or (begun and begun.stage != "erase"):
        deleted = []  # all that had to be deleted is
    else:
        deleted = [model.path.name for model in reach_of(workspace, request).knowing]
    return PurgePlan(
        request=request.id,
        state=request.state,
        names=request.names,
        samples=request.record.samples.count if request.record.samples else None,
        models_deleted=deleted,
        keys=begun.keys if begun else None,
    )


def run(
    recipe: Recipe, workspace: Workspace, wanted: str, refit: Refit | None = None, exact: bool = False
) -> RequestEntry:
    """Purge a request, or end a purge that was killed.

    Args:
        exact: make a hidden request exact first: values trained without it take the place of those of training.
        refit: fits the keys anew on the rows that stay and trains the values again (`--keys reinit`); by default the
            keys are kept.

    Returns:
        The request; `purge` holds what was erased and what the scan looked at. `skipped` where it was purged before.

    Raises:
        UsageError: there is no such request.
        SettingsClash: it was restored: there is no mask to purge. Or another purge has to be ended first.
        MissingStage: its model, or what that was made from, is gone.
        DkvbError: the scan found something, and names the file; or a file that cannot be read.
    """
    started = time.perf_counter()
    with requests.held(workspace):
        ledger.catch_up(workspace)
        request = requests.find(workspace, wanted)
        if request.state == PURGED:
            drop_needles(request)  # a purge by an earlier version left them
            progress.note(f"purge: request {request.id} was purged before")
            return request.record.entry(skipped=True)
        _refuse(workspace, request)
        if exact and not request.exact:
            request = _made_exact(recipe, workspace, request)
        begun = request.record.purging or _begin(recipe, workspace, request, refit)
        if begun.keys == "reinit" and refit is None:
            raise SettingsClash(f"The purge of {request.id} was begun with --keys reinit: give that again to end it.")
        if begun.stage == "erase":
            with erasing(workspace):
                begun = _erase(workspace, requests.find(workspace, request.id), begun)
        if begun.stage == "reinit" and refit:
            begun = _list_replaced(requests.find(workspace, request.id), begun, refit)
            refit.run(requests.find(workspace, request.id))
            begun = begun.model_copy(update={"stage": "close"})
            request_writing.change(requests.find(workspace, request.id), purging=begun)
        in_place.drop_copies(requests.find(workspace, request.id))
        drop_needles(request)
        standing.tidy(workspace, request.train)
        closed = _close(workspace, requests.find(workspace, request.id), begun, time.perf_counter() - started)
        if raised := together.look_again_with(recipe, workspace, closed):
            closed = request_writing.change(closed, raised=[*(closed.record.raised or []), *raised])
        return closed.record.entry(skipped=False)


def _refuse(workspace: Workspace, request: Request) -> None:
    """Raise where the request cannot be purged now."""
    if request.state != MASKED:
        raise SettingsClash(
            f"Request {request.id} was restored, so that nothing of it is masked: `dkvb forget` the class again first."
        )
    for other in requests.all_requests(workspace):
        if other.id != request.id and other.record.purging:
            raise SettingsClash(
                f"The purge of request {other.id} did not come to its end: `dkvb purge {other.id} --yes` ends it first."
            )


def _made_exact(recipe: Recipe, workspace: Workspace, request: Request) -> Request:
    """The request, whose values are trained again in the place of its mask.

    Raises:
        SettingsClash: its purge has begun.
    """
    if request.record.purging:
        raise SettingsClash(
            f"The purge of {request.id} was begun without --exact, and some of its values are gone: leave --exact out"
            " to end it."
        )
    from dkvb.deletion.exact import upgrade  # it trains, and imports torch

    return upgrade(recipe, workspace, request)


def _refuse_mask_of_other_values(reach: Reach) -> None:
    """Raise where a mask was chosen on values that stand in the place of those of training, and not on those: with it
    only the former can be erased."""
    for request in reach.together:
        every = requests.all_requests(reach.workspace, request.train)
        stand = standing.stand(every)
        if request.exact or stand is None or request.id in [one.id for one in stand.without]:
            continue
        trained = reach.model_of(request).tensors(VALUES)["values"]
        if not np.array_equal(stand.request.values()[0], trained):
            raise SettingsClash(
                f"Request {request.id} masks pairs in the values that request {stand.request.id} has had trained, and"
                " those of training still know it in others: purge that request first, or give --exact."
            )


def _begin(recipe: Recipe, workspace: Workspace, request: Request, refit: Refit | None) -> PurgeBegun:
    """Keep the hashes of what is to be erased, then mark the request: from here on, the purge can be ended."""
    reach = reach_of(workspace, request)
    if refit:
        refit.check(reach)
    made_from.check(reach)
    _refuse_mask_of_other_values(reach)
    replacing = in_place.replacing(recipe, workspace, reach)
    looked_for = sought(reach)
    looked_for.needles.save(request.path / NEEDLES)
    begun = PurgeBegun(
        stage="erase",
        keys="reinit" if refit else "keep",
        started=_now(),
        rows=SplitRows(**{split: len(reach.rows(split)) for split in STORED_SPLITS}),
        shared_rows=looked_for.shared,
        unnamed_rows=looked_for.unnamed,
        before_sha256=sha256(reach.model.path / VALUES),
        together=[other.id for other in reach.together],
        exact=replacing or None,
        unfit=made_from.unfit(workspace) or None,
    )
    request_writing.change(request, purging=begun)
    return begun


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _erase(workspace: Workspace, request: Request, begun: PurgeBegun) -> PurgeBegun:
    """Erase all that the request reaches, and look for what may be left of it."""
    reach = reach_of(workspace, request, begun.together)
    deleted = to_delete(reach, begun)
    # written before anything goes: what is gone cannot be listed any more
    begun = begun.model_copy(update={"deleted": deleted.models, "artifacts": deleted.others})
    request = request_writing.change(request, purging=begun)
    copies = {train: in_place.copy(request, train) for train in begun.exact or {}}
    for train, file in copies.items():
        if sha256(file) != (begun.exact or {})[train]:
            raise DamagedArtifact(f"{file} was altered: put it back from a backup to end the purge of {request.id}.")
    _zero_standing(reach)
    for model in reach.covered:
        standing.tidy(workspace, model.fingerprint)
    if dropped := report.drop_samples(workspace, reach.features.fingerprint):
        progress.note(f"purge: pages that showed single samples were taken away ({len(dropped)}): run `dkvb report`.")
    done = erase(reach, deleted, request.path / STAGING, copies)
    made_from.carry_on(workspace, begun.unfit or [])
    looked = scan([workspace.root, workspace.reports], Needles.load(request.path / NEEDLES))
    _refuse_leftovers(request, looked)
    following = "reinit" if begun.keys == "reinit" else "close"
    begun = begun.model_copy(update={"done": done, "scan": looked, "stage": following})
    request_writing.change(requests.find(workspace, request.id), purging=begun)
    return begun


def _list_replaced(request: Request, begun: PurgeBegun, refit: Refit) -> PurgeBegun:
    """Write down what fitting new keys deletes, before it goes."""
    listed = sorted(dict.fromkeys([*(begun.artifacts or []), *refit.replaced(request)]))
    done = begun.done.model_copy(update={"artifacts": listed}) if begun.done else None
    begun = begun.model_copy(update={"artifacts": listed, "done": done})
    request_writing.change(request, purging=begun)
    return begun


def drop_needles(request: Request) -> None:
    """Overwrite the hashes of what was erased, once it has been looked for: whoever has them and a row or an id can
    tell whether it was among them."""
    if (request.path / NEEDLES).exists():
        shred(request.path / NEEDLES)


def _zero_standing(reach: Reach) -> None:
    """Zero the values of the pairs that hidden requests mask in the values that stand as well."""
    for request in reach.together:
        stand = standing.stand(requests.all_requests(reach.workspace, request.train))
        if request.exact or stand is None or request.id in [one.id for one in stand.without]:
            continue
        values, passed_over = stand.request.values()
        values[request.mask()] = 0
        file, sha = exact_values.write(stand.request.path, values, passed_over)
        kept = stand.request.record.exact
        assert kept is not None
        if (file, sha) != (kept.file, kept.values_sha256):
            kept = kept.model_copy(update={"file": file, "values_sha256": sha})
            zeroed = request_writing.change(stand.request, exact=kept, unrecorded=EXACT)
            ledger.record(reach.workspace, EXACT, zeroed)


def _refuse_leftovers(request: Request, looked: Scan) -> None:
    """Raise where the scan found rows that should be gone, or could not look everywhere."""
    if looked.unreadable:
        raise DkvbError(
            f"The scan could not look at {looked.unreadable[0]}; mend its permissions, then run `dkvb purge"
            f" {request.id} --yes` again."
        )
    if looked.found:
        name, rows = next(iter(looked.found.items()))
        more = f" (and {len(looked.found) - 1} more files)" if len(looked.found) > 1 else ""
        raise DkvbError(
            f"The scan found {rows} of the purged rows in {name}{more}: delete that, then run `dkvb purge"
            f" {request.id} --yes` again."
        )
    if looked.named:
        name, count = next(iter(looked.named.items()))
        more = f" (and {len(looked.named) - 1} more files)" if len(looked.named) > 1 else ""
        raise DkvbError(
            f"The scan found the ids or file names of {count} purged samples in {name}{more}: take them out of it, or"
            f" delete it, then run `dkvb purge {request.id} --yes` again."
        )


def _close(workspace: Workspace, request: Request, begun: PurgeBegun, seconds: float) -> Request:
    """Mark the request, and those purged together with it, purged; this one last."""
    lineage = Lineage(workspace)
    fields = {name: value for name, value in begun if name not in ("stage", "artifacts", "unfit")}
    purge = PurgeRecord(**fields, finished=_now(), seconds=round(seconds, 3), after_sha256=None)
    for identity in [*(other for other in begun.together if other != request.id), request.id]:
        closed = requests.find(workspace, identity)
        if closed.state != PURGED:
            model = lineage.find("train", closed.train)
            after = sha256(model.path / VALUES) if model else None
            ended = purge.model_copy(update={"after_sha256": after})
            progress.note(f"purge: request {closed.id} is purged: {closed.record.what}")
            closed = Request(closed.path, closed.record.without_names())
            closed = request_writing.change(closed, state=PURGED, purge=ended, purging=None, unrecorded=PURGED)
            ledger.record(workspace, PURGED, closed)
    return requests.find(workspace, request.id)
