"""The memory of this machine, or of the container or control group in which this process runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")


def machine_memory(own: Path = Path("/proc/self/cgroup"), groups: Path = GROUPS) -> int:
    """Bytes that this process may fill.

    Args:
        own, groups: where Linux says in which control groups this process is, and what each may take.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for place in _places(own, groups):
        said = place.read_text().strip() if place.is_file() else ""
        if said.isdigit():
            limits.append(int(said))
    return min(limits)


def _places(own: Path, groups: Path) -> Iterator[Path]:
    """Files that may hold a limit: of the whole container, and of this process's group and those around it."""
    yield from (groups / "memory.max", groups / "memory" / "memory.limit_in_bytes")
    for line in own.read_text().splitlines() if own.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root, name = (groups / "memory", "memory.limit_in_bytes") if controllers else (groups, "memory.max")
        parts = Path(path).parts[1:]
        yield from (root.joinpath(*parts[:depth], name) for depth in range(1, len(parts) + 1))
