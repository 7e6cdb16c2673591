"""What happened to deletion requests, and when: as rows of a chart, and what is to be done next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import polars as pl

from dkvb.records.requests import RequestRow

Standing = Literal["open", "overdue", "answered", "refused"]


@dataclass(frozen=True)
class Span:
    """A request from the day on which it was opened to the one on which it was answered, or to today."""

    request: str
    standing: Standing
    first: date
    last: date
    deadline: date


@dataclass(frozen=True)
class Happening:
    """Something that happened to a request."""

    request: str
    what: str
    day: date
    more: str = ""
    """The verdict, or who was told."""


def day_of(time: str) -> date:
    """The day, in UTC, of an ISO 8601 time."""
    return datetime.fromisoformat(time).astimezone(UTC).date()


def standing(row: RequestRow) -> Standing:
    """Whether a request is answered, and in time."""
    if row.refused:
        return "refused"
    if row.answered:
        return "answered"
    return "overdue" if row.overdue else "open"


def spans(rows: Sequence[RequestRow]) -> list[Span]:
    """One per request, in their order."""
    return [
        Span(
            row.request,
            standing(row),
            opened,
            opened + timedelta(row.days),
            date.fromisoformat(row.deadline),
        )
        for row, opened in ((row, day_of(row.created)) for row in rows)
    ]


def happenings(rows: Sequence[RequestRow]) -> list[Happening]:
    """All that is known of each request, in the order of their days."""
    found = []
    for row in rows:
        found.append(Happening(row.request, "opened", day_of(row.created), row.reason or ""))
        if row.verified:
            found.append(
                Happening(row.request, "last verified", day_of(row.verified), (row.verdict or "").replace("-", " "))
            )
        found += [Happening(row.request, "somebody told", day_of(notice.time), notice.who) for notice in row.notified]
        if row.answered:
            found.append(Happening(row.request, ended(row), day_of(row.answered)))
    return sorted(found, key=lambda one: one.day)


def ended(row: RequestRow) -> str:
    """How a request was answered."""
    return "refused" if row.refused else "restored" if row.state == "restored" else "purged"


def next_step(row: RequestRow) -> str:
    """The command that takes a request on; "" where nothing is left to do."""
    if row.answered is None:
        measured = row.verdict in ("passed", "not-shown")  # too few samples stay too few: measuring again shows no more
        return f"dkvb purge {row.request}" if measured else "dkvb verify"
    if row.state == "purged" and row.receipt is None:
        return f"dkvb receipt {row.request}"
    return ""


def happenings_table(rows: Sequence[RequestRow]) -> pl.DataFrame:
    """A row per happening, deadlines among them."""
    every = [
        *((one.request, one.day, one.what, one.more) for one in happenings(rows)),
        *((row.request, date.fromisoformat(row.deadline), "deadline", "") for row in rows),
    ]
    columns = ["request", "day", "what", "more"]
    return pl.DataFrame(sorted(every, key=lambda row: (row[0], row[1])), schema=columns, orient="row")
