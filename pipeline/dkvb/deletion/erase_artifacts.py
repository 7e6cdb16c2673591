"""The erasing steps of a purge, artifact by artifact; each may be repeated."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars

from dkvb.deletion import erase
from dkvb.deletion.lineage import Tree
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Artifact
from dkvb.workspace.names import CONVERGED, COUNTS, FILES, LINEAR, MANIFEST, VALUES, WEIGHTS
from dkvb.workspace.requests import Request
from dkvb.workspace.rows import labels, stored_labels, stored_train_rows

SPLITS = ("train", "test")
NO_BIAS = np.float32(-1e30)
"""Bias of a purged class in a linear head: finite, so that losses stay numbers."""


def _rows(tree: Tree, split: str) -> np.ndarray:
    """Stored rows of the request's classes, purged or not yet."""
    assert tree.features is not None
    return np.flatnonzero(np.isin(labels(tree.features, split), tree.request.classes))


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
        model.reseal(purged=_purged(model, classes))
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
    """Delete students and retrained models that were trained with the classes, and copies of the features; their
    names."""
    workspace, gone = tree.workspace, []
    below = {a.fingerprint for a in [*tree.heads, *tree.covered]} | {a.fingerprint for a in tree.quantized}
    assert tree.features is not None
    below.add(tree.features.fingerprint)
    known = {a.fingerprint for a in workspace.all("train")}
    for artifact in workspace.all("unlearn"):
        of = artifact.manifest["inputs"].get("train")
        if ((artifact.path / WEIGHTS).is_file() and of in below) or of not in known:
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
    """Zero the counts of the classes. Where the model passes over pairs that training never selected, those that only
    these classes selected keep a count of one: else they would be passed over from now on, and predictions on retained
        samples could change.
    """
    counts = arrays.read(model, COUNTS)
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
    head.reseal(purged=_purged(head, classes))


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
        listed = arrays.opened(artifact, name).shape[0]
        # lists made after an earlier purge have no places for the rows that were purged then
        kept = aside if listed == len(aside) else aside[(there >= 0) | np.isin(aside, rows["train"])]
        _zero_rows(artifact, name, np.flatnonzero(np.isin(kept, rows["train"])), staging)
    artifact.reseal(purged=_purged(artifact, tree.request.classes))


def _zero_rows(artifact: Artifact, name: str, rows: np.ndarray, staging: Path) -> None:
    if not (artifact.path / name).is_dir():
        return
    values = arrays.plain(artifact.path, name).copy()
    values[rows] = "" if values.dtype.kind in "TUO" else 0
    erase.rewrite_array(artifact.path, name, values, staging)


def _features(tree: Tree, rows: dict[str, np.ndarray], staging: Path) -> None:
    """Zero the classes' rows; their labels become -1 - c."""
    features = tree.features
    assert features is not None
    listing = features.path / FILES
    if listing.is_file():
        staging.mkdir(parents=True, exist_ok=True)
        table = polars.read_parquet(listing)
        table.filter(~polars.col("label").is_in(tree.request.classes)).write_parquet(staging / listing.name)
        erase.replace(listing, staging / listing.name)
    for split in SPLITS:
        for name in ("features", "ids", "hashes"):
            _zero_rows(features, f"{split}/{name}", rows[split], staging)
        stored = arrays.plain(features.path, f"{split}/labels").copy()
        mine = np.isin(stored, tree.request.classes)
        stored[mine] = -1 - stored[mine]
        erase.rewrite_array(features.path, f"{split}/labels", stored, staging)
    features.reseal(purged=_purged(features, tree.request.classes))
