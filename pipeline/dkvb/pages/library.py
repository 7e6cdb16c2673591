"""The charts' library: Vega, Vega-Lite and vega-embed as one script beside all pages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile

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


class _Making:
    """Another process that makes the script, into a file of no name, so that it can end before it is asked for."""

    def __init__(self) -> None:
        self.printed = TemporaryFile()  # noqa: SIM115, as long as this object
        command = [sys.executable, "-P", "-c", PRINTED]
        self.child = subprocess.Popen(command, stdout=self.printed, stderr=subprocess.DEVNULL)

    def script(self) -> str:
        """What it has made, once it has."""
        if self.child.wait():
            return vega_bundle()
        self.printed.seek(0)
        return self.printed.read().decode()

    def give_up(self) -> None:
        """End it, where it has not ended."""
        self.child.kill()
        self.child.wait()
        self.printed.close()


_UNDER_WAY: list[_Making] = []
"""What was begun before the pages."""


@contextmanager
def library_begun(reports: Path) -> Iterator[None]:
    """Have another process begin to make the script, for pages that are written later on; unless it lies there already.
    What no pages have asked for by the end is given up."""
    if not _MADE and not (reports / library_name()).is_file():
        _UNDER_WAY.append(_Making())
    try:
        yield
    finally:
        while _UNDER_WAY:
            _UNDER_WAY.pop().give_up()


@contextmanager
def library_being_written(reports: Path, there: bool) -> Iterator[None]:
    """Have another process make the script meanwhile, unless it is `there` as it was written: making it takes longer
    than the pages of a small report, and holds Python's lock all the while."""
    path = reports / library_name()
    if there or _MADE:
        yield
        if not there:
            write_text(path, _MADE[0])
        return
    making = _UNDER_WAY.pop() if _UNDER_WAY else _Making()
    try:
        yield
        _MADE.append(making.script())
    finally:
        making.give_up()
    write_text(path, _MADE[0])
