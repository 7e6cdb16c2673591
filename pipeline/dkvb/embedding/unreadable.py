"""Leaving unreadable images out: the arrays of a split are copied without their rows, and the copy takes the split's
place.

Safe at any instant: the copy is complete once its list of kept rows is there, and `finish_swap` completes a swap that a
kill cut short.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from dkvb.embedding.shards import ARRAYS, create_split, shards_of
from dkvb.errors import DkvbError
from dkvb.workspace import arrays
from dkvb.workspace.files import atomic, write_json
from dkvb.workspace.names import KEPT, STORED_SPLITS, UNREADABLE


def bad_rows(path: Path, lengths: dict[str, int]) -> dict[str, list[list[Any]]]:
    """Split -> [row, what is wrong] of every unreadable image, from the marks of its shards."""
    marks = arrays.Marks(path)
    found: dict[str, list[list[Any]]] = {split: [] for split in STORED_SPLITS}
    for shard in shards_of(lengths):
        found[shard.split] += (marks.get(shard.name) or {}).get("bad", [])
    return found


def left_out(path: Path, split: str) -> list[str]:
    """What was wrong with each image left out of a split."""
    file = path / split / UNREADABLE
    return list(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else []


def leave_out(path: Path, split: str, bad: list[list[Any]]) -> None:
    """Replace a split's arrays by copies without the rows of unreadable images.

    Args:
        bad: [row, what is wrong] of each.

    Raises:
        DkvbError: a class has no readable image left.
    """
    if (path / split / KEPT).is_file():
        return
    old: Any = zarr.open_group(path / split, mode="r")
    labels = old["labels"][:]
    keep = np.setdiff1d(np.arange(len(labels)), [row for row, _ in bad])
    lost = np.setdiff1d(labels, labels[keep])
    if len(lost):
        name = old.attrs["classes"][lost[0]]
        raise DkvbError(f"Class '{name}' has no readable image in {split}: repair its images or take the class out.")
    copy = _copy_of(path, split)
    shutil.rmtree(copy, ignore_errors=True)
    create_split(path, copy.name, len(keep), old["features"].shape[1], list(old.attrs["classes"]))
    new: Any = zarr.open_group(copy, mode="r+")
    for start in range(0, len(keep), arrays.SHARD):
        wanted = keep[start : start + arrays.SHARD]
        first, last = wanted[0], wanted[-1] + 1
        for name in ARRAYS:
            new[name][start : start + len(wanted)] = old[name][first:last][wanted - first]
    write_json(copy / UNREADABLE, [message for _, message in bad])
    with atomic(copy / KEPT) as temporary, open(temporary, "wb") as file:
        np.save(file, keep)
    finish_swap(path)


def finish_swap(path: Path) -> None:
    """Put every complete copy into its split's place, from wherever an earlier attempt stopped."""
    for split in STORED_SPLITS:
        copy, old = _copy_of(path, split), path / f"old-{split}"
        if (copy / KEPT).is_file():
            if (path / split).is_dir():
                shutil.rmtree(old, ignore_errors=True)
                (path / split).rename(old)
            copy.rename(path / split)
        shutil.rmtree(copy, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _copy_of(path: Path, split: str) -> Path:
    return path / f"copy-of-{split}"
