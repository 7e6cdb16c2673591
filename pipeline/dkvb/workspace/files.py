"""Writing files so that a kill at any instant leaves the old file or the new one, never half of one."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dkvb.errors import system_error
from dkvb.runtime.visible import json_text

TEMPORARY = ".tmp-"

UMASK = os.umask(0)
"""Permissions that this process takes from what it makes; asking for them means setting them."""
os.umask(UMASK)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; when the block ends well, it is flushed to disk and takes its name.

    Raises:
        OSError: the disk is full, say; names `path`, whichever library was writing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        with named(path):
            yield temporary
            like_others(temporary)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def like_others(path: Path) -> None:
    """Give a file the permissions that this process gives to every other: safetensors makes its own for their owner
    alone, so that nobody else could read a workspace."""
    if os.name == "posix" and path.stat().st_mode & 0o777 == 0o600:
        path.chmod(0o666 & ~UMASK)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Raise a full disk, and any other system error, as an OSError that names the file that is being written, whichever
    library met it."""
    try:
        yield
    except Exception as error:
        told = system_error(error, path)
        if told is None or told is error:
            raise
        raise told from error


def write_text(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json_text(value, indent=1) + "\n")


def leftover(path: Path) -> bool:
    """Whether a file is one that a killed process left half-written: ours, or zarr's, `<name>.<32 hex
    digits>.partial`."""
    return path.name.startswith(TEMPORARY) or re.fullmatch(r".*\.[0-9a-f]{32}\.partial", path.name) is not None


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed process left half-written. Call only with the artifact's lock held."""
    for path in folder.rglob("*"):
        if leftover(path):
            path.unlink(missing_ok=True)


def remove_leftovers_of(folder: Path, names: str) -> None:
    """Delete what a killed process left half-written of some files of one folder. Call only where no other process may
    be writing these.

    Args:
        names: a pattern of their names.
    """
    for path in folder.glob(f"{TEMPORARY}*-{names}"):
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_hash(value: Any) -> str:
    """sha256 over canonical JSON: sorted keys, no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def chunk(name: str) -> bool:
    """Whether a path below an artifact is a chunk of a zarr array: these lie below a folder "c", and carry a checksum
    (crc32c) that is verified on every read."""
    return "c" in name.split("/")


def names_of(folder: Path, apart: Collection[str] = ()) -> list[str]:
    """Paths below a folder of all its files, sorted, but those that a killed process left half-written.

    Args:
        apart: names of files that are left out.
    """
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in apart and not leftover(path)
    ]
