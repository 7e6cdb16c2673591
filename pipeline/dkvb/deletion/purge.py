"""`purge`: erase what a request masks, and its classes' samples, from the whole workspace; then look for what may be left.

The classes' rows in features, ids, codes and neighbour lists are overwritten in place, and their labels turned to -1 - c, so that no other
row moves: splits, codes and predictions of retained samples keep their bits. The first thing written is a mark in the request, with salted
hashes of what is to be erased; every step after that may be repeated, so that a purge that was killed is ended by running it again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars
from safetensors.numpy import load_file

from dkvb import progress, stores
from dkvb.artifacts import labels, stored_labels, stored_train_rows
from dkvb.deletion import erase, ledger, requests
from dkvb.deletion.requests import MASKED, PURGED, Request
from dkvb.deletion.scan import Needles, scan
from dkvb.errors import DkvbError, MissingStage, SettingsClash
from dkvb.files import sha256
from dkvb.recipe import Recipe
from dkvb.study import COUNTS, LINEAR, VALUES
from dkvb.train import CONVERGED
from dkvb.workspace import MANIFEST, Artifact, Workspace

NEEDLES, STAGING = "needles.npz", "staging"
NO_BIAS = np.float32(-1e30)
"""Bias of a purged class in a linear head: finite, so that losses stay numbers."""
SPLITS = ("train", "test")


def plan(workspace: Workspace, wanted: str) -> dict[str, Any]:
    """What a purge would do: the request, and the models that would be deleted because they still know its classes."""
    request = requests.find(workspace, wanted)
    if request.state == PURGED:
        return {"request": request.id, "state": PURGED, "names": request.names, "models_deleted": []}
    tree = Tree(workspace, request)
    return {"request": request.id, "state": request.state, "names": request.names, "models_deleted": [a.path.name for a in tree.knowing]}


class Tree:
    """All artifacts that were made from the same features as a request's model."""

    def __init__(self, workspace: Workspace, request: Request) -> None:
        self.workspace, self.request = workspace, request
        trained = [a for a in workspace.all("train") if a.fingerprint == request.train]
        quantized = workspace.all("quantize")
        above = {a.fingerprint: a for a in quantized}
        if not trained or trained[0].manifest["inputs"]["quantize"] not in above:
            raise MissingStage(
                f"The model of request {request.id}, or its codes, are no longer in {workspace.root}: nothing can be purged."
            )
        self.model = trained[0]
        self.codes = above[self.model.manifest["inputs"]["quantize"]]
        self.features = next((a for a in workspace.all("embed") if a.fingerprint == self.codes.manifest["inputs"]["embed"]), None)
        if self.features is None:
            raise MissingStage(f"The features of request {request.id} are no longer in {workspace.root}: nothing can be purged.")
        self.quantized = [a for a in quantized if a.manifest["inputs"]["embed"] == self.features.fingerprint]
        below = {a.fingerprint for a in self.quantized}
        models = [a for a in workspace.all("train") if a.manifest["inputs"].get("quantize") in below]
        self.heads = [a for a in workspace.all("train") if a.manifest["inputs"].get("embed") == self.features.fingerprint]
        every = requests.all_requests(workspace)
        # requests of other models for the same classes are purged together with this one
        mine = {a.fingerprint for a in models}
        self.together = [
            r for r in every if r.id == request.id or (r.state == MASKED and r.train in mine and set(r.classes) <= set(request.classes))
        ]
        covered = {
            a.fingerprint
            for a in models
            if set(request.classes) <= {c for r in every if r.in_force and r.train == a.fingerprint for c in r.classes}
        }
        self.knowing = [a for a in models if a.fingerprint not in covered]
        self.covered = [a for a in models if a.fingerprint in covered]


def run(recipe: Recipe, workspace: Workspace, wanted: str, keys: str = "keep") -> dict[str, Any]:
    """Purge a request, or end a purge that was killed.

    Args:
        keys: "keep", or "reinit" to fit the keys anew on the rows that stay and train the values again.

    Returns:
        The request's fields; `purge` holds what was erased and what the scan looked at. `skipped` where it was purged before.

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
            raise SettingsClash(f"Request {request.id} was restored, so that nothing of it is masked: `dkvb forget` the class again first.")
        for other in requests.all_requests(workspace):
            if other.id != request.id and "purging" in other.data:
                raise SettingsClash(
                    f"The purge of request {other.id} did not come to its end: `dkvb purge {other.id} --yes` ends it first."
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
        deleted = begun.get("deleted", []) + [a.path.name for a in tree.knowing if a.path.name not in begun.get("deleted", [])]
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
                f"The scan found {rows} of the purged rows in {name}{more}: delete that, then run `dkvb purge {request.id} --yes` again."
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


def _rows(tree: Tree, split: str) -> np.ndarray:
    """Stored rows of the request's classes, purged or not yet."""
    assert tree.features is not None
    return np.flatnonzero(np.isin(labels(tree.features, split), tree.request.classes))


def _needles(tree: Tree) -> tuple[Needles, int]:
    """Hashes of all that is to be erased; and how many rows have none because retained samples are the same."""
    assert tree.features is not None
    needles: Needles | None = None
    kept: list[np.ndarray] = []
    first = 0
    for split in SPLITS:
        stored = stores.read(tree.features, f"{split}/features")
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


def erased(tree: Tree, staging: Path) -> dict[str, Any]:
    """Erase, step by step; what was done. Every step may be repeated."""
    if staging.exists():
        erase.shred_folder(staging)
    workspace, classes = tree.workspace, tree.request.classes
    rows = {split: _rows(tree, split) for split in SPLITS}
    done: dict[str, Any] = {"values": {}, "codes": [], "heads": [], "artifacts": []}
    for artifact in tree.knowing:
        erase.shred_folder(artifact.path)
    for stage in ("quantize", "train", "unlearn", "retrained"):
        for folder in sorted((workspace.root / stage).glob("*")):
            if folder.is_dir() and not (folder / MANIFEST).is_file():  # begun, or half shredded
                erase.shred_folder(folder)
                done["artifacts"].append(folder.name)
    done["artifacts"] += _older(tree)
    for request in tree.together:
        model = next(a for a in tree.covered if a.fingerprint == request.train)
        done["values"][model.path.name] = _values(model, request, staging)
    for model in tree.covered:
        _counts(model, classes, staging)
        for file in sorted(model.path.glob("*checkpoint*")):
            erase.shred(file)
        erase.rewrite_manifest(model, purged=_purged(model, classes))
    for head in tree.heads:
        _head(head, classes, staging)
        done["heads"].append(head.path.name)
    for artifact in tree.quantized:
        _codes(tree, artifact, rows, staging)
        done["codes"].append(artifact.path.name)
    _features(tree, rows, staging)
    if staging.exists():
        shutil.rmtree(staging)
    return done


def _purged(artifact: Artifact, classes: Sequence[int]) -> list[int]:
    return sorted({*artifact.result.get("purged", []), *classes})


def _older(tree: Tree) -> list[str]:
    """Delete students and retrained models that were trained with the classes, and copies of the features; their names."""
    workspace, gone = tree.workspace, []
    below = {a.fingerprint for a in [*tree.heads, *tree.covered]} | {a.fingerprint for a in tree.quantized}
    assert tree.features is not None
    below.add(tree.features.fingerprint)
    known = {a.fingerprint for a in workspace.all("train")}
    for artifact in workspace.all("unlearn"):
        of = artifact.manifest["inputs"].get("train")
        if ((artifact.path / "weights.safetensors").is_file() and of in below) or of not in known:
            gone.append(artifact)
    for artifact in workspace.all("retrained"):
        never = set(tree.request.classes) <= set(artifact.settings["forget"])
        if set(artifact.manifest["inputs"].values()) & below and not never:
            gone.append(artifact)
    for artifact in gone:
        erase.shred_folder(artifact.path)
    names = [artifact.path.name for artifact in gone]
    for copy in sorted((workspace.root / "membership").glob(f"*-{tree.features.fingerprint[:8]}-*")):
        erase.shred_folder(copy)
        names.append(copy.name)
    return names


def _values(model: Artifact, request: Request, staging: Path) -> int:
    mask = request.mask()

    def zero(arrays: dict[str, np.ndarray]) -> None:
        arrays["values"][mask] = 0

    erase.rewrite_tensors(model.path / VALUES, zero, staging)
    return int(mask.sum())


def _counts(model: Artifact, classes: Sequence[int], staging: Path) -> None:
    """Zero the counts of the classes. Where the model passes over pairs that training never selected, those that only these classes
    selected keep a count of one: else they would be passed over from now on, and predictions on retained samples could change."""
    counts = stores.read(model, COUNTS)
    others = np.delete(counts, list(classes), axis=0).sum(0)
    only = (counts[list(classes)].sum(0) > 0) & (others == 0)
    counts[list(classes)] = 0
    if model.settings["unused"] == "mask":
        counts[classes[0]][only] = 1
    erase.rewrite_array(model.path, COUNTS, counts, staging)


def _head(head: Artifact, classes: Sequence[int], staging: Path) -> None:
    def drop(arrays: dict[str, np.ndarray]) -> None:
        arrays["weight"][list(classes)] = 0
        arrays["bias"][list(classes)] = NO_BIAS

    for name in (LINEAR, CONVERGED):
        if (head.path / name).is_file():
            erase.rewrite_tensors(head.path / name, drop, staging)
    for file in sorted(head.path.glob("*checkpoint*")):
        erase.shred(file)
    erase.rewrite_manifest(head, purged=_purged(head, classes))


def _codes(tree: Tree, artifact: Artifact, rows: dict[str, np.ndarray], staging: Path) -> None:
    """Zero the rows of the classes in codes and neighbour lists."""
    assert tree.features is not None
    aside = stored_train_rows(tree.features, float(artifact.settings["validation"]), int(artifact.settings["seed"]))[1]
    there = stored_labels(tree.features, "train")[aside]
    lists = {f"{split}/codes": rows[split] for split in SPLITS} | {"test/neighbours": rows["test"]}
    for name, places in lists.items():
        _zero_rows(artifact, name, places, staging)
    name = "validation/neighbours"
    if (artifact.path / name).is_dir():
        listed = stores.opened(artifact, name).shape[0]
        # lists made after an earlier purge have no places for the rows that were purged then
        kept = aside if listed == len(aside) else aside[(there >= 0) | np.isin(aside, rows["train"])]
        _zero_rows(artifact, name, np.flatnonzero(np.isin(kept, rows["train"])), staging)
    erase.rewrite_manifest(artifact, purged=_purged(artifact, tree.request.classes))


def _zero_rows(artifact: Artifact, name: str, rows: np.ndarray, staging: Path) -> None:
    if not (artifact.path / name).is_dir():
        return
    values = stores.plain(artifact.path, name).copy()
    values[rows] = "" if values.dtype.kind in "TUO" else 0
    erase.rewrite_array(artifact.path, name, values, staging)


def _features(tree: Tree, rows: dict[str, np.ndarray], staging: Path) -> None:
    """Zero the classes' rows; their labels become -1 - c."""
    features = tree.features
    assert features is not None
    listing = features.path / "files.parquet"
    if listing.is_file():
        staging.mkdir(parents=True, exist_ok=True)
        table = polars.read_parquet(listing)
        table.filter(~polars.col("label").is_in(tree.request.classes)).write_parquet(staging / listing.name)
        erase.replace(listing, staging / listing.name)
    for split in SPLITS:
        for name in ("features", "ids", "hashes"):
            _zero_rows(features, f"{split}/{name}", rows[split], staging)
        stored = stores.plain(features.path, f"{split}/labels").copy()
        mine = np.isin(stored, tree.request.classes)
        stored[mine] = -1 - stored[mine]
        erase.rewrite_array(features.path, f"{split}/labels", stored, staging)
    erase.rewrite_manifest(features, purged=_purged(features, tree.request.classes))
