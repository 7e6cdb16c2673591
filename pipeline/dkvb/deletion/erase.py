"""Erasing parts of arrays and of tensors: the file without them takes the place of the old one, which is
overwritten."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr
from safetensors.numpy import save_file

from dkvb.workspace.files import like_others
from dkvb.workspace.shredding import replace, shred
from dkvb.workspace.tensors import load_file


def rewrite_array(folder: Path, name: str, values: np.ndarray, staging: Path) -> None:
    """Give a zarr array new values, file by file."""
    fresh = staging / "array"
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(parents=True)
    shutil.copyfile(folder / name / "zarr.json", fresh / "zarr.json")
    zarr.open_array(fresh, mode="r+", config={"write_empty_chunks": True})[:] = values
    written = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file() and path.name != "zarr.json"}
    here = {
        path.relative_to(folder / name)
        for path in (folder / name).rglob("*")
        if path.is_file() and path.name != "zarr.json"
    }
    for relative in sorted(written):
        replace(folder / name / relative, fresh / relative)
    for relative in sorted(here - written):  # all zero: it takes no file
        gone = fresh / "gone"
        os.replace(folder / name / relative, gone)  # first: overwritten in its place, it would be damage until it goes
        shred(gone)
    shutil.rmtree(fresh)


def rewrite_tensors(path: Path, change: Callable[[dict[str, np.ndarray]], None], staging: Path) -> None:
    """Give a safetensors file the arrays that `change` makes of those it holds."""
    arrays = {name: np.array(array) for name, array in load_file(path).items()}
    change(arrays)
    staging.mkdir(parents=True, exist_ok=True)
    save_file(arrays, staging / path.name)
    like_others(staging / path.name)
    replace(path, staging / path.name)
