"""Whether everything that was ever asked to be forgotten is: all forgotten classes of a trained bottleneck, measured
again.

Measured on held-out data: accuracies with 95 % intervals, the same from a model retrained on the retain set (the
oracle: same keys and codes), where samples of the forgotten classes go, what lifting the mask brings back, and how fast
a class is learned again. Nothing is read from earlier verdicts; the oracle alone is kept, as an artifact, and shared
with the method `retrain`.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from dkvb.deletion.ledger import append
from dkvb.deletion.relearning import Masked, relearning
from dkvb.errors import DamagedArtifact, MissingStage
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.metrics import proportions as measures
from dkvb.recipe import Recipe
from dkvb.runtime import progress
from dkvb.training.on_retain_set import load_bottleneck, retrained
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import MASKED, PURGED, Request, forgotten, need_features


def run(recipe: Recipe, workspace: Workspace) -> list[dict[str, Any]]:
    """A verdict per seed of the recipe in whose model anything is forgotten.

    Raises:
        MissingStage: no such model, or nothing is forgotten in it.
        DamagedArtifact: model, features or a mask have been altered.
    """
    features = need_features(recipe, workspace)
    entries = []
    for seed in recipe.run.seeds:
        trained = TrainedSeed(recipe, workspace, features, seed)
        found = forgotten(workspace, trained.dkvb_artifact)
        if not found.classes:
            progress.note(f"verify seed {seed}: nothing is forgotten in this model")
            continue
        entry = verify(trained, found.mask, found.classes, found.requests)
        entry["mend"] = _mend(entry, found.requests)
        entries.append(entry | {"recorded": _record(workspace, entry, found.requests)})
    if not entries:
        raise MissingStage(
            f"Nothing is forgotten in the trained bottleneck of seed {', '.join(map(str, recipe.run.seeds))} in"
            f" {workspace.root}: open a request with `dkvb forget CLASS` first."
        )
    return entries


def _mend(entry: dict[str, Any], requests: Sequence[Request]) -> list[str]:
    """Of each request whose classes are remembered too well: the commands that mask more."""
    said = []
    for request in requests:
        weak = [
            name
            for name in request.names
            if any(c["name"] == f"forget accuracy: {name}" and not c["passed"] for c in entry["checks"])
        ]
        settings = request.data.get("settings", {})
        if weak and request.state == MASKED and "n" in settings:
            flag = {"N_e": "--ne"}.get(settings.get("n_name", ""), "--na")
            again = " ".join(map(shlex.quote, request.names))
            said.append(
                f"To mask more: `dkvb restore {request.id}`, then `dkvb forget {again} {flag} N` with N above"
                f" {settings['n']:,}."
            )
    return said


def _record(workspace: Workspace, entry: dict[str, Any], requests: Sequence[Request]) -> bool:
    """Enter the verdict into the ledger, for every request; False where the ledger takes no more, which changes no
    verdict."""
    accuracy, oracle = entry["accuracy"]["test"], entry["oracle"]["test"]
    for request in requests:
        forget = {
            names["name"]: names["accuracy"] for names in accuracy["per_class"] if names["class"] in request.classes
        }
        measured = {"forget_test": forget, "retain_test": accuracy["retain"], "oracle_retain_test": oracle["retain"]}
        try:
            append(workspace, "verified", request, passed=entry["passed"], state=request.state, measured=measured)
        except DamagedArtifact as error:
            progress.note(f"verify: the verdict is not recorded. {error}")
            return False
    return bool(requests)


def verify(
    trained: TrainedSeed, mask: np.ndarray | None, classes: Sequence[int], requests: Sequence[Request] = ()
) -> dict[str, Any]:
    """The verdict on one trained bottleneck.

    Args:
        mask: (C, M) bool, True where a pair is masked; None masks nothing.
        classes: ids of all forgotten classes.
        requests: those that made the mask, if any did.

    Returns:
        An entry of `dkvb verify --json`; `passed` is whether every check that could be made was passed, and one was
        made of every class.

    Raises:
        DamagedArtifact: a mask of another shape than the keys.
        DkvbError: no class is left to retrain on.
    """
    started = time.perf_counter()
    model, splits, forget = trained.bottleneck, trained.splits, sorted(set(classes))
    shape = (model.codebooks, model.pairs)
    mask = np.zeros(shape, bool) if mask is None else np.asarray(mask, bool)
    if mask.shape != shape:
        raise DamagedArtifact(
            f"The mask of the requests has shape {mask.shape} and the keys {shape}: `dkvb forget` opens them again."
        )
    unmasked = trained.no_mask
    order = unmasked.copy()
    order[mask] = -1
    oracle_model, oracle_order = load_bottleneck(trained, forget, "retrain")
    measurements = 2 + len(forget) * (1 + len(trained.recipe.verify.samples))
    with progress.task(f"verify seed {trained.seed}", measurements, "measurements") as task:
        unlearned, lifted, oracle = {}, {}, {}
        for split in splits.evaluation:
            unlearned[split] = masked_predictions(model, order, [0], split)[0]
            lifted[split] = masked_predictions(model, unmasked, [0], split)[0]
        task.advance(1)
        for split in splits.evaluation:
            oracle[split] = masked_predictions(oracle_model, oracle_order, [0], split)[0]
        task.advance(1)
        masked, control = Masked(model, order < 0), Masked(oracle_model, oracle_order < 0)
        again = relearning(trained.recipe, masked, control, forget, trained.seed, lambda: task.advance(1))
    found = {
        split: measures.accuracies(unlearned[split], splits.labels[split], splits.classes, forget)
        for split in unlearned
    }
    before = _before(trained, forget)
    checks = _checks(trained, found["test"], before, forget, again, requests)
    return {
        "seed": trained.seed,
        "classes": forget,
        "names": [splits.classes[c] for c in forget],
        "labels": splits.classes,
        "passed": all(check["passed"] for check in checks),
        "masked": int(mask.sum()),
        "pairs_total": int(mask.size),
        "requests": [_request(trained, request) for request in requests],
        "checks": checks,
        "accuracy": found | {"before": {"retain": before}},
        "oracle": _oracle(trained, forget, unlearned, oracle),
        "destinations": measures.destinations(
            unlearned["test"], oracle["test"], splits.labels["test"], splits.classes, forget
        ),
        "relearning": again,
        "recovery": _recovery(trained, mask, forget, unlearned["test"], lifted["test"]),
        "seconds": round(time.perf_counter() - started, 3),
    }


def _before(trained: TrainedSeed, forget: Sequence[int]) -> measures.Accuracy | None:
    """Retain accuracy on test as training measured it: after a purge the model can no longer say."""
    result = trained.dkvb_artifact.result
    if "tested" not in result or "misclassified_test" not in result:
        return None
    retain = measures.retain_classes(len(trained.splits.classes), forget)
    samples = sum(int(result["tested"][c]) for c in retain)
    return measures.accuracy(samples - sum(int(result["misclassified_test"][c]) for c in retain), samples)


def _checks(
    trained: TrainedSeed,
    found: dict[str, Any],
    before: measures.Accuracy | None,
    forget: Sequence[int],
    again: list[dict[str, Any]],
    requests: Sequence[Request],
) -> list[dict[str, Any]]:
    limits, names, checks = trained.recipe.verify, trained.splits.classes, []
    most = 1 / len(names) if limits.max_forget == "chance" else limits.max_forget
    for c in forget:
        one = found["per_class"][c]
        purged = [request for request in requests if c in request.classes and request.state == PURGED]
        if one["accuracy"] is None and purged:
            checks.append(_values_erased(trained, names[c], purged))
        elif one["accuracy"] is None:
            detail = "no held-out samples of this class are left on which to measure"
            checks.append(_check(f"forget accuracy: {names[c]}", None, most, False, detail))
        else:
            checks.append(
                _check(f"forget accuracy: {names[c]}", one["accuracy"], most, one["accuracy"] <= most, _said(one))
            )
    retain = found["retain"]
    if retain and before:
        drop = before["accuracy"] - retain["accuracy"]
        detail = f"{before['accuracy']:.1%} before, {_said(retain)} now"
        checks.append(
            _check("retain accuracy lost", drop, limits.max_retain_drop, drop <= limits.max_retain_drop, detail)
        )
    if retain and limits.min_retain is not None:
        value = retain["accuracy"]
        checks.append(_check("retain accuracy", value, limits.min_retain, value >= limits.min_retain, _said(retain)))
    if limits.max_relearn is not None:
        for row in again:
            if row["samples"] and row["difference"] is not None:
                detail = (
                    f"{row['unlearned']['accuracy']:.1%} after {row['used']} samples, the oracle"
                    f" {row['oracle']['accuracy']:.1%}"
                )
                name, value = f"relearning from {row['samples']}: {row['name']}", row["difference"]
                checks.append(_check(name, value, limits.max_relearn, value <= limits.max_relearn, detail))
    return checks


def _values_erased(trained: TrainedSeed, name: str, purged: Sequence[Request]) -> dict[str, Any]:
    """What is left to check of a class whose samples were purged from the held-out data as well."""
    if any(request.data.get("purge", {}).get("keys") == "reinit" for request in purged):
        detail = "its samples were purged with it; keys and values were made again without it"
        return _check(f"values erased: {name}", 0.0, 0.0, True, detail)
    left = 1 - (_erased(trained, np.logical_or.reduce([request.mask() for request in purged])) or 0.0)
    detail = f"its samples were purged with it: no accuracy can be measured; {left:.1%} of its pairs still hold values"
    return _check(f"values erased: {name}", left, 0.0, left == 0, detail)


def _check(name: str, value: float | None, threshold: float, passed: bool, detail: str) -> dict[str, Any]:
    return {"name": name, "passed": bool(passed), "value": value, "threshold": threshold, "detail": detail}


def _said(found: dict[str, Any]) -> str:
    return (
        f"{found['accuracy']:.1%} ({found['low']:.1%} to {found['high']:.1%}, {found['correct']} of {found['samples']})"
    )


def _oracle(
    trained: TrainedSeed, forget: Sequence[int], unlearned: dict[str, np.ndarray], oracle: dict[str, np.ndarray]
) -> dict[str, Any]:
    artifact, splits = retrained(trained, forget, "retrain"), trained.splits
    labels, mine = splits.labels["test"], np.isin(splits.labels["test"], forget)
    right = [predicted["test"] == labels for predicted in (unlearned, oracle)]
    return {
        "artifact": str(artifact.path),
        "seconds": artifact.result["seconds"],
        **{split: measures.accuracies(oracle[split], splits.labels[split], splits.classes, forget) for split in oracle},
        "difference": {
            "retain": measures.paired_difference(*(r[~mine] for r in right)),
            "forget": measures.paired_difference(*(r[mine] for r in right)),
        },
    }


def _request(trained: TrainedSeed, request: Request) -> dict[str, Any]:
    mask = request.mask()
    return {
        "id": request.id,
        "classes": request.classes,
        "state": request.state,
        "masked": int(mask.sum()),
        "erased": _erased(trained, mask),
    }


def _erased(trained: TrainedSeed, mask: np.ndarray) -> float | None:
    """The share of masked pairs whose values are all zero or no numbers; None where none is masked."""
    values = trained.bottleneck.values[mask]
    gone = ~np.isfinite(values).all(1) | ~values.any(1)
    return float(gone.mean()) if len(gone) else None


def _recovery(
    trained: TrainedSeed, mask: np.ndarray, forget: Sequence[int], now: np.ndarray, lifted: np.ndarray
) -> dict[str, Any]:
    """Accuracy that comes back when the mask is lifted; `erased`, see `_erased`."""
    labels, names = trained.splits.labels["test"], trained.splits.classes
    erased = _erased(trained, mask)
    if erased is None:
        detail = "no pair is masked: there is nothing to lift"
    elif erased == 1:
        detail = "the values of all masked pairs are gone: lifting the mask brings nothing back"
    elif erased:
        detail = (
            f"the values of {erased:.1%} of the masked pairs are gone; lifting the mask brings back what the others"
            " hold"
        )
    else:
        detail = (
            "the values of masked pairs are still there: lifting the mask brings the class back until the request is"
            " purged"
        )
    return {
        "possible": erased is not None and erased < 1,
        "erased": erased,
        "detail": detail,
        "classes": {
            names[c]: {
                "class": c,
                "masked": measures.accuracy_on(now, labels, [c]),
                "unmasked": measures.accuracy_on(lifted, labels, [c]) if erased != 1 else None,
            }
            for c in forget
        },
    }
