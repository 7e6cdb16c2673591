"""Erasing on disk: contents are overwritten with zeros before their room is given back, and what stays takes its place
in one step.

A file system that copies on write, a snapshot, a backup or a flash drive's spare blocks may still hold the old bytes:
no program can reach those through a file.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import BinaryIO

from dkvb.workspace.names import MANIFEST

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
