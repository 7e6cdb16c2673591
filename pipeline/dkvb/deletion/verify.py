"""`verify`: whether every class that was to be forgotten is, in each of the recipe's models, measured again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence

from dkvb.deletion import ledger
from dkvb.deletion.outputs import Models
from dkvb.deletion.verdict import judge
from dkvb.errors import DamagedArtifact, MissingStage
from dkvb.evaluation.seed import TrainedSeed
from dkvb.recipe import Recipe
from dkvb.records.ledger import Ledger, VerifiedMeasures
from dkvb.records.proportions import SplitAccuracy
from dkvb.records.verdict import Check, Verdict
from dkvb.runtime import progress
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import reading
from dkvb.workspace.requests import MASKED, Request, forgotten, need_features


def run(
    recipe: Recipe,
    workspace: Workspace,
    quick: bool = False,
    look: Callable[[Models], None] = lambda models: None,
) -> list[Verdict]:
    """A verdict per seed of the recipe in whose model anything is forgotten; each is entered into the ledger.

    Requests, masks and receipts are held against the ledger first: where they are not what it says, every verdict has a
    failed check that names it.

    Args:
        quick: whether to leave out the second oracle, see `judge`.
        look: shown what the models of each seed answer.

    Raises:
        MissingStage: no such model, or nothing is forgotten in it.
        DamagedArtifact: model, features or a mask have been altered, or a request of the ledger is gone and nothing
            else is forgotten.
    """
    with reading(workspace):
        return _verdicts(recipe, workspace, quick, look)


def _verdicts(recipe: Recipe, workspace: Workspace, quick: bool, look: Callable[[Models], None]) -> list[Verdict]:
    features = need_features(recipe, workspace)
    kept = ledger.verify(workspace)
    verdicts = []
    for seed in recipe.run.seeds:
        trained = TrainedSeed(recipe, workspace, features, seed)
        union = forgotten(workspace, trained.dkvb_artifact)
        if not union.classes and not union.requests:
            progress.note(f"verify seed {seed}: nothing is forgotten in this model")
            continue
        trained = trained.under(union)
        verdict = judge(trained, union.mask, union.classes, union.requests, quick, look)
        if not kept.valid:
            verdict = verdict.failed_by(_not_as_recorded(kept))
        mend, recorded = list(_mend(verdict, union.requests)), _record(workspace, verdict, union.requests)
        verdicts.append(verdict.model_copy(update={"mend": mend, "recorded": recorded}))
    if not verdicts and not kept.valid:
        raise DamagedArtifact(f"The record of requests does not hold: {kept.problem}. `dkvb ledger` lists all of it.")
    if not verdicts:
        raise MissingStage(
            f"Nothing is forgotten in the trained bottleneck of seed {', '.join(map(str, recipe.run.seeds))} in"
            f" {workspace.root}: open a request with `dkvb forget CLASS` first."
        )
    return verdicts


def _not_as_recorded(kept: Ledger) -> Check:
    """The check that fails where requests are not what the ledger says."""
    count = len(kept.problems)
    more = f", and {count - 1} more (`dkvb ledger` lists them)" if count > 1 else ""
    return Check(
        name="record of requests",
        state="failed",
        sentence=f"Requests, receipts and ledger do not fit together: {kept.problem}{more}.",
        passed=False,
        value=float(count),
        threshold=0.0,
        unit="number",
        detail=f"{count} things that do not fit",
    )


def _mend(verdict: Verdict, requests: Sequence[Request]) -> Iterator[str]:
    """Of each request whose classes are remembered too well: the commands that mask more."""
    failed = {check.name for check in verdict.checks if check.state == "failed"}
    for request in requests:
        weak = [name for name in request.names if f"forget accuracy: {name}" in failed]
        if weak and request.state == MASKED:
            flag = f"--{request.record.settings.n_name.replace('_', '').lower()}"
            again = " ".join(map(shlex.quote, request.names))
            yield (
                f"To mask more: `dkvb restore {request.id}`, then `dkvb forget {again} {flag} N` with N above"
                f" {request.record.n:,}."
            )


def _record(workspace: Workspace, verdict: Verdict, requests: Sequence[Request]) -> bool:
    """Enter the verdict into the ledger, for every request; False where the ledger takes no more, which changes no
    verdict."""
    accuracy = verdict.accuracy
    for request in requests:

        def of_request(split: SplitAccuracy, request: Request = request) -> dict[str, float | None]:
            names = dict(zip(request.classes, request.public_names, strict=True))
            return {names[one.class_id]: one.accuracy for one in split.per_class if one.class_id in names}

        measured = VerifiedMeasures(
            forget_test=of_request(accuracy.test),
            forget_validation=of_request(accuracy.validation) if accuracy.validation else None,
            forget_train=of_request(accuracy.train) if accuracy.train else None,
            retain_test=accuracy.test.retain,
            oracle_retain_test=verdict.oracle.test.retain,
        )
        try:
            said = {"passed": verdict.passed, "verdict": verdict.verdict}
            ledger.append(workspace, "verified", request, **said, state=request.state, measured=measured)
        except DamagedArtifact as error:
            progress.note(f"verify: the verdict is not recorded. {error}")
            return False
    return bool(requests)
