"""What is done with a request beside forgetting: it is refused, or somebody is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from dkvb.deletion import ledger, restore
from dkvb.errors import SettingsClash
from dkvb.recipe import Recipe
from dkvb.records.filing import Notice, Refusal
from dkvb.runtime import progress
from dkvb.workspace import request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import MASKED

REFUSED, NOTIFIED = "refused", "notified"


def refuse(recipe: Recipe, workspace: Workspace, wanted: str, because: str) -> None:
    """Refuse a request: it is taken back where it was not yet, and the reason is kept. Does nothing where it was
    refused before.

    Raises:
        UsageError: there is no such request.
        SettingsClash: it was purged, so that there is nothing left to refuse; or see `restore`.
    """
    if requests.find(workspace, wanted).state == MASKED:
        restore.run(recipe, workspace, wanted)
    with requests.held(workspace):
        ledger.catch_up(workspace)
        request = requests.find(workspace, wanted)
        if request.values_may_be_gone:
            raise SettingsClash(f"Request {request.id} was purged: there is nothing left to refuse.")
        if request.record.refused:
            progress.note(f"request {request.id} was refused before, at {request.record.refused.time}")
            return
        refusal = Refusal(time=_now(), because=because)
        ledger.record(workspace, REFUSED, request_writing.change(request, refused=refusal, unrecorded=REFUSED))
        progress.note(f"request {request.id} is refused")


def notify(workspace: Workspace, wanted: str, who: Sequence[str]) -> None:
    """Enter who was told of a request; those who are entered already are passed over.

    Raises:
        UsageError: there is no such request.
    """
    with requests.held(workspace):
        ledger.catch_up(workspace)
        for one in who:
            request = requests.find(workspace, wanted)
            told = request.record.notified or []
            if one in [notice.who for notice in told]:
                continue
            told = [*told, Notice(time=_now(), who=one)]
            ledger.record(workspace, NOTIFIED, request_writing.change(request, notified=told, unrecorded=NOTIFIED))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
