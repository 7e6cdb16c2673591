"""A purge in a process of its own that is killed at one of its writes."""

from __future__ import annotations

import importlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import forked
from dkvb.runtime import progress
from dkvb.workspace.artifacts import Workspace


def purge_killed(workspace: Workspace, recipe: Path, request: str, call: int, *modules: str) -> None:
    """Purge a request, and die at the call-th time that a file is put in place, synchronised or removed.

    Args:
        modules: what is imported before the counting begins.
    """
    arguments = (workspace.root, workspace.reports, recipe, request, call, modules)
    done = forked.call(_purge, *arguments, folder=workspace.root.parent)
    assert done.end() == -signal.SIGKILL, done.said


def _purge(data: Path, reports: Path, recipe: Path, request: str, last: int, modules: tuple[str, ...]) -> None:
    from dkvb.deletion import purge
    from dkvb.recipe import load

    for module in modules:
        importlib.import_module(module)
    progress.silence()
    die_at(last)
    purge.run(load(str(recipe)), Workspace(data, reports), request)


PLACED = ("replace", "fsync", "unlink")
"""Functions of `os` that put a file in place, synchronise or remove it."""

OPERATIONS = (*PLACED, "rename", "mkdir", "rmdir", "truncate", "utime", "link", "symlink")
"""All by which Python changes what lies on a disk, but for opening and writing."""


def die_at(last: int, names: Sequence[str] = PLACED) -> Callable[[], int]:
    """From now on, die at the last-th time that a file is put in place, synchronised or removed.

    Args:
        last: never, where it is 0.
        names: the functions of `os` that count.

    Returns:
        Says how many there have been.
    """

    def at(calls: int) -> None:
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)

    return _count(at, names)


def _count(at: Callable[[int], None], names: Sequence[str]) -> Callable[[], int]:
    """Have `at` called with its number before every call of some functions of `os`."""
    calls = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            at(calls)
            return real(*arguments, **named)

        return call

    for name in names:
        setattr(os, name, counted(getattr(os, name)))
    return lambda: calls


def purge_paused(workspace: Workspace, recipe: Path, request: str, call: int) -> tuple[forked.Forked, Path]:
    """Purge a request in a process that stops at the call-th time that a file is put in place, synchronised or removed,
    until a file is there, which is returned; the process once it has stopped."""
    go = workspace.root.parent / "go"
    arguments = (workspace.root, workspace.reports, recipe, request, call, go)
    process = forked.call(_purge_and_wait, *arguments, folder=workspace.root.parent)
    process.wait_for("paused")
    assert "paused" in process.said, process.said
    return process, go


def _purge_and_wait(data: Path, reports: Path, recipe: Path, request: str, at: int, go: Path) -> None:
    from dkvb.deletion import purge
    from dkvb.recipe import load

    def pause(calls: int) -> None:
        if calls == at:
            print("paused", flush=True)
            while not go.exists():
                time.sleep(0.01)

    _count(pause, PLACED)
    purge.run(load(str(recipe)), Workspace(data, reports), request)
