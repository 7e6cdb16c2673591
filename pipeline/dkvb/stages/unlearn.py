"""Stage 4: unlearn classes from the trained models, by every method of the recipe (paper, section 4 and 5.3).

Each (seed, forget set, method) is one artifact: `mask.safetensors` (a packed mask beside an untouched model) or the
student's weights, and `metrics.parquet`, accuracy per class, split and time. A sweep over n is an artifact of its own,
with `curve.parquet`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars
from safetensors.numpy import save_file

from dkvb.errors import UsageError
from dkvb.evaluation.forget_sets import forget_sets
from dkvb.evaluation.seed import TrainedSeed
from dkvb.methods.base import CurvePoint, Method, Outcome, make
from dkvb.metrics.accuracy import accuracies, per_class, retain_and_forget
from dkvb.recipe import Recipe
from dkvb.runtime import progress
from dkvb.runtime.parallel import distributed_run, each_unit
from dkvb.workspace.artifacts import Artifact, Workspace
from dkvb.workspace.files import atomic
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import CURVE, MASK, METRICS, WEIGHTS
from dkvb.workspace.requests import need_features

FILES = {"mask": MASK, "excluded": MASK, "weights": WEIGHTS}
"""What an outcome keeps -> the file that holds it."""


def run(recipe: Recipe, workspace: Workspace, force: bool = False) -> list[dict[str, Any]]:
    """Unlearn with every method, forget set and seed of the recipe; each starts from the trained model.

    Raises:
        MissingStage: nothing embedded or trained yet.
        UsageError: an unknown class, all classes forgotten, or an N that makes no sense.
        DamagedArtifact: an input has been altered.
    """
    features = need_features(recipe, workspace)
    studies = {seed: TrainedSeed(recipe, workspace, features, seed) for seed in recipe.run.seeds}
    units = [(seed, forget) for seed, trained in studies.items() for forget in forget_sets(trained)]
    if distributed_run(recipe.run):
        made = each_unit(_apart, units, recipe, workspace, features, force)
    else:
        made = [_forget_set(studies[seed], forget, force) for seed, forget in units]
    return [entry for entries in made for entry in entries]


def _apart(
    recipe: Recipe, workspace: Workspace, features: Artifact, force: bool, unit: tuple[int, list[int]]
) -> list[dict[str, Any]]:
    seed, forget = unit
    return _forget_set(TrainedSeed(recipe, workspace, features, seed), forget, force)


def _forget_set(trained: TrainedSeed, forget: list[int], force: bool) -> list[dict[str, Any]]:
    return [_one(trained, make(name, trained, forget), forget, force) for name in trained.recipe.unlearn.methods]


def _settings(trained: TrainedSeed, method: Method, forget: Sequence[int], kind: str) -> dict[str, Any]:
    return {"kind": kind, "method": method.name, "forget": list(forget), "seed": trained.seed, **method.settings}


def _inputs(trained: TrainedSeed, method: Method) -> dict[str, str]:
    return {"train": (trained.dkvb_artifact if method.model == "dkvb" else trained.linear_artifact).fingerprint}


def _readable(trained: TrainedSeed, method: Method, forget: Sequence[int]) -> str:
    names = "-".join(trained.splits.classes[c] for c in forget)
    return f"{trained.recipe.data_name}-{method.name}-{names}-seed{trained.seed}"


def _one(trained: TrainedSeed, method: Method, forget: list[int], force: bool) -> dict[str, Any]:
    recipe = trained.recipe.unlearn
    automatic = method.given == "auto"
    if automatic and recipe.choose == "validation" and "validation" not in trained.splits.evaluation:
        raise UsageError(
            f"'auto' chooses {method.dial} on validation data, and this recipe keeps none: set data.validation (0.1,"
            " say), "
            f'or unlearn.choose = "test" to read it off the test curve as the paper does.'
        )
    sweep = _sweep(trained, method, forget, force) if recipe.sweep or automatic else None
    settings = _settings(trained, method, forget, "forget")
    note, chosen = None, "given"
    if automatic and sweep:
        chosen = recipe.choose
        target = 0.0 if recipe.target == "zero" else 1 / len(trained.splits.classes)
        n, note = method.choose(_curve_of(sweep, chosen), target)
        settings |= {"n": "auto", "target": recipe.target, "choose": recipe.choose}
    else:
        n = int(method.given)
        settings |= {"n": n}
    method.check(n)
    label = f"unlearn {_readable(trained, method, forget)}"
    with trained.workspace.claim(
        Spec("unlearn", _readable(trained, method, forget), settings, _inputs(trained, method)), force
    ) as claim:
        if claim.artifact:
            claim.artifact.check()
            progress.note(f"{label}: already done ({claim.artifact.path.name})")
            return _entry(claim.artifact, sweep, skipped=True) | _retrained(trained, method, n, claim.artifact, force)
        started = time.perf_counter()
        outcome = method.forget(n)
        outcome.note = outcome.note or note
        result = _result(trained, method, forget, n, chosen, outcome, time.perf_counter() - started)
        if outcome.keeps != "nothing":
            with atomic(claim.path / FILES[outcome.keeps]) as temporary:
                save_file(outcome.arrays, temporary)
        with atomic(claim.path / METRICS) as temporary:
            _metrics(trained, outcome).write_parquet(temporary)
        artifact = claim.finish(result)
    before, after = result["before"], result["after"]
    at = f"{method.dial} = {n:,}: " if method.dial else ""
    progress.note(
        f"{label}: {at}forget {before['forget_test']:.1%} -> {after['forget_test']:.1%}, "
        f"retain {before['retain_test']:.1%} -> {after['retain_test']:.1%}"
        + (f" ({outcome.note})" if outcome.note else "")
    )
    return _entry(artifact, sweep, skipped=False) | _retrained(trained, method, n, artifact, force)


def _retrained(trained: TrainedSeed, method: Method, n: int, artifact: Artifact, force: bool) -> dict[str, Any]:
    """`retraining`, the points of training on, where the recipe asks for it and the method leaves something to
    train."""
    if not trained.recipe.unlearn.retrain:
        return {}
    from dkvb.methods.train_on import retrain  # torch, which masking does without

    points = retrain(trained, method, n, artifact, _readable(trained, method, artifact.result["forget"]), force)
    return {} if points is None else {"retraining": points}


def _entry(artifact: Artifact, sweep: Artifact | None, skipped: bool) -> dict[str, Any]:
    curve = {"curve": sweep.result["points"]} if sweep else {}
    return {**artifact.result, **curve, "skipped": skipped, "artifact": str(artifact.path)}


def _counted(trained: TrainedSeed, predicted: np.ndarray, split: str) -> tuple[np.ndarray, np.ndarray]:
    return per_class(predicted, trained.splits.labels[split], len(trained.splits.classes))


def _result(
    trained: TrainedSeed, method: Method, forget: list[int], n: int, chosen: str, outcome: Outcome, seconds: float
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "method": method.name,
        "model": method.model,
        "forget": forget,
        "forget_names": [trained.splits.classes[c] for c in forget],
        "classes": trained.splits.classes,
        "seed": trained.seed,
        "n": n,
        "n_name": method.dial,
        "chosen": chosen,
        "masked": outcome.masked,
        "activated": outcome.activated,
        "pairs_total": trained.recipe.keys.codebooks * trained.recipe.keys.pairs if method.model == "dkvb" else None,
        "seconds": round(outcome.seconds, 4),
        "seconds_counts": round(outcome.seconds_counts, 4),
        "flops": outcome.flops,
        "flops_counts": outcome.flops_counts,
        "seconds_evaluate": round(max(0.0, seconds - outcome.seconds - outcome.seconds_counts), 4),
        "note": outcome.note,
        "not_in_paper": method.not_in_paper,
        "keeps": outcome.keeps,
    }
    for when, predicted in (("before", outcome.before), ("after", outcome.after)):
        result[when] = {}
        for split in ("test", "train"):
            correct, total = _counted(trained, predicted[split], split)
            retain, forgotten = retain_and_forget(correct, total, forget)
            result[when] |= {f"retain_{split}": retain, f"forget_{split}": forgotten}
            if split == "test":
                result[f"per_class_{when}"] = accuracies(correct, total)
    return result


def _metrics(trained: TrainedSeed, outcome: Outcome) -> polars.DataFrame:
    rows = []
    for when, predicted in (("before", outcome.before), ("after", outcome.after)):
        for split in ("train", "test"):
            correct, total = _counted(trained, predicted[split], split)
            rows += [
                {"when": when, "split": split, "class": c, "correct": int(correct[c]), "total": int(total[c])}
                for c in range(len(total))
            ]
    return polars.DataFrame(rows)


def _sweep(trained: TrainedSeed, method: Method, forget: list[int], force: bool) -> Artifact:
    """The curve over n, made once and shared by every n chosen from it."""
    grid = method.grid()
    settings = _settings(trained, method, forget, "sweep") | {"grid": grid}
    label = f"sweep {_readable(trained, method, forget)}"
    with trained.workspace.claim(
        Spec("unlearn", f"{_readable(trained, method, forget)}-sweep", settings, _inputs(trained, method)), force
    ) as claim:
        if claim.artifact:
            claim.artifact.check()
            progress.note(f"{label}: already done ({claim.artifact.path.name})")
            return claim.artifact
        with progress.task(label, len(grid) * len(trained.splits.evaluation), "points") as task:
            points = method.sweep(grid, task.advance)
        rows = [
            {
                "n": p.n,
                "split": p.split,
                "class": c,
                "correct": int(p.correct[c]),
                "total": int(p.total[c]),
                "masked": p.masked,
            }
            for p in points
            for c in range(len(p.total))
        ]
        with atomic(claim.path / CURVE) as temporary:
            polars.DataFrame(rows).write_parquet(temporary)
        by_n: dict[int, dict[str, Any]] = {n: {"n": n} for n in grid}
        for p in points:
            retain, forgotten = retain_and_forget(p.correct, p.total, forget)
            by_n[p.n] |= {"masked": p.masked, f"retain_{p.split}": retain, f"forget_{p.split}": forgotten}
        result = {
            "method": method.name,
            "model": method.model,
            "forget": forget,
            "seed": trained.seed,
            "n_name": method.dial,
        }
        return claim.finish(result | {"grid": grid, "points": list(by_n.values())})


def _curve_of(sweep: Artifact, split: str) -> list[CurvePoint]:
    return [CurvePoint(p["n"], p[f"retain_{split}"], p[f"forget_{split}"]) for p in sweep.result["points"]]
