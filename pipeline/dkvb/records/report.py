"""What `dkvb report` returns."""

from __future__ import annotations

from dkvb.records.base import Record


class ReportResult(Record):
    """The pages of a report."""

    index: str
    """Path of index.html."""
    pages: list[str]
    """Paths of all others."""
    written: int
    """How many of them were made anew."""
    seconds: float
