"""Readers beside a purge: while files are erased nobody reads, and while somebody reads nothing is erased.

A purge marks its request, then erases under the lock `LOCK`, alone. Readers share that lock, and look at the marks once
they have it. A mark without a process behind it is left by a purge that was killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType

from dkvb.errors import DamagedArtifact
from dkvb.records.deletion import RequestRecord
from dkvb.workspace import locks
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.names import REQUEST

LOCK = "artifacts"
REQUESTS = "requests"
"""The lock under which a whole purge runs, and the folder of requests."""

_FOUND: ContextVar[Mapping[Path, RequestRecord | None]] = ContextVar("found", default=MappingProxyType({}))
"""Workspaces that this thread is reading -> the request whose purge was cut short there."""


@contextmanager
def reading(workspace: Workspace) -> Iterator[None]:
    """Nothing is erased from a workspace meanwhile. Waits for a purge that is under way; one that was killed is left to
    `refuse_half_purged`."""
    if workspace.root in _FOUND.get() or locks.held(workspace.locks, LOCK):
        yield  # within another reader, or within the purge itself
        return
    if not (workspace.root / REQUESTS).is_dir():
        yield  # nothing can be purged, and a folder that is no workspace gets no lock
        return
    killed = None if locks.held(workspace.locks, REQUESTS) else _awaited(workspace)
    while True:
        with locks.share(workspace.locks, LOCK, "a purge"):
            now = _marked(workspace)
            if now is None or (killed and now.id == killed.id) or locks.held(workspace.locks, REQUESTS):
                before = _FOUND.set({**_FOUND.get(), workspace.root: now})
                try:
                    yield
                finally:
                    _FOUND.reset(before)
                return
        killed = _awaited(workspace)  # another one has begun


def erasing(workspace: Workspace) -> AbstractContextManager[None]:
    """Nobody reads the workspace meanwhile. Waits for who does. Call with requests held."""
    if locks.held(workspace.locks, LOCK):
        return nullcontext()
    return workspace.hold(LOCK, "what is to be erased (reading it, say)")


def refuse_half_purged(workspace: Workspace) -> None:
    """Raise where a purge was killed while it erased, since what lies on disk then does not fit together. One that is
    under way is waited for.

    Raises:
        DamagedArtifact: names the command that ends it.
    """
    found = _FOUND.get()
    if workspace.root in found:
        begun = found[workspace.root]
    else:
        begun = _marked(workspace)
        if _erases(begun) and not locks.held(workspace.locks, REQUESTS):
            begun = _awaited(workspace)
    if begun is not None and _erases(begun):
        raise DamagedArtifact(
            f"The purge of request {begun.id} did not come to its end: `dkvb purge {begun.id} --yes` ends it."
        )


def _erases(request: RequestRecord | None) -> bool:
    return request is not None and request.purging is not None and request.purging.stage == "erase"


def _marked(workspace: Workspace) -> RequestRecord | None:
    """The request whose purge has begun and not ended, if there is one; those that cannot be read are for others to
    name."""
    for file in sorted((workspace.root / REQUESTS).glob(f"*/{REQUEST}")):
        try:
            record = RequestRecord.model_validate_json(file.read_bytes())
        except (ValueError, FileNotFoundError):
            continue
        if record.purging and record.purging.stage != "close":
            return record
    return None


def _awaited(workspace: Workspace) -> RequestRecord | None:
    """Wait until no purge is under way; the request of one that was killed."""
    if _marked(workspace) is None:
        return None
    with workspace.hold(REQUESTS, "deletion requests"):
        return _marked(workspace)
