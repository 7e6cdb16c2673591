"""A purge in a process of its own that is killed at one of its writes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from dkvb.workspace.artifacts import Workspace

SCRIPT = """
import importlib, os, signal, sys
calls = 0
def dying(real):
    def call(*arguments, **named):
        global calls
        calls += 1
        if calls == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)
    return call
from pathlib import Path
from dkvb.runtime import progress
from dkvb.deletion import purge
from dkvb.recipe import load
from dkvb.workspace.artifacts import Workspace
for module in sys.argv[6:]:
    importlib.import_module(module)
progress.silence()
for name in ("replace", "fsync", "unlink"):
    setattr(os, name, dying(getattr(os, name)))
purge.run(load(sys.argv[4]), Workspace(Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[5])
"""


def purge_killed(workspace: Workspace, recipe: Path, request: str, call: int, *modules: str) -> None:
    """Purge a request, and die at the call-th time that a file is put in place, synchronised or removed.

    Args:
        modules: what is imported before the counting begins.
    """
    arguments = [str(workspace.root), str(workspace.reports), str(call), str(recipe), request, *modules]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
