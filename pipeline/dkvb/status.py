"""What of a recipe is done, and what to run next."""

from __future__ import annotations

from typing import Any

from dkvb.artifacts import dkvb_spec, embed_settings, linear_spec, quantize_spec
from dkvb.files import size_of
from dkvb.recipe import Recipe
from dkvb.workspace import CLAIM, Artifact, Spec, Workspace


def status(recipe: Recipe, workspace: Workspace) -> dict[str, Any]:
    """`status`: an entry per artifact of the recipe (stage, what, state, bytes, seconds, path); `next`: the command to run.

    State is "done", "unfinished" (begun, and stopped before its end) or "missing".
    """
    entries: list[dict[str, Any]] = []
    features = workspace.find("embed", embed_settings(recipe))
    begun = workspace.unfinished("embed") if features is None else []
    entries.append(_entry("embed", recipe.data_name, features, unfinished=bool(begun)))
    following = None if features else "embed"
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
    return {"status": entries, "next": f"dkvb {following}" if following else f"open {index}"}


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
