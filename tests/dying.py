"""A purge in a process of its own that is killed at one of its writes."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable
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


def die_at(last: int) -> None:
    """From now on, die at the last-th time that a file is put in place, synchronised or removed."""
    calls = 0

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return call

    for name in ("replace", "fsync", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
