"""Erasing on disk: contents are overwritten with zeros before their room is given back, and what stays takes its place
in one step.

A file system that copies on write, a snapshot, a backup or a flash drive's spare blocks may still hold the old bytes:
no program can reach those through a file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import zarr
from safetensors.numpy import save_file

from dkvb.workspace.files import like_others
from dkvb.workspace.names import MANIFEST
from dkvb.workspace.tensors import load_file

ZEROS = bytes(2**20)


def shred(path: Path) -> None:
    """Overwrite a file with zeros, flush it to disk, and delete it."""
    if path.is_symlink():
        path.unlink()
        return
    with open(path, "rb+") as file:
        _zero(file)
    path.unlink()


def _zero(file: BinaryIO) -> None:
    """Overwrite an open file, and flush it to disk."""
    left = os.fstat(file.fileno()).st_size
    file.seek(0)
    while left > 0:
        left -= file.write(ZEROS[: min(left, len(ZEROS))])
    file.flush()
    os.fsync(file.fileno())


def shred_folder(folder: Path) -> None:
    """Shred every file below a folder, its manifest first, so that it is never taken for finished, and remove it."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in sorted(folder.rglob("*")):
        if path.is_file() or path.is_symlink():
            shred(path)
    if folder.is_dir():
        shutil.rmtree(folder)


def replace(path: Path, new: Path) -> None:
    """Give a new file the name of an old one in one step, then overwrite what the old one held."""
    with open(new, "rb+") as file:
        os.fsync(file.fileno())
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(new, path)
        return
    with open(path, "rb+") as old:
        os.replace(new, path)
        _zero(old)


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
    for relative in sorted(here - written):
        shred(folder / name / relative)
    shutil.rmtree(fresh)


def rewrite_tensors(path: Path, change: Callable[[dict[str, np.ndarray]], None], staging: Path) -> None:
    """Give a safetensors file the arrays that `change` makes of those it holds."""
    arrays = {name: np.array(array) for name, array in load_file(path).items()}
    change(arrays)
    staging.mkdir(parents=True, exist_ok=True)
    save_file(arrays, staging / path.name)
    like_others(staging / path.name)
    replace(path, staging / path.name)
