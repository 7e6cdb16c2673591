"""Named locks of a workspace: one process at a time, and the others are told for whom they wait; or many readers at a
time, and no writer.

Where the workspace cannot be written, nobody who comes through it writes either: such a process takes part as a reader
of the locks that are there, and goes on without those that are not.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path

import filelock

from dkvb.runtime import progress

try:
    import fcntl
except ImportError:  # not on Windows: no lock for many readers there
    fcntl = None  # type: ignore[assignment]

PATIENCE = 0.05
"""Seconds to wait for a lock before saying so."""

POLL = 0.05
"""Seconds between two looks at a lock that another process has."""

_HELD: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


def read_only(error: OSError, root: Path) -> bool:
    """Whether a system error says that a workspace may be read and not written."""
    if error.errno == errno.EROFS:
        return True
    return error.errno in (errno.EACCES, errno.EPERM) and not os.access(_existing(root), os.W_OK)


@contextmanager
def unless_read_only(root: Path) -> Iterator[None]:
    """Leave out a write that a command can do without, where the workspace at `root` may be read only."""
    try:
        yield
    except OSError as error:
        if not read_only(error, root):
            raise


def held(folder: Path, name: str) -> bool:
    """Whether this thread holds the lock `name` of a folder alone."""
    return folder / name in _HELD.get()


@contextmanager
def hold(folder: Path, name: str, what: str) -> Iterator[None]:
    """Hold the lock `name` in a folder, waiting for it where another process has it.

    Args:
        what: what the lock is for, as the others are told.
    """
    lock = _acquired(folder, name, what)
    if lock is None:
        with share(folder, name, what):
            yield
        return
    holder = folder / f"{name}.holder"
    before = _HELD.set(_HELD.get() | {folder / name})
    try:
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
        holder.write_text(
            f"process {os.getpid()} on {platform.node()} (`{command}`, since {datetime.now():%H:%M:%S})",
            encoding="utf-8",
        )
        yield
    finally:
        _HELD.reset(before)
        holder.unlink(missing_ok=True)
        lock.release()


def _acquired(folder: Path, name: str, what: str) -> filelock.BaseFileLock | None:
    """The lock, held; None where the workspace can be read only."""
    lock = filelock.FileLock(folder / f"{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=PATIENCE)
        except filelock.Timeout:
            _say_waiting(folder, name, what)
            lock.acquire()
    except OSError as error:
        if not read_only(error, folder.parent):
            raise
        return None
    return lock


@contextmanager
def share(folder: Path, name: str, what: str) -> Iterator[None]:
    """Keep others from holding the lock `name` alone, beside other readers; waits for who holds it alone.

    Without such a lock where there is none and none can be made, and on Windows.
    """
    number = None if fcntl is None or held(folder, name) else _opened(folder, name)
    if number is None:
        yield
        return
    try:
        started, said = time.monotonic(), False
        while not _shared(number):
            if not said and time.monotonic() - started > PATIENCE:
                _say_waiting(folder, name, what)
                said = True
            time.sleep(POLL)
        yield
    finally:
        os.close(number)


def _opened(folder: Path, name: str) -> int | None:
    """The lock's file, made where it is not there; None where neither is possible."""
    file = folder / f"{name}.lock"
    with suppress(OSError):
        if folder.parent.is_dir():
            folder.mkdir(exist_ok=True)
            return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    with suppress(OSError):
        return os.open(file, os.O_RDONLY)
    return None


def _shared(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        # a file system without such locks has none to wait for
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True


def _say_waiting(folder: Path, name: str, what: str) -> None:
    who = "another process"
    with suppress(OSError):
        who = (folder / f"{name}.holder").read_text(encoding="utf-8").strip() or who
    progress.note(f"waiting: {who} is working on {what}; this run goes on when it ends (Ctrl-C to stop waiting)")


def _existing(path: Path) -> Path:
    """A path, or the first folder above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
