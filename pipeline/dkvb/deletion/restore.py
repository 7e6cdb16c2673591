"""`restore`: take a request back, exactly: its mask no longer applies, or the values from before it stand again. The
masks of other requests stay, and grow where their classes were kept away only by pairs that are given back."""

from __future__ import annotations

from datetime import UTC, datetime

from dkvb.deletion import ledger, standing, together
from dkvb.deletion.settle import settle
from dkvb.errors import SettingsClash
from dkvb.recipe import Recipe
from dkvb.records.deletion import RequestEntry
from dkvb.runtime import progress
from dkvb.workspace import request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import PURGED, RESTORED


def run(recipe: Recipe, workspace: Workspace, wanted: str) -> RequestEntry:
    """Take a request back, by its id or number.

    Returns:
        The request; `skipped` where it had been restored before.

    Raises:
        UsageError: there is no such request.
        SettingsClash: it was purged, or its purge has begun: there is nothing to take back. Or values have to be
            trained again, and the recipe is not that of the model.
    """
    with requests.held(workspace):
        ledger.catch_up(workspace)
        request = requests.find(workspace, wanted)
        if request.values_may_be_gone:
            raise SettingsClash(
                f"Request {request.id} was purged{'' if request.state == PURGED else ' in part'}, and a purge is"
                " irreversible: the values of its pairs are gone. To have the class back, train a new model on its"
                " original data with another --data-dir."
            )
        if request.state == RESTORED:
            settle(recipe, workspace, request.train)  # where the process was killed before it had done that
            standing.tidy(workspace, request.train)
            progress.note(f"restore: request {request.id} was restored before")
            return request.record.entry(skipped=True)
        if request.exact:  # values that are to stand must be there before its own go
            settle(recipe, workspace, request.train, leaving=[request.id])
        now = datetime.now(UTC).isoformat(timespec="seconds")
        request = request_writing.change(request, state=RESTORED, restored=now, unrecorded=RESTORED)
        request = ledger.record(workspace, RESTORED, request)
        settle(recipe, workspace, request.train)
        standing.tidy(workspace, request.train)
        request = requests.find(workspace, request.id)
        applies = "its values no longer stand" if request.exact else "its mask no longer applies"
        progress.note(f"restore: request {request.id} restored; {applies}")
        if raised := together.look_again_with(recipe, workspace, request):
            request = request_writing.change(request, raised=raised)
        return request.record.entry(skipped=False)
