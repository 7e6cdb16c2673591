"""`forget`: open a request that adds to what is already forgotten; `restore`: take one back, exactly."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from dkvb.bottleneck.mask_order import model_hash
from dkvb.deletion import ledger
from dkvb.errors import SettingsClash, UsageError
from dkvb.evaluation.forget_sets import class_id
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.methods.activations import Activations
from dkvb.methods.base import CurvePoint, make
from dkvb.methods.examples import Examples
from dkvb.metrics.accuracy import accuracies, per_class, retain_and_forget
from dkvb.recipe import Recipe
from dkvb.runtime import progress
from dkvb.workspace import requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.names import MEASURED_SPLITS
from dkvb.workspace.requests import need_features

HARMED = 5
"""Neighbours listed by a plan."""


def run(recipe: Recipe, workspace: Workspace, names: Sequence[str], plan: bool = False) -> list[dict[str, Any]]:
    """Forget some classes in the trained bottleneck of the recipe's first seed, on top of what is forgotten already.

    Args:
        names: class names or ids; those already forgotten are passed over.
        plan: only measure, and write nothing.

    Returns:
        One entry: `request` (None in a plan), `classes`, `masked`, `before`, `after`, …; where all are already
        forgotten, one entry per request that forgot them, with `skipped` True.

    Raises:
        UsageError: an unknown class, a method that masks nothing, or no class would be left.
        MissingStage: nothing trained yet.
        DamagedArtifact: a request, the model or the codes have been altered.
    """
    trained = TrainedSeed(recipe, workspace, need_features(recipe, workspace), recipe.run.seeds[0])
    _ = trained.dkvb_artifact
    wanted = sorted({class_id(name, trained.splits.classes) for name in names})
    if not wanted:
        raise UsageError("Name at least one class to forget, such as `dkvb forget truck`.")
    if plan:
        return [_forget(trained, wanted, plan)] if _left(trained, wanted) else _already(trained, wanted)
    with requests.held(workspace):
        ledger.catch_up(workspace)
        if not _left(trained, wanted):
            return _already(trained, wanted)
        return [_forget(trained, wanted, plan)]


def _left(trained: TrainedSeed, wanted: Sequence[int]) -> list[int]:
    known = requests.forgotten(trained.workspace, trained.dkvb_artifact).classes
    return [c for c in wanted if c not in known]


def _already(trained: TrainedSeed, wanted: Sequence[int]) -> list[dict[str, Any]]:
    entries = []
    for request in requests.forgotten(trained.workspace, trained.dkvb_artifact).requests:
        if same := [trained.splits.classes[c] for c in wanted if c in request.classes]:
            progress.note(f"forget: {', '.join(same)} already forgotten by request {request.id}")
            entries.append(_entry(request) | {"skipped": True})
    return entries


def _entry(request: requests.Request) -> dict[str, Any]:
    return {"request": request.id, **{k: v for k, v in request.data.items() if k not in ("id", "mask_sha256", "train")}}


def _forget(trained: TrainedSeed, wanted: Sequence[int], plan: bool) -> dict[str, Any]:
    started = time.perf_counter()
    earlier = requests.forgotten(trained.workspace, trained.dkvb_artifact)
    forget = [c for c in wanted if c not in earlier.classes]
    classes = trained.splits.classes
    if len(forget) + len(earlier.classes) >= len(classes):
        raise UsageError(
            f"Forgetting {', '.join(classes[c] for c in forget)} as well would leave no class: {len(earlier.classes)}"
            f" of {len(classes)} are forgotten already. Leave one out."
        )
    method = _method(trained, forget)
    base = trained.no_mask.copy()
    if earlier.mask is not None:
        base[earlier.mask] = -1
    ranked = time.perf_counter()
    order = method.order()
    order[trained.no_mask < 0] = -1
    n, note = _n(trained, method, order, earlier)
    method.check(n)
    mask = (order >= 0) & (order < n)
    masking = time.perf_counter() - ranked
    under = base.copy()
    under[mask] = 0  # masked at N = 1, the others never
    result = _measured(trained, under, forget, earlier.classes)
    before = int((base < 0).sum())
    after = int((under < 1).sum())
    data = {
        "classes": forget,
        "seed": trained.seed,
        "method": method.name,
        "settings": {"n": n, "n_name": method.dial, "given": method.given, **method.settings},
        "masked": int(mask.sum()),
        "newly_masked": after - before,
        "masked_together": after - int((trained.no_mask < 0).sum()),
        "allowed": int(under.size - after),
        "pairs_total": int(under.size),
        "earlier": earlier.classes,
        "model_before_sha256": model_hash(trained.bottleneck.values, base < 0),
        "model_after_sha256": model_hash(trained.bottleneck.values, under < 1),
        **result,
        "note": note,
        "seconds": round(masking, 4),
        "seconds_total": round(time.perf_counter() - started, 4),
    }
    names = [classes[c] for c in forget]
    if plan:
        return {"request": None, "plan": True, "names": names, **data, "harmed": _harmed(trained, data, forget)}
    request = requests.open_request(trained.workspace, trained.dkvb_artifact, names, mask, data)
    request = ledger.record(trained.workspace, requests.MASKED, request, mask=request.data["mask_sha256"])
    was, now = data["before"], data["after"]
    progress.note(
        f"forget {', '.join(names)}: request {request.id}, {data['masked']:,} pairs masked; forget"
        f" {_percent(was['forget_test'])} -> {_percent(now['forget_test'])}, retain {_percent(was['retain_test'])} ->"
        f" {_percent(now['retain_test'])}"
    )
    return _entry(request) | {"skipped": False}


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _method(trained: TrainedSeed, forget: list[int]) -> Activations | Examples:
    """The recipe's first method that masks pairs."""
    for name in trained.recipe.unlearn.methods:
        method = make(name, trained, forget)
        if isinstance(method, Activations | Examples):
            return method
    raise UsageError(
        f"`dkvb forget` masks pairs, and {', '.join(trained.recipe.unlearn.methods)} does not: give --method"
        " activations or examples."
    )


def _n(
    trained: TrainedSeed, method: Activations | Examples, order: np.ndarray, earlier: requests.Union
) -> tuple[int, str | None]:
    """N as given, or chosen under what is masked already."""
    if method.given != "auto":
        return int(method.given), None
    settings = trained.recipe.unlearn
    if settings.choose == "validation" and "validation" not in trained.splits.evaluation:
        raise UsageError(
            f"'auto' chooses {method.dial} on validation data, and this recipe keeps none: give a number (--na, --ne),"
            " set data.validation (0.1, say), or --choose test."
        )
    whole, grid = order.copy(), method.grid()
    if earlier.mask is not None:
        whole[earlier.mask] = -1
    labels = trained.splits.labels[settings.choose]
    curve = []
    for n, predicted in zip(grid, masked_predictions(trained.bottleneck, whole, grid, settings.choose), strict=True):
        retain, forgot = _shares(predicted, labels, len(trained.splits.classes), method.forgotten, earlier.classes)
        curve.append(CurvePoint(n, retain or 0.0, forgot or 0.0))
    return method.choose(curve, 0.0 if settings.target == "zero" else 1 / len(trained.splits.classes))


def _shares(
    predicted: np.ndarray, labels: np.ndarray, classes: int, forget: Sequence[int], earlier: Sequence[int]
) -> tuple[float | None, float | None]:
    """Accuracy on the classes that no request forgets, and on those of this one."""
    correct, total = per_class(predicted, labels, classes)
    correct[list(earlier)] = total[list(earlier)] = 0
    return retain_and_forget(correct, total, forget)


def _measured(trained: TrainedSeed, order: np.ndarray, forget: Sequence[int], earlier: Sequence[int]) -> dict[str, Any]:
    """`before` and `after` on train and test, and per class on test and, where there is one, validation."""
    result: dict[str, Any] = {"before": {}, "after": {}, "correct": {}}
    count = len(trained.splits.classes)
    for split in dict.fromkeys((*MEASURED_SPLITS, *trained.splits.evaluation)):
        labels = trained.splits.labels[split]
        for when, predicted in zip(
            ("before", "after"), masked_predictions(trained.bottleneck, order, [0, 1], split), strict=True
        ):
            retain, forgot = _shares(predicted, labels, count, forget, earlier)
            result[when] |= {f"retain_{split}": retain, f"forget_{split}": forgot}
            if split != "train":
                correct, total = per_class(predicted, labels, count)
                result[f"per_class_{split}_{when}"] = accuracies(correct, total)
                result["correct"][f"{split}_{when}"] = correct.tolist()
                result["correct"][f"{split}_total"] = total.tolist()
    return result


def _harmed(trained: TrainedSeed, data: dict[str, Any], forget: Sequence[int]) -> list[dict[str, Any]]:
    """The retained classes that lose most, on validation data where there are some, else on test data."""
    split = trained.splits.evaluation[-1]
    rows = []
    for c, (was, now) in enumerate(
        zip(data[f"per_class_{split}_before"], data[f"per_class_{split}_after"], strict=True)
    ):
        if c not in forget and was is not None and now is not None and now < was:
            rows.append(
                {
                    "class": c,
                    "name": trained.splits.classes[c],
                    "split": split,
                    "before": was,
                    "after": now,
                    "lost": was - now,
                }
            )
    return sorted(rows, key=lambda row: (-row["lost"], row["class"]))[:HARMED]


def restore(workspace: Workspace, wanted: str) -> dict[str, Any]:
    """Take a request's mask back; masks of other requests stay.

    Raises:
        UsageError: there is no such request.
        SettingsClash: it was purged, or its purge has begun: there is nothing to take back.
    """
    with requests.held(workspace):
        ledger.catch_up(workspace)
        request = requests.find(workspace, wanted)
        if request.state == requests.PURGED or "purging" in request.data:
            raise SettingsClash(
                f"Request {request.id} was purged{'' if request.state == requests.PURGED else ' in part'}, and a purge"
                " is irreversible: the values of its pairs are gone. To have the class back, train a new model on its"
                " original data with another --data-dir."
            )
        skipped = request.state == requests.RESTORED
        if not skipped:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            request = requests.change(request, state=requests.RESTORED, restored=now, unrecorded=requests.RESTORED)
            request = ledger.record(workspace, requests.RESTORED, request)
        progress.note(
            f"restore: request {request.id} "
            + ("was restored before" if skipped else "restored; its mask no longer applies")
        )
        return _entry(request) | {"skipped": skipped}
