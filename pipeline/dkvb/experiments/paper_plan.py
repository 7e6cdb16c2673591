"""The paper's experiments as a plan of steps, each an artifact or a few: what is done, what is missing, and what it
will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dkvb.errors import DkvbError, NotHere, UsageError, nearest
from dkvb.evaluation.forget_sets import forget_sets
from dkvb.evaluation.seed import TrainedSeed
from dkvb.experiments import membership
from dkvb.experiments.estimates import Estimator
from dkvb.experiments.sizes import Size
from dkvb.methods.base import make
from dkvb.methods.train_on import plan_for
from dkvb.metrics.published import EXPERIMENTS
from dkvb.recipe import Recipe, load
from dkvb.records.experiments import PlanStep
from dkvb.runtime import progress
from dkvb.stages import embed, quantize, report, train, unlearn
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.lineage import SeedModels, seed_models
from dkvb.workspace.settings import UnlearnSettings
from dkvb.workspace.specs import embed_settings

METHODS = [
    *("votes", "activations", "examples", "scrub", "logit-mask"),
    *("scrub-values", "scrub-r", "retrain", "retrain-keys", "retrain-linear"),
]


RETRAIN = 10
"""Epochs of training on after unlearning (Figures 4 and 6)."""


@dataclass
class Step:
    """A step of the plan, and how to do it."""

    entry: PlanStep
    recipe: Recipe
    work: Callable[[], Any]

    def note(self, **changes: Any) -> None:
        """Change fields of its entry."""
        self.entry = self.entry.model_copy(update=changes)


def recipes(only: Sequence[str], seeds: int | None, own: Recipe | None, data_root: str | None = None) -> list[Recipe]:
    """The recipes of the plan: the user's own one, or the paper's data sets, one of which may lie at `data_root`.

    Raises:
        UsageError: a name that is none of the paper's, or less than one seed.
    """
    if seeds is not None and seeds < 1:
        raise UsageError(f"--seeds {seeds}: give 1 or more.")
    for name in only:
        if name not in EXPERIMENTS:
            raise UsageError(f"--only {name}: the paper has no such data set{nearest(name, EXPERIMENTS)}")
    found = [own] if own else [load(name) for name in EXPERIMENTS if not only or name in only]
    if data_root and not own:
        if len({recipe.data.source for recipe in found}) > 1:
            raise UsageError("--data-root is where one data set lies, and the plan has several: name one with --only.")
        found = [recipe.with_(data={"path": data_root}) for recipe in found]
    return [_whole(recipe, seeds) for recipe in found]


def _whole(recipe: Recipe, seeds: int | None) -> Recipe:
    wanted = [*METHODS, *(name for name in recipe.unlearn.methods if name not in METHODS)]
    usable = wanted if recipe.data.validation else [name for name in wanted if name != "scrub-r"]
    over: dict[str, dict[str, Any]] = {"unlearn": {"method": usable, "sweep": True, "retrain": RETRAIN}}
    if seeds is not None:
        over["run"] = {"seeds": list(range(seeds))}
    return recipe.with_(**over)


def plan(chosen: Sequence[Recipe], workspace: Workspace, force: bool = False, dry: bool = False) -> list[Step]:
    """Every step of every recipe with its state and, where it is missing, an estimate; nothing is written or
    downloaded.

    Args:
        dry: estimate as well what would be done if the data and the weights were here.
    """
    estimator = Estimator(workspace)
    steps = []
    for recipe in chosen:
        mine = _steps(recipe, workspace, force)
        reason = absent(recipe) if mine[0].entry.state == "missing" else None
        for step in mine:
            if step.entry.state == "missing" and reason:
                step.note(state="skipped", why=reason)
        if size := _size(recipe, workspace, absent=reason is not None):
            for step in mine:
                if step.entry.state == "missing" or (dry and step.entry.state == "skipped"):
                    _estimate(step, estimator, size)
        steps += mine
    return steps


def _size(recipe: Recipe, workspace: Workspace, absent: bool) -> Size | None:
    """How large the data are; None where they are not here and nobody says."""
    if not absent:
        return Size.of(recipe, workspace)
    try:  # it may be the weights that are not here
        return Size.published(recipe) or Size.of(recipe, workspace)
    except DkvbError:
        return None


def _estimate(step: Step, estimator: Estimator, size: Size) -> None:
    found = estimator.estimate(step.entry.step, step.recipe, size)
    step.note(
        estimate_seconds=found.seconds,
        estimate_bytes=found.disk,
        estimate_memory_bytes=found.memory,
        estimate_from=found.source,
    )


def _steps(recipe: Recipe, workspace: Workspace, force: bool) -> list[Step]:
    features = workspace.find("embed", embed_settings(recipe))
    unlearned = workspace.all("unlearn")
    steps = [_step(recipe, "embed", None, features is not None, partial(embed.run, recipe, workspace, force=force))]
    for seed in recipe.run.seeds:
        one = recipe.with_(run={"seeds": [seed]})
        models = seed_models(recipe, workspace, features, seed) if features else SeedModels(None, None, None)
        coded, trained = models.codes is not None, None not in (models.bottleneck, models.linear)
        steps.append(_step(recipe, "quantize", seed, coded, partial(quantize.run, one, workspace, force=force)))
        steps.append(_step(recipe, "train", seed, trained, partial(train.run, one, workspace, force=force)))
        for name in recipe.unlearn.methods:
            this = one.with_(unlearn={"method": name})
            done = features is not None and trained and _unlearned(this, workspace, features, models, unlearned)
            steps.append(_step(recipe, name, seed, done, partial(unlearn.run, this, workspace, force=force)))
        attacked = features is not None and set(membership.DEFENCES) <= {
            made.method
            for artifact in unlearned
            if artifact.kind == "membership"
            and (made := artifact.settings_as(UnlearnSettings)).seed == seed
            and artifact.inputs.get("embed") == features.fingerprint
        }
        steps.append(_step(recipe, "membership", seed, attacked, partial(membership.run, one, workspace, force=force)))
    return steps


def _step(recipe: Recipe, name: str, seed: int | None, done: bool, work: Callable[[], Any]) -> Step:
    nothing = dict.fromkeys(
        ("seconds", "estimate_seconds", "estimate_bytes", "estimate_memory_bytes", "estimate_from", "why")
    )
    state = "done" if done else "missing"
    return Step(PlanStep(data=recipe.name, step=name, seed=seed, state=state, **nothing), recipe, work)


def _unlearned(
    recipe: Recipe,
    workspace: Workspace,
    features: Artifact,
    models: SeedModels,
    unlearned: Sequence[Artifact],
) -> bool:
    """Whether the recipe's only method has its result, its sweep and, where it is trained on, its retraining, all with
    these settings."""
    (name,), (seed,) = recipe.unlearn.methods, recipe.run.seeds
    trained = TrainedSeed(recipe, workspace, features, seed, check_files=False)  # they may be gigabytes
    for forget in forget_sets(trained):
        method = make(name, trained, forget)
        kinds = {"forget", "sweep"} | (
            {"retraining"} if recipe.unlearn.retrain and plan_for(trained, method) else set()
        )
        model = models.bottleneck if method.model == "dkvb" else models.linear
        settings = {"method": name, "forget": forget, "seed": seed, **method.settings}
        there = {
            artifact.kind
            for artifact in unlearned
            if model
            and artifact.inputs.get("train") == model.fingerprint
            and all(artifact.settings.get(key) == value for key, value in settings.items())
            and (artifact.kind != "forget" or artifact.settings.get("n") == method.given)
        }
        if not kinds <= there:
            return False
    return True


def absent(recipe: Recipe) -> str | None:
    """Why a recipe's data or weights are not to be had here; None where they are, or where only trying can tell."""
    from dkvb.sources.cifar import ARCHIVES, missing_from
    from dkvb.sources.opening import open_source

    source = recipe.data.source
    if source in ARCHIVES and (folder := missing_from(recipe.data)):
        download = f"`dkvb embed --recipe {recipe.name}` downloads it, or give --data-root"
        return f"{ARCHIVES[source]} is not in {folder}; {download}"
    if source not in ARCHIVES or recipe.data.path:
        try:
            open_source(recipe.data)
        except DkvbError as error:
            return str(error)
    return None if source in ("features", "digits") or recipe.data.own else _weights(recipe)


def _weights(recipe: Recipe) -> str | None:
    from dkvb.encoders.networks import weights_fingerprint

    try:
        weights_fingerprint(recipe.encoder)
    except DkvbError as error:
        return str(error)
    return None


def run(steps: Sequence[Step], workspace: Workspace, recipe: Recipe) -> list[PlanStep]:
    """Do what is missing, in order. A step that fails skips what depends on it; the other data sets go on.

    Returns:
        A record per step.
    """
    unusable: dict[str, str] = {}
    """Recipe -> why nothing more of it can be done."""
    for place, step in enumerate(steps, start=1):
        name, data = step.entry.step, step.recipe.name
        if step.entry.state != "missing":
            continue
        if data in unusable:
            step.note(state="skipped", why=unusable[data])
            continue
        of_seed = f", seed {step.entry.seed}" if step.entry.seed is not None else ""
        progress.note(f"reproduce {place}/{len(steps)}: {data}, {name}{of_seed}")
        started = time.perf_counter()
        try:
            step.work()
        except NotHere as error:
            step.note(state="skipped", why=str(error))
            unusable[data] = str(error)
            progress.note(f"{data} is skipped: {error}")
        except DkvbError as error:
            step.note(state="failed", why=str(error))
            progress.note(f"{data}, {name}: {error}")
            if name in ("embed", "quantize", "train"):
                unusable[data] = f"{name} failed"
        else:
            step.note(state="done")
        step.note(seconds=round(time.perf_counter() - started, 3))
    if any((step.entry.state, step.entry.step) == ("done", "train") for step in steps):
        report.run(recipe, workspace)
    return [step.entry for step in steps]
