"""Hashes of an artifact's files, and which files were found to have theirs.

What was hashed is remembered by what the file system says of the file: inode, size and the times of its last change, of
which the second (ctime) cannot be set back by a program. A file that was replaced, swapped or rewritten is hashed
again. In a process this holds for every file; between processes, in the user's cache, for chunks of arrays alone: they
carry a checksum of their own, verified on every read, which also finds what a disk has lost without being written to.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from dkvb.runtime.cache import cache_folder
from dkvb.workspace.files import chunk, names_of, sha256, write_json

SETTLED = 1_000_000_000
"""Nanoseconds for which a file must have stayed as it is to be remembered: within a tick of the clock, two contents may
have the same times."""

EVERY = 1.0
"""Seconds between two writes of what is remembered."""

THREADS = 4

Stamp = list[int]


def stamp(path: Path) -> Stamp:
    """What the file system says of a file's content.

    Raises:
        OSError: it is not there.
    """
    at = path.stat()
    return [at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns]


class Found:
    """The hashes that the files of one folder were found to have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = cache_folder("hashes", f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.json")
        self._known: dict[str, tuple[Stamp, str]] = {}
        self._saved, self._new = time.monotonic(), False
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            self._known = {str(name): (list(at), str(found)) for name, (at, found) in kept.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            pass  # nothing is remembered

    def get(self, name: str, now: Stamp) -> str | None:
        """The hash of a file that has not changed since; None where that is not known."""
        at, found = self._known.get(name, ([], ""))
        return found if at == now else None

    def put(self, name: str, at: Stamp, found: str) -> None:
        """Remember a hash.

        Args:
            at: the stamp from before the file was read.
        """
        if time.time_ns() - at[3] > SETTLED:
            self._known[name] = at, found
            self._new |= chunk(name)

    def of(self, name: str) -> str:
        """The hash of a file, taken where it is not known.

        Raises:
            OSError: it cannot be read.
        """
        now = stamp(self.folder / name)
        found = self.get(name, now)
        if found is None:
            found = sha256(self.folder / name)
            self.put(name, now, found)
        return found

    def save(self, at_once: bool = False) -> None:
        """Keep what is known of chunks for later processes, where there is something new."""
        if not self._new or (not at_once and time.monotonic() - self._saved < EVERY):
            return
        self._saved, self._new = time.monotonic(), False
        with suppress(OSError):  # a cache that cannot be written costs time, no more
            write_json(self._file, {name: known for name, known in list(self._known.items()) if chunk(name)})


_FOUND: dict[Path, Found] = {}


def found_in(folder: Path) -> Found:
    """What is known of a folder's files, by this process and by those before it."""
    if folder not in _FOUND:
        _FOUND[folder] = Found(folder)
    return _FOUND[folder]


@atexit.register
def _save_all() -> None:
    for found in _FOUND.values():
        found.save(at_once=True)


def hash_all(folder: Path, names: Iterable[str], afresh: bool = False) -> Iterator[tuple[str, str | None]]:
    """Each file below a folder with its hash; None where it cannot be read.

    Args:
        afresh: hash all of them, whatever is remembered.

    Raises:
        PermissionError: this user may not read one.
    """
    found = found_in(folder)

    def one(name: str) -> tuple[str, str | None]:
        try:
            return name, sha256(folder / name) if afresh else found.of(name)
        except PermissionError:
            raise  # this user may not read it: that is no damage
        except OSError:
            return name, None

    with ThreadPoolExecutor(THREADS) as pool:  # hashing leaves Python's lock to others
        yield from pool.map(one, names)
    found.save(at_once=True)


def list_files(folder: Path, names: Iterable[str]) -> dict[str, dict[str, int | str]]:
    """Path below the folder -> `bytes` and `sha256` of each file.

    Raises:
        OSError: one cannot be read.
    """
    listed: dict[str, dict[str, int | str]] = {}
    for name, found in hash_all(folder, names):
        if found is None:
            raise OSError(f"{folder / name} cannot be read")
        listed[name] = {"bytes": (folder / name).stat().st_size, "sha256": found}
    return listed


def differences(
    folder: Path, listed: Mapping[str, Mapping[str, int | str]], chunks: bool = False, afresh: bool = False
) -> dict[str, str]:
    """Listed files that are missing, of another size or of another hash, and what is wrong with each.

    Args:
        chunks: look into chunks of arrays as well; they are checked when they are read.
        afresh: hash all of them, whatever is remembered.

    Raises:
        PermissionError: this user may not read one.
    """
    wrong, hashed = {}, []
    for name, recorded in listed.items():
        try:
            size = (folder / name).stat().st_size
        except PermissionError:
            raise
        except OSError:
            wrong[name] = f"{name} is missing"
            continue
        if size != recorded["bytes"]:
            wrong[name] = f"{name} has {size} bytes instead of {recorded['bytes']}"
        elif "sha256" in recorded and (chunks or not chunk(name)):
            hashed.append(name)
    for name, found in hash_all(folder, hashed, afresh):
        if found != listed[name]["sha256"]:
            wrong[name] = changed(name) if found else f"{name} cannot be read"
    added = [name for name in names_of(folder) if chunk(name) and name not in listed] if chunks else []
    ordered = {name: wrong[name] for name in listed if name in wrong}
    return ordered | {name: f"{name} was added since it was written" for name in added}


def changed(name: str) -> str:
    """What is wrong with a file whose hash is another, in words."""
    return f"the content of {name} has changed since it was written"
