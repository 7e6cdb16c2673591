"""What many tests begin with is made once, by whichever of pytest's processes is the first to need it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

from filelock import FileLock

HOME: list[Path] = []
"""The one folder in which this run keeps them."""


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """A folder, to be read or copied, that `make` has filled, called in it as if it were a test's.

    Nothing but `name` may tell what it holds: `make` takes nothing of its test's that another test has otherwise.
    """
    folder = HOME[0] / hashlib.sha256(name.encode()).hexdigest()[:16]
    folder.parent.mkdir(exist_ok=True)
    done = Path(f"{folder}.made")
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a `make` that failed
            folder.mkdir()
            with chdir(folder):
                make(folder)
            done.touch()
    return folder
