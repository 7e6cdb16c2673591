"""What of a recipe is done, and what to run next."""

from __future__ import annotations

from typing import Any

from dkvb.recipe import Recipe
from dkvb.workspace.artifacts import Artifact, Workspace
from dkvb.workspace.files import size_of
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import CLAIM, COUNTS
from dkvb.workspace.specs import dkvb_spec, embed_settings, linear_spec, quantize_spec

FEW_TIMES, FEW_SHARE = 2, 0.05
"""A codebook runs dry below this many times k, or below this share of its pairs."""


def status(recipe: Recipe, workspace: Workspace) -> dict[str, Any]:
    """`status`: an entry per artifact of the recipe (stage, what, state, bytes, seconds, path); `next`: the command to
    run; `requests`: all deletion requests; `capacity`: what room the models in which something is forgotten have left
    for more.

    State is "done", "unfinished" (begun, and stopped before its end) or "missing".
    """
    entries: list[dict[str, Any]] = []
    features = workspace.find("embed", embed_settings(recipe))
    begun = workspace.unfinished("embed") if features is None else []
    entries.append(_entry("embed", recipe.data_name, features, unfinished=bool(begun)))
    following = None if features else "embed"
    bottlenecks: list[tuple[int, Artifact]] = []
    for seed in recipe.run.seeds:
        codes = trained = None
        if features:
            spec = quantize_spec(recipe, seed, features)
            codes = workspace.get(spec)
            entries.append(_of(workspace, spec, f"keys and codes, seed {seed}", codes))
            linear = linear_spec(recipe, seed, features)
            entries.append(_of(workspace, linear, f"linear head, seed {seed}", workspace.get(linear)))
        if codes:
            values = dkvb_spec(recipe, seed, codes.fingerprint)
            trained = workspace.get(values)
            bottlenecks += [(seed, trained)] if trained else []
            entries.append(_of(workspace, values, f"bottleneck, seed {seed}", trained))
        following = following or (None if codes else "quantize") or (None if trained else "train")
    models = {entry["fingerprint"] for entry in entries if entry["stage"] == "train"}
    unlearned = [found for found in workspace.all("unlearn") if found.manifest["inputs"].get("train") in models]
    entries += [_entry("unlearn", found.path.name, found) for found in unlearned]
    entries += [_entry("unlearn", path.name, None, unfinished=True) for path in workspace.unfinished("unlearn")]
    index = workspace.reports / "index.html"
    written = index.is_file()
    entries.append(
        {
            "stage": "report",
            "what": "index.html",
            "state": "done" if written else "missing",
            "bytes": size_of(workspace.reports) if written else 0,
        }
        | {"seconds": 0.0, "path": str(index) if written else None, "fingerprint": None}
    )
    following = following or (None if unlearned else "unlearn") or (None if written else "report")
    found, capacity = _requests(
        recipe, workspace, [seed for seed, _ in bottlenecks], [artifact for _, artifact in bottlenecks]
    )
    more = {"requests": found, "capacity": capacity}
    return {"status": entries, **more, "next": f"dkvb {following}" if following else f"open {index}"}


def _requests(
    recipe: Recipe, workspace: Workspace, seeds: list[int], trained: list[Artifact]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All deletion requests, and how much room the models in which something is forgotten have left for more."""
    from dkvb.workspace import requests

    every = requests.all_requests(workspace)
    of = {artifact.fingerprint: seed for seed, artifact in zip(seeds, trained, strict=True)}
    listed = [
        {
            "id": r.id,
            "classes": r.classes,
            "names": r.names,
            "state": r.state,
            "masked": r.record.masked,
            "created": r.record.created,
        }
        | {"seed": r.record.seed, "of_recipe": r.train in of, "purging": r.record.purging is not None}
        for r in every
    ]
    mine = {artifact.fingerprint: artifact for artifact in trained}
    capacity = []
    for fingerprint, artifact in mine.items():
        union = requests.unite([r for r in every if r.train == fingerprint and r.in_force])
        if union.mask is not None:
            capacity.append(
                {"seed": of[fingerprint], "classes": union.classes}
                | room(union.mask | unused(artifact), recipe.keys.top_k)
            )
    return listed, capacity


def unused(trained: Artifact) -> Any:
    """(C, M) bool, or False: pairs that training never selected, where the model passes over those."""
    from dkvb.workspace import arrays

    if trained.settings["unused"] != "mask":
        return False
    return arrays.read(trained, COUNTS).sum(0) == 0


def room(masked: Any, top_k: int) -> dict[str, Any]:
    """Capacity that is left under a mask (C, M): `allowed` (share of all pairs), `least` (pairs in the poorest
    codebook), `warning`."""
    left = (~masked).sum(1)
    pairs = masked.shape[1]
    few = max(FEW_TIMES * top_k, FEW_SHARE * pairs)
    dry = [int(c) for c in (left < few).nonzero()[0]]
    warning = None
    if dry:
        warning = (
            f"{len(dry)} of {len(left)} codebooks run dry: codebook {int(left.argmin())} has {int(left.min())} of"
            f" {pairs} pairs left, and lookup takes {top_k}; further requests will cost retain accuracy. Train with"
            " more keys.pairs to make room."
        )
    return {
        "allowed": float(left.sum() / masked.size),
        "least": int(left.min()),
        "pairs": pairs,
        "dry": dry,
        "warning": warning,
    }


def _of(workspace: Workspace, spec: Spec, what: str, artifact: Artifact | None) -> dict[str, Any]:
    return _entry(spec.stage, what, artifact, (workspace.path(spec) / CLAIM).is_file())


def _entry(stage: str, what: str, artifact: Artifact | None, unfinished: bool = False) -> dict[str, Any]:
    return {
        "stage": stage,
        "what": what,
        "state": "done" if artifact else "unfinished" if unfinished else "missing",
        "bytes": size_of(artifact.path) if artifact else 0,
        "seconds": artifact.manifest["seconds"] if artifact else 0.0,
        "path": str(artifact.path) if artifact else None,
        "fingerprint": artifact.fingerprint if artifact else None,
    }
