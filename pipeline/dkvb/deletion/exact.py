"""Exact forgetting: values trained again from the start on cached codes, without the rows of some classes or single
samples and of all that is forgotten beside them.

Given the keys, that is the model that would have been trained had those rows never been there: training is
deterministic, so that the values are those of the retrained model to the bit (paper, section 5.1, for training;
Appendix D for why masking forgets no single samples).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dkvb.bottleneck.mask_order import model_hash
from dkvb.deletion import ledger, membership, standing, together
from dkvb.deletion.measured import before_and_after
from dkvb.deletion.standing import Stand
from dkvb.deletion.wanted import first_model, purged_since, refuse_all, wanted_ids
from dkvb.errors import SettingsClash
from dkvb.evaluation.seed import TrainedSeed
from dkvb.metrics.accuracy import percent
from dkvb.recipe import Recipe
from dkvb.records.deletion import ExactValues, ForgottenSamples, RequestEntry
from dkvb.records.filing import Pseudonym
from dkvb.records.masking import Masking, MaskSettings
from dkvb.records.train import RetrainedResult
from dkvb.runtime import progress
from dkvb.training.on_retain_set import passed_over, retrained
from dkvb.workspace import exact_values, request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import reading
from dkvb.workspace.names import VALUES
from dkvb.workspace.request_writing import Filing
from dkvb.workspace.requests import EXACT, MASKED, Request, Union, need_features

METHOD = "retrain"
"""The method that an exact request names, and that of `dkvb unlearn` that makes the same values."""


@dataclass(frozen=True)
class Retrained:
    """Values that were trained without some rows."""

    values: np.ndarray
    """(C, M, L) float32."""
    passed_over: np.ndarray
    """(C, M) bool."""
    classes: list[int]
    """Ids of the classes that took no part."""
    rows: np.ndarray
    """(n,) rows of the stored training set that took no part beside those of the classes."""
    seconds: float

    def kept_in(self, folder: Path, without: Sequence[str]) -> ExactValues:
        """Write the values into a request's folder. `without`: ids of the requests that they are trained without."""
        file, sha = exact_values.write(folder, self.values, self.passed_over)
        return ExactValues(
            file=file,
            values_sha256=sha,
            without=list(without),
            classes=self.classes,
            samples=len(self.rows),
            seconds=self.seconds,
        )


def without(trained: TrainedSeed, classes: Sequence[int], rows: np.ndarray) -> Retrained:
    """Train values without some classes and some rows (n,) of the stored training set; those of an earlier run where
    they are there.

    Raises:
        DkvbError: nothing is left to train on, or a loss that is not finite.
    """
    forget = sorted(set(classes))
    bare = replace(trained, standing=None, left_out=rows if len(rows) else None)
    artifact = retrained(bare, forget, "retrain")
    seconds = artifact.result_as(RetrainedResult).seconds
    values = artifact.tensors(VALUES)["values"]
    return Retrained(values, passed_over(bare, forget), forget, rows, seconds)


def classes(
    recipe: Recipe,
    workspace: Workspace,
    names: Sequence[str | int],
    reason: str | None = None,
    pseudonym: bool = False,
) -> list[RequestEntry]:
    """Forget some classes exactly, in the bottleneck of the recipe's first seed; what is hidden already is left out of
    the new values too.

    Returns:
        The request that was opened; where all classes are forgotten exactly already, the requests that did, with
        `skipped` True.

    Raises:
        UsageError: an unknown class, or no class would be left.
        MissingStage: nothing trained yet.
        DamagedArtifact: a request, the model or the codes have been altered.
    """
    with reading(workspace):
        trained = _model(recipe, workspace)
        wanted = wanted_ids(trained, names, " --exact")
    with requests.held(workspace):
        ledger.catch_up(workspace)
        if purged_since(trained):
            trained = _model(recipe, workspace)
        earlier = requests.forgotten(workspace, trained.dkvb_artifact)
        there = [one for one in earlier.requests if one.exact and set(one.classes) & set(wanted)]
        new = [c for c in wanted if not any(c in one.classes for one in there)]
        if not new:
            return [_already(one) for one in there]
        refuse_all(trained, new, earlier)
        alias = Pseudonym.of([trained.splits.classes[c] for c in new]) if pseudonym else None
        return [_open(trained, earlier, new, np.empty(0, np.int64), Filing(reason, alias))]


def samples(recipe: Recipe, workspace: Workspace, rows: np.ndarray, reason: str | None = None) -> list[RequestEntry]:
    """Forget single samples exactly, in the bottleneck of the recipe's first seed.

    Args:
        rows: (n,) rows of the stored training set.

    Returns:
        The request that was opened; where all samples are forgotten one by one already, the requests that did, with
        `skipped` True.

    Raises:
        MissingStage: nothing trained yet.
        DkvbError: no sample would be left.
        DamagedArtifact: a request, the model or the codes have been altered.
    """
    with reading(workspace):
        trained = _model(recipe, workspace)
    with requests.held(workspace):
        ledger.catch_up(workspace)
        if purged_since(trained):
            trained = _model(recipe, workspace)
        earlier = requests.forgotten(workspace, trained.dkvb_artifact)
        new = np.setdiff1d(rows, earlier.rows)
        if not len(new):
            return [_already(one) for one in earlier.requests if np.isin(one.rows, rows).any()]
        return [_open(trained, earlier, [], new, Filing(reason))]


def _model(recipe: Recipe, workspace: Workspace) -> TrainedSeed:
    trained = first_model(recipe, workspace)
    _ = trained.dkvb_artifact  # without one there is nothing to forget in
    return trained


def _already(request: Request) -> RequestEntry:
    progress.note(f"forget: {request.record.what} already forgotten exactly by request {request.id}")
    return request.record.entry(skipped=True)


def _open(trained: TrainedSeed, earlier: Union, forget: list[int], rows: np.ndarray, filing: Filing) -> RequestEntry:
    """Train, measure, and write the request of some classes or of some rows (n,)."""
    started = time.perf_counter()
    made = without(trained, [*earlier.classes, *forget], np.union1d(earlier.rows, rows))
    then = trained.under(earlier)
    now = replace(trained, standing=(made.values, made.passed_over), left_out=made.rows)
    masked = then.no_mask < 0 if earlier.mask is None else (then.no_mask < 0) | earlier.mask
    told = membership.forgotten_samples(then, masked, now, rows) if len(rows) else None
    masking = _masking(then, masked, now, forget, earlier).model_copy(
        update={"seconds": round(made.seconds, 4), "seconds_total": round(time.perf_counter() - started, 4)}
    )

    def fill(folder: Path) -> dict[str, Any]:
        ids = [*(one.id for one in earlier.requests), folder.name]
        more: dict[str, Any] = {"level": "exact", "exact": made.kept_in(folder, ids)}
        if told:
            sha = exact_values.write_rows(folder, rows)
            more |= {"samples": ForgottenSamples(**{**told, "rows_sha256": sha}), "names": [], "classes": []}
        return more

    nothing = np.zeros_like(masked)
    request = request_writing.open_request(trained.workspace, trained.dkvb_artifact, masking, nothing, fill, filing)
    request = ledger.record(trained.workspace, MASKED, request)
    standing.tidy(trained.workspace, request.train)
    _say(request, masking)
    return requests.find(trained.workspace, request.id).record.entry(skipped=False)


def _say(request: Request, masking: Masking) -> None:
    before, after, told = masking.before, masking.after, request.record.samples
    if told:
        forgot = f"mean loss of the samples {told.loss.before:.3f} -> {told.loss.after:.3f}"
    else:
        forgot = f"forget {percent(before.forget_test)} -> {percent(after.forget_test)}"
    progress.note(
        f"forget {request.record.what} exactly: request {request.id}, values trained in {masking.seconds:.1f} s;"
        f" {forgot}, retain {percent(before.retain_test)} -> {percent(after.retain_test)}"
    )


def _masking(
    then: TrainedSeed, masked_before: np.ndarray, now: TrainedSeed, forget: list[int], earlier: Union
) -> Masking:
    """What exchanging the values does, measured."""
    masked_after = now.no_mask < 0
    names = [then.splits.classes[c] for c in forget]
    if not forget:
        names = [f"{len(now.left_out) - len(earlier.rows)} samples" if now.left_out is not None else "samples"]
    return Masking(
        names=names,
        classes=forget,
        seed=then.seed,
        method=METHOD,
        settings=MaskSettings(n=0, n_name="N_v", given="exact"),
        masked=0,
        newly_masked=0,
        masked_together=0,
        allowed=int((~masked_after).sum()),
        pairs_total=masked_after.size,
        earlier=earlier.classes,
        model_before_sha256=model_hash(then.bottleneck.values, masked_before),
        model_after_sha256=model_hash(now.bottleneck.values, masked_after),
        seconds=0.0,
        seconds_total=0.0,
        **before_and_after((then, masked_before), (now, masked_after), forget, earlier.classes),
    )


def train_again(recipe: Recipe, workspace: Workspace, following: Stand) -> Request:
    """Train the values that are to stand, and write them into the request whose they are. Call with requests held.

    Raises:
        SettingsClash: the recipe is not the one that made the model.
    """
    request = following.request
    made = without(model_of(recipe, workspace, request), *_gone(following.without))
    kept = made.kept_in(request.path, [one.id for one in following.without])
    progress.note(f"values without {', '.join(one.id for one in following.without)} stand now, as {request.id} has it")
    return ledger.record(workspace, EXACT, request_writing.change(request, exact=kept, unrecorded=EXACT))


def _gone(forgotten: Sequence[Request]) -> tuple[list[int], np.ndarray]:
    """Ids of the classes, and rows (n,) of the samples, that some requests forget."""
    united = Union(None, sorted({c for one in forgotten for c in one.classes}), list(forgotten))
    return united.classes, united.rows


def model_of(recipe: Recipe, workspace: Workspace, request: Request) -> TrainedSeed:
    """The trained model that a request is about.

    Raises:
        SettingsClash: the recipe is not the one that made it.
    """
    trained = TrainedSeed(recipe, workspace, need_features(recipe, workspace), request.record.seed)
    if trained.dkvb_artifact.fingerprint != request.train:
        raise SettingsClash(
            f"Request {request.id} is of a model of another recipe, and its values have to be trained again: give"
            " --recipe the one that it was trained with."
        )
    return trained


def upgrade(recipe: Recipe, workspace: Workspace, request: Request) -> Request:
    """Make a hidden request exact: its mask gives way to values that are trained without it. Call with requests held.

    Raises:
        SettingsClash: the recipe is not the one that made the model.
    """
    marked = Request(request.path, request.record.model_copy(update={"level": "exact"}))
    every = [marked if one.id == request.id else one for one in requests.all_requests(workspace, request.train)]
    following = standing.stand(every)
    assert following is not None
    if following.request.id == request.id:
        made = without(model_of(recipe, workspace, request), *_gone(following.without))
        kept = made.kept_in(request.path, [one.id for one in following.without])
    else:  # newer values are without it already
        newer = following.request.record.exact
        assert newer is not None
        kept = newer.model_copy(update={"file": None, "values_sha256": None})
    changed = request_writing.change(request, level="exact", exact=kept, unrecorded=EXACT)
    changed = ledger.record(workspace, EXACT, changed)
    standing.tidy(workspace, request.train)
    progress.note(f"request {request.id} is exact now: values were trained without {request.record.what}")
    if raised := together.look_again_with(recipe, workspace, changed):
        changed = request_writing.change(requests.find(workspace, request.id), raised=raised)
    return requests.find(workspace, changed.id)


def purged_values(recipe: Recipe, workspace: Workspace, request: Request, with_it: Sequence[Request]) -> Retrained:
    """Values without all that is purged from a request's model, to take the place of those of training.

    Args:
        request: an exact one of those that are purged now; with_it: all that are purged now.

    Raises:
        SettingsClash: the recipe is not the one that made the model.
    """
    now = {one.id for one in with_it}
    every = requests.all_requests(workspace, request.train)
    gone = [one for one in every if one.in_force and (one.id in now or one.values_may_be_gone)]
    return without(model_of(recipe, workspace, request), *_gone(gone))
