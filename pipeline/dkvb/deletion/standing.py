"""Whose values stand: of the exact requests that are in force the newest, whose values were trained without what it and
all requests before it forget. It alone keeps values; those of another are made again when it takes its place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dkvb.workspace import request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import erasing
from dkvb.workspace.requests import Request
from dkvb.workspace.shredding import shred


@dataclass(frozen=True)
class Stand:
    """The request whose values are to stand, and those that they are to be trained without, itself the last."""

    request: Request
    without: list[Request]

    @property
    def settled(self) -> bool:
        """Whether its values are there, and without these."""
        exact = self.request.record.exact
        return bool(exact and exact.file) and exact is not None and exact.without == [one.id for one in self.without]


def stand(every: Sequence[Request], leaving: Collection[str] = ()) -> Stand | None:
    """Whose values are to stand among the requests of a model; None where those of training are.

    Args:
        leaving: ids of requests that are about to be restored.
    """
    there = [request for request in every if request.in_force and request.id not in leaving]
    for place in reversed(range(len(there))):
        if there[place].exact and not _new_keys(there[place]):
            return Stand(there[place], there[: place + 1])
    return None


def _new_keys(request: Request) -> bool:
    """Whether keys were fitted anew since, on which all values were trained without it."""
    return request.record.masked_before_reinit is not None


def tidy(workspace: Workspace, train: str) -> None:
    """Shred values that do not stand, those of interrupted work among them. Call with requests held."""
    every = requests.all_requests(workspace, train)
    standing = stand(every)
    for request in every:
        exact = request.record.exact
        kept = exact.file if exact and standing and standing.request.id == request.id else None
        unlisted = exact if exact and exact.file and kept is None else None
        files = [file for file in sorted(request.path.glob("values*.safetensors")) if file.name != kept]
        if unlisted or files:
            with erasing(workspace):
                if unlisted:
                    gone = unlisted.model_copy(update={"file": None, "values_sha256": None})
                    request_writing.change(request, exact=gone)
                for file in files:
                    shred(file)
