"""Stage 4: unlearn classes from the trained models, by every method of the recipe (paper, section 4 and 5.3).

Each (seed, forget set, method) is one artifact: `mask.safetensors` (a packed mask beside an untouched model) or the
student's weights, and `metrics.parquet`, accuracy per class, split and time. A sweep over n is an artifact of its own,
with `curve.parquet`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Literal

from safetensors.numpy import save_file

from dkvb import registry
from dkvb.errors import UsageError
from dkvb.evaluation.accuracies import count, measure
from dkvb.evaluation.baselines import no_baseline
from dkvb.evaluation.forget_sets import best_in_words, best_on, forget_sets
from dkvb.evaluation.measures import measured, metrics
from dkvb.evaluation.seed import Seeds, TrainedSeed
from dkvb.methods.base import Method, curve_on, make
from dkvb.methods.pair_masking import Masking
from dkvb.metrics.accuracy import percent, target_accuracy
from dkvb.recipe import Recipe
from dkvb.records.unlearn import Sweep, UnlearnResult
from dkvb.runtime import progress
from dkvb.runtime.beside import Begin
from dkvb.runtime.parallel import distributed_run, each_unit
from dkvb.stages.unlearn_tables import curve_table, metrics_table, sweep_points
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import atomic
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import CURVE, MASK, METRICS, WEIGHTS
from dkvb.workspace.requests import need_features

FILES = {"mask": MASK, "excluded": MASK, "weights": WEIGHTS}
"""What an outcome keeps -> the file that holds it."""


def run(recipe: Recipe, workspace: Workspace, force: bool = False, begin: Begin | None = None) -> list[UnlearnResult]:
    """Unlearn with every method, forget set and seed of the recipe; each starts from the trained model.

    Args:
        begin: what calls functions in a second process, which then takes half of the methods, and those that train.

    Raises:
        MissingStage: nothing embedded or trained yet.
        UsageError: an unknown class, all classes forgotten, or an N that makes no sense.
        DamagedArtifact: an input has been altered.
    """
    metrics()  # one that cannot be imported is said before the work
    features = need_features(recipe, workspace)
    seeds = {seed: TrainedSeed(recipe, workspace, features, seed) for seed in recipe.run.seeds}
    together = list(seeds.values())
    units = [(seed, forget) for seed, trained in seeds.items() for forget in forget_sets(trained, together)]
    if best_on(together[0]):
        for line in dict.fromkeys(best_in_words(seeds[seed], forget, len(seeds)) for seed, forget in units):
            progress.note(line)
    if distributed_run(recipe.run):
        apart = [(seed, forget, name) for seed, forget in units for name in recipe.unlearn.methods]
        return each_unit(_in_process, apart, recipe, Seeds(workspace, features), force)
    return [entry for seed, forget in units for entry in _forget_set(seeds[seed], forget, force, begin)]


def _in_process(recipe: Recipe, seeds: Seeds, force: bool, unit: tuple[int, list[int], str]) -> UnlearnResult:
    seed, forget, name = unit
    trained = seeds.of(recipe, seed)
    return _one(trained, make(name, trained, forget), forget, force)


def recorded(
    recipe: Recipe, workspace: Workspace, features: Artifact, force: bool, unit: tuple[int, list[int]]
) -> tuple[list[UnlearnResult], list[str]]:
    """What a second process does of a forget set, and the lines that it would say."""
    seed, forget = unit
    with progress.recorded() as said:
        return _forget_set(TrainedSeed(recipe, workspace, features, seed), forget, force), said


def _forget_set(
    trained: TrainedSeed, forget: list[int], force: bool, begin: Begin | None = None
) -> list[UnlearnResult]:
    """By every method; with a second process, half of them there, and those that train, which need torch."""
    recipe, known = trained.recipe, registry.methods()
    mine = recipe.unlearn.methods
    if begin:
        mine = list(takewhile(lambda name: known[name].family == "masking", mine[: len(mine) // 2]))
        others = recipe.with_(unlearn={"method": recipe.unlearn.methods[len(mine) :]})
        unit = (trained.seed, forget)
        result = begin(__name__, "recorded", others, trained.workspace, trained.features, force, unit)
    entries = [_one(trained, make(name, trained, forget), forget, force) for name in mine]
    if begin:
        more, said = result()
        entries += more
        for line in said:
            progress.note(line)
    return entries


def _spec(
    trained: TrainedSeed,
    method: Method,
    forget: Sequence[int],
    kind: Literal["forget", "sweep"],
    more: dict[str, object],
) -> Spec:
    """What a result or a sweep depends on: `more` beside the method's own settings."""
    model = trained.dkvb_artifact if method.model == "dkvb" else trained.linear_artifact
    settings = {"kind": kind, "method": method.name, "forget": list(forget), "seed": trained.seed, **method.settings}
    readable = _readable(trained, method, forget) + ("-sweep" if kind == "sweep" else "")
    return Spec("unlearn", readable, settings | more, {"train": model.fingerprint})


def _readable(trained: TrainedSeed, method: Method, forget: Sequence[int]) -> str:
    names = "-".join(trained.splits.classes[c] for c in forget)
    return f"{trained.recipe.data_name}-{method.name}-{names}-seed{trained.seed}"


@dataclass(frozen=True)
class Choice:
    """The n at which to unlearn, and how it came about."""

    n: int
    chosen: Literal["given", "validation", "test"]
    """Given by the recipe, or chosen by the accuracies on this split."""
    note: str | None = None
    judged_on: list[str] | None = None
    """Splits whose rows of the forget set were looked at; None where n was read off a sweep, or given."""
    evaluations: int | None = None
    """Masks under which they were looked at."""
    seconds: float | None = None
    """What choosing took."""


def _on_rows(trained: TrainedSeed, method: Method) -> bool:
    """Whether "auto" looks for n on the forget set's rows; otherwise it reads n off a sweep."""
    return isinstance(method, Masking) and trained.recipe.unlearn.choose == "validation"


def _depends_on(trained: TrainedSeed, method: Method) -> dict[str, object]:
    """What an artifact depends on beside the method's settings: n, or how it is chosen."""
    recipe = trained.recipe.unlearn
    if method.given != "auto":
        return {"n": int(method.given)}
    # SCRUB aims at its own
    how: dict[str, object] = {"n": "auto", "target": getattr(method, "target", recipe.target), "choose": recipe.choose}
    return how | {"judged": "rows"} if _on_rows(trained, method) else how


def _choose(trained: TrainedSeed, method: Method, sweep: Sweep | None) -> Choice:
    """The recipe's n or, where that is "auto", the smallest that brings the forget set to the target."""
    recipe = trained.recipe.unlearn
    if method.given != "auto":
        return Choice(int(method.given), "given")
    started = time.perf_counter()
    if isinstance(method, Masking) and _on_rows(trained, method):
        chosen = method.choose_n()
        seconds = time.perf_counter() - started
        return Choice(chosen.n, "validation", chosen.note, chosen.judged_on, chosen.evaluations, seconds)
    assert sweep is not None  # made wherever n is automatic
    target = target_accuracy(recipe.target, len(trained.splits.classes))
    n, note = method.choose(curve_on(recipe.choose, sweep.points), target)
    return Choice(n, recipe.choose, note, seconds=sweep.seconds)


def _one(trained: TrainedSeed, method: Method, forget: list[int], force: bool) -> UnlearnResult:
    """Unlearn one forget set by one method, after a sweep where the recipe has one or n is chosen from it."""
    recipe = trained.recipe.unlearn
    automatic = method.given == "auto"
    if not automatic:
        method.check(int(method.given))
    elif (
        recipe.choose == "validation"
        and "validation" not in trained.splits.evaluation
        and not _on_rows(trained, method)
    ):
        raise UsageError(
            f"'auto' chooses {method.dial} on validation data, and this recipe keeps none: set data.validation (0.1,"
            ' say), or unlearn.choose = "test" to read it off the test curve as the paper does.'
        )
    sweep = _sweep(trained, method, forget, force) if recipe.sweep or automatic else None
    label = f"unlearn {_readable(trained, method, forget)}"
    spec = _spec(trained, method, forget, "forget", _depends_on(trained, method))
    with trained.workspace.claim(spec, force) as claim:
        done = claim.reuse(label)
        artifact = done or claim.finish(_unlearn(trained, method, forget, _choose(trained, method, sweep), claim.path))
    more = {"curve": sweep.points if sweep else None, "best_on": best_on(trained)}
    entry = _judged(trained, artifact.entry(UnlearnResult, skipped=done is not None, **more))
    if not done:
        at = f"{method.dial} = {entry.n:,}: " if method.dial else ""
        progress.note(
            f"{label}: {at}forget {percent(entry.before.forget_test)} -> {percent(entry.after.forget_test)}, "
            f"retain {percent(entry.before.retain_test)} -> {percent(entry.after.retain_test)}"
            + (f" ({entry.note})" if entry.note else "")
        )
    if recipe.retrain:
        from dkvb.methods.train_on import train_on  # torch, which masking does without

        points = train_on(trained, method, entry.n, artifact, _readable(trained, method, forget), force)
        entry = entry.model_copy(update={"retraining": points})
    return entry


def _judged(trained: TrainedSeed, entry: UnlearnResult) -> UnlearnResult:
    """The entry with whether it is a baseline, where it is of the linear head."""
    if entry.model != "linear" or entry.before.forget_test is None:
        return entry
    why = no_baseline(entry, trained.bottleneck_result)
    note = "; ".join(text for text in (why, entry.note) if text) or None
    return entry.model_copy(update={"baseline": why is None, "note": note})


def _unlearn(trained: TrainedSeed, method: Method, forget: list[int], choice: Choice, folder: Path) -> UnlearnResult:
    """Unlearn, measure, and write what is kept and what was measured."""
    started = time.perf_counter()
    outcome = method.forget(choice.n)
    counts = {when: count(trained.splits, of) for when, of in (("before", outcome.before), ("after", outcome.after))}
    seconds = time.perf_counter() - started - outcome.seconds - outcome.seconds_counts
    keys, classes = trained.keys, trained.splits.classes
    result = UnlearnResult(
        method=method.name,
        model=method.model,
        forget=forget,
        forget_names=[classes[c] for c in forget],
        classes=classes,
        seed=trained.seed,
        n=choice.n,
        n_name=method.dial,
        chosen=choice.chosen,
        judged_on=choice.judged_on,
        evaluations=choice.evaluations,
        seconds_choose=None if choice.seconds is None else round(choice.seconds, 4),
        masked=outcome.masked,
        activated=outcome.activated,
        pairs_total=keys.codebooks * keys.pairs if method.model == "dkvb" else None,
        seconds=round(outcome.seconds, 4),
        seconds_counts=round(outcome.seconds_counts, 4),
        flops=outcome.flops,
        flops_adam=outcome.flops_adam,
        flops_counts=outcome.flops_counts,
        seconds_evaluate=round(max(0.0, seconds), 4),
        note=outcome.note or choice.note,
        not_in_paper=method.not_in_paper,
        keeps=outcome.keeps,
        before=measure(counts["before"], forget),
        per_class_before=counts["before"]["test"].per_class,
        after=measure(counts["after"], forget),
        per_class_after=counts["after"]["test"].per_class,
        measures=measured(outcome.before["test"], outcome.after["test"], trained.splits.labels["test"], forget),
    )
    if outcome.keeps != "nothing":
        with atomic(folder / FILES[outcome.keeps]) as temporary:
            save_file(outcome.arrays, temporary)
    with atomic(folder / METRICS) as temporary:
        metrics_table(counts).write_parquet(temporary)
    return result


def _sweep(trained: TrainedSeed, method: Method, forget: list[int], force: bool) -> Sweep:
    """The curve over n, made once and shared by every n that is chosen from it."""
    label = f"sweep {_readable(trained, method, forget)}"
    own = isinstance(method, Masking) and not method.paper_sweep
    points_of: dict[str, object] = {"grid": "to zero and beyond" if own else method.grid()}
    with trained.workspace.claim(_spec(trained, method, forget, "sweep", points_of), force) as claim:
        if done := claim.reuse(label):
            return done.result_as(Sweep)
        started = time.perf_counter()
        grid = method.grid()
        with progress.task(label, len(grid) * len(trained.splits.evaluation), "points") as task:
            points = method.sweep(grid, task.advance)
        seconds = round(time.perf_counter() - started, 4)
        with atomic(claim.path / CURVE) as temporary:
            curve_table(points).write_parquet(temporary)
        result = Sweep(
            method=method.name,
            model=method.model,
            forget=forget,
            seed=trained.seed,
            n_name=method.dial,
            grid=grid,
            points=sweep_points(points, grid, forget),
            seconds=seconds,
        )
        claim.finish(result)
        return result
