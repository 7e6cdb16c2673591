"""The charts' library: Vega, Vega-Lite and vega-embed as one script beside all pages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path

from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import TEMPORARY, canonical_hash, write_text

EXPORTS = "window.vegaEmbed = vegaEmbed;"

_MADE: list[str] = []
"""The script, once this process has it."""

PRINTED = f"import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle({EXPORTS!r}).encode())"


def library_name() -> str:
    """Its path, relative to the pages; it changes with its version."""
    return f"assets/vega-{version('vl-convert-python')}.js"


def vega_bundle() -> str:
    """The script."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle(EXPORTS)
    return bundle


def written_alone(workspace: Workspace) -> AbstractContextManager[None]:
    """The right to write into the reports folder; one process at a time."""
    label = f"reports-{canonical_hash(str(workspace.reports))[:16]}"
    return workspace.hold(label, f"the pages in {workspace.reports}")


def remove_unfinished(reports: Path) -> None:
    """Delete what a killed process left half-written where pages lie. Call with `written_alone`."""
    for folder in (reports, reports / "data", reports / "assets"):
        for path in folder.glob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)


@contextmanager
def library_being_written(reports: Path, there: bool) -> Iterator[None]:
    """Have another process make the script meanwhile, unless it is `there` as it was written: making it takes as long
    as the pages of a small report, and holds Python's lock all the while."""
    path = reports / library_name()
    if there or _MADE:
        yield
        if not there:
            write_text(path, _MADE[0])
        return
    command = [sys.executable, "-P", "-c", PRINTED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        try:
            yield
        except BaseException:
            child.kill()
            raise
        printed = child.communicate()[0]
    _MADE.append(vega_bundle() if child.returncode else printed.decode())
    write_text(path, _MADE[0])
