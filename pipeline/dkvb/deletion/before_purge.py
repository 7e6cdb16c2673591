"""What was measured of a class before its rows were purged: afterwards nothing can be."""

from __future__ import annotations

from collections.abc import Sequence

from dkvb.deletion import ledger
from dkvb.deletion.outputs import ROWS
from dkvb.records.ledger import LedgerEntry
from dkvb.records.verdict import BeforePurge
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import MASKED, PURGED, Request

Shares = dict[str, float | None]
"""Split -> share that was recognised."""


def before_purge(workspace: Workspace, requests: Sequence[Request]) -> list[BeforePurge]:
    """Of every class of purged requests: the last verification before the purge, else what the request was opened
    with."""
    purged = [request for request in requests if request.state == PURGED]
    entries = ledger.entries(workspace) if purged else []
    return [_of_class(request, place, entries) for request in purged for place in range(len(request.classes))]


def _of_class(request: Request, place: int, entries: Sequence[LedgerEntry]) -> BeforePurge:
    c, name = request.classes[place], request.names[place]
    for entry in reversed(entries):
        if (entry.request, entry.event, entry.state) == (request.id, "verified", MASKED) and entry.measured:
            measured, entered = entry.measured, request.public_names[place]
            on = {
                "test": measured.forget_test.get(entered),
                "validation": (measured.forget_validation or {}).get(entered),
                "train": (measured.forget_train or {}).get(entered),
            }
            return _record(request, c, name, "verify", entry.time, on)
    record = request.record
    looked = next((one.recognised for one in record.looked or [] if one.class_id == c), {})
    validation = record.per_class_validation_after
    on = {
        "test": record.per_class_test_after[c],
        "validation": validation[c] if validation else None,
        "train": looked.get("train"),
    }
    return _record(request, c, name, "forget", record.created, on)


def _record(request: Request, c: int, name: str, by: str, time: str, on: Shares) -> BeforePurge:
    shares = [f"{share:.1%} of its {ROWS[split]}" for split, share in on.items() if share is not None]
    when = f"Before the purge, by `dkvb {by}` of {time}"
    said = f"{', '.join(shares)} were recognised" if shares else "it had no rows to measure on"
    fields = {"class_id": c, "name": name, "request": request.id, "by": by, "time": time, **on}
    return BeforePurge.model_validate({**fields, "sentence": f"{when}: {said}."})
