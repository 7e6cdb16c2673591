"""The tests' folders lie in memory, where there is room: they make and remove tens of thousands of folders, and on some
disks each takes milliseconds."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30
"""Free bytes that a run may want, many times over."""


def pytest_configure() -> None:
    if "TMPDIR" not in os.environ and usable():
        os.environ["TMPDIR"] = str(MEMORY)  # pytest-xdist's workers and other processes take it over
        tempfile.tempdir = None  # it was looked up already


def usable() -> bool:
    """Whether there is a file system in memory, with room, in which programs may be run."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ROOM:
        return False
    return not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
