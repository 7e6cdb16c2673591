"""All deletion requests with what the ledger says of them: verdict, receipt, and days until they are to be answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from dkvb.records.ledger import LedgerEntry
from dkvb.records.requests import RequestRow
from dkvb.workspace import chain
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.names import RECEIPTS
from dkvb.workspace.requests import MASKED, Request, all_requests


def rows(workspace: Workspace, limit: int, today: date | None = None) -> list[RequestRow]:
    """All requests, oldest first.

    Args:
        limit: days within which a request is to be answered.
        today: in UTC.

    Raises:
        DamagedArtifact: a request cannot be read.
    """
    entries = chain.read(workspace)[0]
    now = today or datetime.now(UTC).date()
    return [_row(request, entries, workspace.root / RECEIPTS, limit, now) for request in all_requests(workspace)]


def _row(request: Request, entries: Sequence[LedgerEntry], receipts: Path, limit: int, today: date) -> RequestRow:
    record = request.record
    mine = [entry for entry in entries if entry.request == request.id]
    verified = next((entry for entry in reversed(mine) if entry.event == "verified"), None)
    issued = next((entry for entry in reversed(mine) if entry.event == "receipt"), None)
    purged = record.purge.finished if record.purge else None
    answered = purged or (record.refused.time if record.refused else None) or record.restored
    opened = _day(record.created)
    deadline = opened + timedelta(limit)
    file = receipts / f"{request.id}.json"
    return RequestRow(
        request=request.id,
        what=record.what,
        classes=record.classes,
        state=record.state,
        level=record.reached,
        reason=record.reason,
        created=record.created,
        days=((_day(answered) if answered else today) - opened).days,
        deadline=deadline.isoformat(),
        answered=answered,
        overdue=request.state == MASKED and today > deadline,
        refused=record.refused,
        notified=record.notified or [],
        verdict=verified.verdict if verified else None,
        verified=verified.time if verified else None,
        receipt=str(file) if issued and file.is_file() else None,
        receipt_entry=issued.number if issued else None,
    )


def _day(time: str) -> date:
    return datetime.fromisoformat(time).astimezone(UTC).date()
