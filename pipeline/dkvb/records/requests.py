"""The list of all deletion requests: how far each has come, and by when it is to be answered."""

from __future__ import annotations

from typing import ClassVar

from dkvb.records.base import Record
from dkvb.records.filing import Notice, Refusal
from dkvb.records.levels import Level
from dkvb.records.purges import State


class RequestRow(Record):
    """A request and what became of it."""

    absent: ClassVar[frozenset[str]] = frozenset({"reason", "refused"})

    request: str
    what: str
    """What it forgets, in words."""
    classes: list[int]
    state: State
    """masked, purged or restored."""
    level: Level | None
    """hidden, erased or exact; None once it was restored."""
    reason: str | None = None
    """Why it was made."""
    created: str
    """When it was opened."""
    days: int
    """Whole days since then; of a request that was answered, until then."""
    deadline: str
    """The day by which it is to be purged or refused."""
    answered: str | None
    """When it was purged, restored or refused; None while it is open."""
    overdue: bool
    """Whether it is open and its deadline is past."""
    refused: Refusal | None = None
    notified: list[Notice]
    """Who was told of it."""
    verdict: str | None
    """Of the last verification: passed, failed or not-shown; None where there was none."""
    verified: str | None
    """When that was."""
    receipt: str | None
    """The receipt's JSON file; None where none was issued."""
    receipt_entry: int | None
    """Number of its entry in the ledger."""
