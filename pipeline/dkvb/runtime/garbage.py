"""Python's search for reference cycles: a command imports thousands of modules, and looking through all that they made,
time and again and once more at the end, takes a tenth of a short one."""

from __future__ import annotations

import atexit
import gc

THRESHOLDS = (10_000, 10, 10)
"""New objects before the youngest are searched (Python's own: 700), and how often before older ones are."""


def search_seldom() -> None:
    """For the rest of this process, which must be a command's: search seldom, and not at its end."""
    gc.set_threshold(*THRESHOLDS)
    atexit.register(gc.freeze)  # what is frozen is not searched
