"""Stage 4: unlearn classes from the trained models, by every method of the recipe (paper, section 4 and 5.3).

Each (seed, forget set, method) is one artifact: `mask.safetensors` (a packed mask beside an untouched model) or the student's weights, and
`metrics.parquet`, accuracy per class, split and time. A sweep over n is an artifact of its own, with `curve.parquet`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import polars
from safetensors.numpy import save_file

from dkvb import progress
from dkvb.artifacts import need_features
from dkvb.errors import UsageError, nearest
from dkvb.files import atomic
from dkvb.methods import METHODS, Forgotten, Method
from dkvb.methods.base import CurvePoint
from dkvb.metrics.accuracy import accuracies, per_class, retain_and_forget
from dkvb.parallel import distributed_run, each_unit
from dkvb.recipe import Recipe
from dkvb.retraining import retrain
from dkvb.study import Study
from dkvb.workspace import Artifact, Spec, Workspace


def run(recipe: Recipe, workspace: Workspace, force: bool = False) -> list[dict[str, Any]]:
    """Unlearn with every method, forget set and seed of the recipe; each starts from the trained model.

    Raises:
        MissingStage: nothing embedded or trained yet.
        UsageError: an unknown class, all classes forgotten, or an N that makes no sense.
        DamagedArtifact: an input has been altered.
    """
    features = need_features(recipe, workspace)
    studies = {seed: Study(recipe, workspace, features, seed) for seed in recipe.run.seeds}
    units = [(seed, forget) for seed, study in studies.items() for forget in forget_sets(study)]
    if distributed_run(recipe.run):
        made = each_unit(_apart, units, recipe, workspace, features, force)
    else:
        made = [_forget_set(studies[seed], forget, force) for seed, forget in units]
    return [entry for entries in made for entry in entries]


def _apart(recipe: Recipe, workspace: Workspace, features: Artifact, force: bool, unit: tuple[int, list[int]]) -> list[dict[str, Any]]:
    seed, forget = unit
    return _forget_set(Study(recipe, workspace, features, seed), forget, force)


def _forget_set(study: Study, forget: list[int], force: bool) -> list[dict[str, Any]]:
    return [_one(study, METHODS[name](study, forget), forget, force) for name in study.recipe.unlearn.methods]


def forget_sets(study: Study) -> list[list[int]]:
    """The classes to forget, together or in turn, as ids.

    Raises:
        UsageError: a name or id that is no class, a class named twice, or all of them.
    """
    wanted, classes = study.recipe.unlearn.forget, study.splits.classes
    if wanted == "best":
        return [[_best_learned(study)]]
    if wanted == "each":
        return [[c] for c in range(len(classes))]
    return [class_ids(wanted if isinstance(wanted, list) else [wanted], classes)]


def class_ids(names: Sequence[str | int], classes: Sequence[str]) -> list[int]:
    """The classes to forget together as ids, sorted.

    Raises:
        UsageError: no names, a name or id that is no class, a class named twice, or all of them.
    """
    ids = [class_id(name, classes) for name in names]
    if not ids:
        raise UsageError("The list of classes to forget is empty: name at least one, or 'best'.")
    if twice := [classes[c] for c in ids if ids.count(c) > 1]:
        raise UsageError(f"Class '{twice[0]}' is named twice among the classes to forget; name it once.")
    if len(ids) == len(classes):
        raise UsageError(f"All {len(classes)} classes would be forgotten and nothing retained: leave at least one out.")
    return sorted(ids)


def class_id(name: str | int, classes: Sequence[str]) -> int:
    """The id of a class given by name or, where no class is called that, by id.

    Raises:
        UsageError: there is no such class.
    """
    if str(name) in classes:
        return list(classes).index(str(name))
    try:
        number = int(name)
    except ValueError:
        raise UsageError(f"There is no class '{name}'{nearest(str(name), classes)}") from None
    if not 0 <= number < len(classes):
        raise UsageError(f"There is no class {number}: ids go from 0 to {len(classes) - 1}.")
    return number


def _best_learned(study: Study) -> int:
    """The class with the fewest test misclassifications of the bottleneck, lowest id on a tie (Appendix A)."""
    result = study.dkvb_artifact.result
    tested = np.array(result["tested"]) > 0
    return int(np.where(tested, result["misclassified_test"], np.iinfo(np.int64).max).argmin())


def _settings(study: Study, method: Method, forget: Sequence[int], kind: str) -> dict[str, Any]:
    return {"kind": kind, "method": method.name, "forget": list(forget), "seed": study.seed, **method.settings}


def _inputs(study: Study, method: Method) -> dict[str, str]:
    return {"train": (study.dkvb_artifact if method.model == "dkvb" else study.linear_artifact).fingerprint}


def _readable(study: Study, method: Method, forget: Sequence[int]) -> str:
    names = "-".join(study.splits.classes[c] for c in forget)
    return f"{study.recipe.data_name}-{method.name}-{names}-seed{study.seed}"


def _one(study: Study, method: Method, forget: list[int], force: bool) -> dict[str, Any]:
    recipe = study.recipe.unlearn
    automatic = method.given == "auto"
    if automatic and recipe.choose == "validation" and "validation" not in study.splits.evaluation:
        raise UsageError(
            f"'auto' chooses {method.dial} on validation data, and this recipe keeps none: set data.validation (0.1, say), "
            f'or unlearn.choose = "test" to read it off the test curve as the paper does.'
        )
    sweep = _sweep(study, method, forget, force) if recipe.sweep or automatic else None
    settings = _settings(study, method, forget, "forget")
    note, chosen = None, "given"
    if automatic and sweep:
        chosen = recipe.choose
        target = 0.0 if recipe.target == "zero" else 1 / len(study.splits.classes)
        n, note = method.choose(_curve_of(sweep, chosen), target)
        settings |= {"n": "auto", "target": recipe.target, "choose": recipe.choose}
    else:
        n = int(method.given)
        settings |= {"n": n}
    method.check(n)
    label = f"unlearn {_readable(study, method, forget)}"
    with study.workspace.claim(Spec("unlearn", _readable(study, method, forget), settings, _inputs(study, method)), force) as claim:
        if claim.artifact:
            claim.artifact.check()
            progress.note(f"{label}: already done ({claim.artifact.path.name})")
            return _entry(claim.artifact, sweep, skipped=True) | _retrained(study, method, n, claim.artifact, force)
        started = time.perf_counter()
        outcome = method.forget(n)
        outcome.note = outcome.note or note
        result = _result(study, method, forget, n, chosen, outcome, time.perf_counter() - started)
        with atomic(
            claim.path / ("mask.safetensors" if {"mask", "excluded"} & outcome.arrays.keys() else "weights.safetensors")
        ) as temporary:
            save_file(outcome.arrays, temporary)
        with atomic(claim.path / "metrics.parquet") as temporary:
            _metrics(study, outcome).write_parquet(temporary)
        artifact = claim.finish(result)
    before, after = result["before"], result["after"]
    at = f"{method.dial} = {n:,}: " if method.dial else ""
    progress.note(
        f"{label}: {at}forget {before['forget_test']:.1%} -> {after['forget_test']:.1%}, "
        f"retain {before['retain_test']:.1%} -> {after['retain_test']:.1%}" + (f" ({outcome.note})" if outcome.note else "")
    )
    return _entry(artifact, sweep, skipped=False) | _retrained(study, method, n, artifact, force)


def _retrained(study: Study, method: Method, n: int, artifact: Artifact, force: bool) -> dict[str, Any]:
    """`retraining`, the points of training on, where the recipe asks for it and the method leaves something to train."""
    if not study.recipe.unlearn.retrain:
        return {}
    points = retrain(study, method, n, artifact, _readable(study, method, artifact.result["forget"]), force)
    return {} if points is None else {"retraining": points}


def _entry(artifact: Artifact, sweep: Artifact | None, skipped: bool) -> dict[str, Any]:
    curve = {"curve": sweep.result["points"]} if sweep else {}
    return {**artifact.result, **curve, "skipped": skipped, "artifact": str(artifact.path)}


def _counted(study: Study, predicted: np.ndarray, split: str) -> tuple[np.ndarray, np.ndarray]:
    return per_class(predicted, study.splits.labels[split], len(study.splits.classes))


def _result(study: Study, method: Method, forget: list[int], n: int, chosen: str, outcome: Forgotten, seconds: float) -> dict[str, Any]:
    result: dict[str, Any] = {
        "method": method.name,
        "model": method.model,
        "forget": forget,
        "forget_names": [study.splits.classes[c] for c in forget],
        "classes": study.splits.classes,
        "seed": study.seed,
        "n": n,
        "n_name": method.dial,
        "chosen": chosen,
        "masked": outcome.masked,
        "activated": outcome.activated,
        "pairs_total": study.recipe.keys.codebooks * study.recipe.keys.pairs if method.model == "dkvb" else None,
        "seconds": round(outcome.seconds, 4),
        "seconds_counts": round(outcome.seconds_counts, 4),
        "flops": outcome.flops,
        "flops_counts": outcome.flops_counts,
        "seconds_evaluate": round(max(0.0, seconds - outcome.seconds - outcome.seconds_counts), 4),
        "note": outcome.note,
        "not_in_paper": method.not_in_paper,
    }
    for when, predicted in (("before", outcome.before), ("after", outcome.after)):
        result[when] = {}
        for split in ("test", "train"):
            correct, total = _counted(study, predicted[split], split)
            retain, forgotten = retain_and_forget(correct, total, forget)
            result[when] |= {f"retain_{split}": retain, f"forget_{split}": forgotten}
            if split == "test":
                result[f"per_class_{when}"] = accuracies(correct, total)
    return result


def _metrics(study: Study, outcome: Forgotten) -> polars.DataFrame:
    rows = []
    for when, predicted in (("before", outcome.before), ("after", outcome.after)):
        for split in ("train", "test"):
            correct, total = _counted(study, predicted[split], split)
            rows += [
                {"when": when, "split": split, "class": c, "correct": int(correct[c]), "total": int(total[c])} for c in range(len(total))
            ]
    return polars.DataFrame(rows)


def _sweep(study: Study, method: Method, forget: list[int], force: bool) -> Artifact:
    """The curve over n, made once and shared by every n chosen from it."""
    grid = method.grid()
    settings = _settings(study, method, forget, "sweep") | {"grid": grid}
    label = f"sweep {_readable(study, method, forget)}"
    with study.workspace.claim(
        Spec("unlearn", f"{_readable(study, method, forget)}-sweep", settings, _inputs(study, method)), force
    ) as claim:
        if claim.artifact:
            claim.artifact.check()
            progress.note(f"{label}: already done ({claim.artifact.path.name})")
            return claim.artifact
        with progress.task(label, len(grid) * len(study.splits.evaluation), "points") as task:
            points = method.sweep(grid, task.advance)
        rows = [
            {"n": p.n, "split": p.split, "class": c, "correct": int(p.correct[c]), "total": int(p.total[c]), "masked": p.masked}
            for p in points
            for c in range(len(p.total))
        ]
        with atomic(claim.path / "curve.parquet") as temporary:
            polars.DataFrame(rows).write_parquet(temporary)
        by_n: dict[int, dict[str, Any]] = {n: {"n": n} for n in grid}
        for p in points:
            retain, forgotten = retain_and_forget(p.correct, p.total, forget)
            by_n[p.n] |= {"masked": p.masked, f"retain_{p.split}": retain, f"forget_{p.split}": forgotten}
        result = {"method": method.name, "model": method.model, "forget": forget, "seed": study.seed, "n_name": method.dial}
        return claim.finish(result | {"grid": grid, "points": list(by_n.values())})


def _curve_of(sweep: Artifact, split: str) -> list[CurvePoint]:
    return [CurvePoint(p["n"], p[f"retain_{split}"], p[f"forget_{split}"]) for p in sweep.result["points"]]


class _Callable(ModuleType):
    """The stage's name is also that of the in-memory function: `dkvb.unlearn(model, …)`, see `dkvb.model.unlearn`."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from dkvb.model import unlearn

        return unlearn(*args, **options)


sys.modules[__name__].__class__ = _Callable
