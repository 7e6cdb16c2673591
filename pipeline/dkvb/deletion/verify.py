"""`verify`: whether every class that was to be forgotten is, in each of the recipe's models, measured again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from dkvb.deletion.ledger import append
from dkvb.deletion.verdict import judge
from dkvb.errors import DamagedArtifact, MissingStage
from dkvb.evaluation.seed import TrainedSeed
from dkvb.recipe import Recipe
from dkvb.records.ledger import VerifiedMeasures
from dkvb.records.verdict import Verdict
from dkvb.runtime import progress
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import MASKED, Request, forgotten, need_features


def run(recipe: Recipe, workspace: Workspace) -> list[Verdict]:
    """A verdict per seed of the recipe in whose model anything is forgotten; each is entered into the ledger.

    Raises:
        MissingStage: no such model, or nothing is forgotten in it.
        DamagedArtifact: model, features or a mask have been altered.
    """
    features = need_features(recipe, workspace)
    verdicts = []
    for seed in recipe.run.seeds:
        trained = TrainedSeed(recipe, workspace, features, seed)
        union = forgotten(workspace, trained.dkvb_artifact)
        if not union.classes and not union.requests:
            progress.note(f"verify seed {seed}: nothing is forgotten in this model")
            continue
        trained = trained.under(union)
        verdict = judge(trained, union.mask, union.classes, union.requests)
        mend, recorded = list(_mend(verdict, union.requests)), _record(workspace, verdict, union.requests)
        verdicts.append(verdict.model_copy(update={"mend": mend, "recorded": recorded}))
    if not verdicts:
        raise MissingStage(
            f"Nothing is forgotten in the trained bottleneck of seed {', '.join(map(str, recipe.run.seeds))} in"
            f" {workspace.root}: open a request with `dkvb forget CLASS` first."
        )
    return verdicts


def _mend(verdict: Verdict, requests: Sequence[Request]) -> Iterator[str]:
    """Of each request whose classes are remembered too well: the commands that mask more."""
    failed = {check.name for check in verdict.checks if not check.passed}
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
    test = verdict.accuracy.test
    for request in requests:
        measured = VerifiedMeasures(
            forget_test={one.name: one.accuracy for one in test.per_class if one.class_id in request.classes},
            retain_test=test.retain,
            oracle_retain_test=verdict.oracle.test.retain,
        )
        try:
            append(workspace, "verified", request, passed=verdict.passed, state=request.state, measured=measured)
        except DamagedArtifact as error:
            progress.note(f"verify: the verdict is not recorded. {error}")
            return False
    return bool(requests)
