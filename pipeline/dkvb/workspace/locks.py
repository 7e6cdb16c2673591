"""Named locks of a workspace: one process at a time, and the others are told for whom they wait."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import filelock

from dkvb.runtime import progress

PATIENCE = 0.05
"""Seconds to wait for a lock before saying so."""


@contextmanager
def hold(folder: Path, name: str, what: str) -> Iterator[None]:
    """Hold the lock `name` in a folder, waiting for it where another process has it.

    Args:
        what: what the lock is for, as the others are told.
    """
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / f"{name}.holder"
    lock = filelock.FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(timeout=PATIENCE)
    except filelock.Timeout:
        who = holder.read_text(encoding="utf-8").strip() if holder.is_file() else "another process"
        progress.note(f"waiting: {who} is working on {what}; this run goes on when it ends (Ctrl-C to stop waiting)")
        lock.acquire()
    try:
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
        holder.write_text(
            f"process {os.getpid()} on {platform.node()} (`{command}`, since {datetime.now():%H:%M:%S})",
            encoding="utf-8",
        )
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
