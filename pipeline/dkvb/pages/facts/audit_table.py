"""The tables of an audit: methods by measures as the page shows them, and the same as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from dkvb.pages.facts.audit_measures import Described, apart, why_missing
from dkvb.pages.facts.audited import Group, own
from dkvb.records.audit import Audit, AuditEntry, Measured


@dataclass(frozen=True)
class Cell:
    """A measure of an entry."""

    measured: Measured | None
    why: str
    """Why it is missing; "" where it is not."""
    note: str
    """What is to be known of this value alone."""
    best: bool
    """Whether no other method on the same kind of model is better."""


@dataclass(frozen=True)
class TableRow:
    """An entry."""

    entry: AuditEntry
    own: bool
    cells: list[Cell]


def rows(group: Group, measures: Sequence[Described]) -> list[TableRow]:
    """The two lines, then methods."""
    best = {one.name: group.best(one.name) for one in measures}
    return [
        TableRow(entry, own(entry), [_cell(entry, one, best[one.name]) for one in measures])
        for entry in [*group.lines, *group.methods]
    ]


def _cell(entry: AuditEntry, measure: Described, best: set[str]) -> Cell:
    measured = entry.measures.get(measure.name)
    if measured is None:
        return Cell(None, why_missing(entry, measure.name), "", False)
    return Cell(measured, "", apart(measured.note, measure.sentence), entry.key in best)


def measures_table(audit: Audit) -> pl.DataFrame:
    """A row for each entry and measure, those that are missing with the reason."""
    found = [
        {"method": entry.method, "model": entry.model, **one.model_dump(), "at_null": one.at_null, "missing": None}
        for entry in audit.entries
        for one in entry.measures.values()
    ]
    lacking = [
        {"method": entry.method, "model": entry.model, "name": name, "missing": why}
        for entry in audit.entries
        for name, why in entry.left_out.items()
    ]
    return pl.DataFrame([*found, *lacking], infer_schema_length=None)


def entries_table(audit: Audit) -> pl.DataFrame:
    """A row for each entry: what it is, and what it costs."""
    whole = {"measures", "left_out", "forget", "skipped", "artifact"}
    return pl.DataFrame([entry.model_dump(exclude=whole) for entry in audit.entries], infer_schema_length=None)
