"""`purge`: erase what a request masks, and its classes' samples, from the whole workspace; then look for what may be
left.

The classes' rows in features, ids, codes and neighbour lists are overwritten in place, and their labels turned to -1 -
c, so that no other row moves: splits, codes and predictions of retained samples keep their bits. The first thing
written is a mark in the request, with salted hashes of what is to be erased; every step after that may be repeated, so
that a purge that was killed is ended by running it again.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from dkvb.deletion import ledger
from dkvb.deletion.erase_artifacts import _rows, erased
from dkvb.deletion.lineage import Tree
from dkvb.deletion.scan import Needles, scan
from dkvb.errors import DkvbError, SettingsClash
from dkvb.recipe import Recipe
from dkvb.runtime import progress
from dkvb.workspace import arrays, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import sha256
from dkvb.workspace.names import VALUES
from dkvb.workspace.requests import MASKED, PURGED, Request
from dkvb.workspace.rows import stored_labels

NEEDLES, STAGING = "needles.npz", "staging"


SPLITS = ("train", "test")


def plan(workspace: Workspace, wanted: str) -> dict[str, Any]:
    """What a purge would do: the request, and the models that would be deleted because they still know its classes."""
    request = requests.find(workspace, wanted)
    if request.state == PURGED:
        return {"request": request.id, "state": PURGED, "names": request.names, "models_deleted": []}
    tree = Tree(workspace, request)
    return {
        "request": request.id,
        "state": request.state,
        "names": request.names,
        "models_deleted": [a.path.name for a in tree.knowing],
    }


def run(recipe: Recipe, workspace: Workspace, wanted: str, keys: str = "keep") -> dict[str, Any]:
    """Purge a request, or end a purge that was killed.

    Args:
        keys: "keep", or "reinit" to fit the keys anew on the rows that stay and train the values again.

    Returns:
        The request's fields; `purge` holds what was erased and what the scan looked at. `skipped` where it was purged
        before.

    Raises:
        UsageError: there is no such request.
        SettingsClash: it was restored: there is no mask to purge.
        DkvbError: the scan found something, names the file; or a file that cannot be written.
    """
    with requests.held(workspace):
        ledger.catch_up(workspace)
        request = requests.find(workspace, wanted)
        if request.state == PURGED:
            progress.note(f"purge: request {request.id} was purged before")
            return _entry(request) | {"skipped": True}
        if request.state != MASKED:
            raise SettingsClash(
                f"Request {request.id} was restored, so that nothing of it is masked: `dkvb forget` the class again"
                " first."
            )
        for other in requests.all_requests(workspace):
            if other.id != request.id and "purging" in other.data:
                raise SettingsClash(
                    f"The purge of request {other.id} did not come to its end: `dkvb purge {other.id} --yes` ends it"
                    " first."
                )
        return _purge(recipe, workspace, request, keys) | {"skipped": False}


def _entry(request: Request) -> dict[str, Any]:
    return {"request": request.id, **{k: v for k, v in request.data.items() if k not in ("id", "mask_sha256", "train")}}


def _purge(recipe: Recipe, workspace: Workspace, request: Request, keys: str) -> dict[str, Any]:
    started = time.perf_counter()
    tree = Tree(workspace, request)
    begun = request.data.get("purging")
    if begun is None:
        from dkvb.deletion import reinit

        if keys == "reinit":
            reinit.check(recipe, workspace, tree)
        needles, shared = _needles(tree)
        needles.save(request.path / NEEDLES)
        begun = {
            "stage": "erase",
            "keys": keys,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "rows": {split: len(_rows(tree, split)) for split in SPLITS},
            "shared_rows": shared,
            "before_sha256": sha256(tree.model.path / VALUES),
            "together": [r.id for r in tree.together],
        }
        request = requests.change(request, purging=begun)
    keys = str(begun["keys"])
    if begun["stage"] == "erase":
        tree.together = [requests.find(workspace, identity) for identity in begun["together"]]
        deleted = begun.get("deleted", []) + [
            a.path.name for a in tree.knowing if a.path.name not in begun.get("deleted", [])
        ]
        request = requests.change(request, purging=begun | {"deleted": deleted})
        begun = request.data["purging"]
        done = erased(tree, request.path / STAGING)
        needles = Needles.load(request.path / NEEDLES)
        looked = scan([workspace.root, workspace.reports], needles)
        if looked["unreadable"]:
            raise DkvbError(
                f"The scan could not look at {looked['unreadable'][0]}; mend its permissions, then run "
                f"`dkvb purge {request.id} --yes` again."
            )
        if looked["found"]:
            name, rows = next(iter(looked["found"].items()))
            more = f" (and {len(looked['found']) - 1} more files)" if len(looked["found"]) > 1 else ""
            raise DkvbError(
                f"The scan found {rows} of the purged rows in {name}{more}: delete that, then run `dkvb purge"
                f" {request.id} --yes` again."
            )
        begun = begun | {"done": done, "scan": looked, "stage": "reinit" if keys == "reinit" else "close"}
        request = requests.change(request, purging=begun)
    if begun["stage"] == "reinit":
        from dkvb.deletion import reinit

        reinit.run(recipe, workspace, Tree(workspace, request))
        request = requests.find(workspace, request.id)
    return _close(workspace, request, begun, time.perf_counter() - started)


def _close(workspace: Workspace, request: Request, begun: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Mark the request, and those purged together with it, purged; this one last."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    names = ("keys", "started", "rows", "shared_rows", "deleted", "done", "scan", "before_sha256", "together")
    purge = {name: begun[name] for name in names if name in begun}
    model = next((a for a in workspace.all("train") if a.fingerprint == request.train), None)
    purge |= {"finished": now, "seconds": round(seconds, 3)}
    purge["after_sha256"] = sha256(model.path / VALUES) if model else None
    for identity in [*(i for i in begun["together"] if i != request.id), request.id]:
        other = requests.find(workspace, identity)
        if other.state != PURGED:
            other = requests.change(other, state=PURGED, purge=purge, purging=None, unrecorded=PURGED)
            other = ledger.record(workspace, PURGED, other, values=purge["after_sha256"])
        progress.note(f"purge: request {other.id} is purged: {', '.join(other.names)}")
    return _entry(requests.find(workspace, request.id))


def _needles(tree: Tree) -> tuple[Needles, int]:
    """Hashes of all that is to be erased; and how many rows have none because retained samples are the same."""
    assert tree.features is not None
    needles: Needles | None = None
    kept: list[np.ndarray] = []
    first = 0
    for split in SPLITS:
        stored = arrays.read(tree.features, f"{split}/features")
        mine = np.isin(stored_labels(tree.features, split), tree.request.classes)
        part = Needles.of(stored[mine], needles.salt if needles else None, first)
        needles = part if needles is None else needles + part
        first += int(mine.sum())
        kept.append(stored[~mine])
    assert needles is not None
    same = {row for rows in kept for row in needles.found_in(np.ascontiguousarray(rows).data)} if first else set()
    needles = needles.without(np.array(sorted(same), int))
    for request in tree.together:
        model = next(a for a in tree.covered if a.fingerprint == request.train)
        values, mask = load_file(model.path / VALUES)["values"], request.mask()
        part = Needles.of(values[mask], needles.salt, first, dtypes=("<f4",))
        first += int(mask.sum())
        alike = part.found_in(np.ascontiguousarray(values[~mask]).data)
        needles = needles + part.without(np.array(sorted(alike), int))
    return needles, len(same)
