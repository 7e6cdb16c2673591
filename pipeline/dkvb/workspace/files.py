"""Writing files so that a kill at any instant leaves the old file or the new one, never half of one."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dkvb.errors import system_error
from dkvb.runtime.visible import json_text

TEMPORARY = ".tmp-"


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
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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


def list_files(folder: Path, apart: str) -> dict[str, dict[str, Any]]:
    """Path below the folder -> `bytes` and, of files that carry no checksums of their own, `sha256`.

    Args:
        apart: name of the file that is to hold this list, and is left out of it.
    """
    files: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != apart and not leftover(path):
            relative = path.relative_to(folder)
            # zarr chunks live below a "c" folder and carry crc32c checksums, verified on every read
            own = "c" in relative.parts
            files[relative.as_posix()] = {"bytes": path.stat().st_size} | ({} if own else {"sha256": sha256(path)})
    return files


def differences(folder: Path, listed: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Listed files that are missing, of another size or of another hash, and what is wrong with each."""
    wrong = {}
    for name, recorded in listed.items():
        file = folder / name
        if not file.is_file():
            wrong[name] = f"{name} is missing"
        elif file.stat().st_size != recorded["bytes"]:
            wrong[name] = f"{name} has {file.stat().st_size} bytes instead of {recorded['bytes']}"
        elif "sha256" in recorded and sha256(file) != recorded["sha256"]:
            wrong[name] = f"the content of {name} has changed since it was written"
    return wrong
