"""Audits as tables for a person at a terminal: a row a method, a few of its measures, and its cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from dkvb.commands.tables import new_table
from dkvb.metrics.accuracy import percent
from dkvb.metrics.per_point import FEW
from dkvb.records.audit import Audit, Audited, AuditEntry

SHARES = {
    "forget accuracy": "forget",
    "retain accuracy": "retain",
    "nearest retained class": "nearest class",
    "destinations, each": "destinations",
}
"""Measures that are shares -> column."""

NUMBERS = {"KLoM, forgotten rows": "KLoM", "relearning": "relearn", "probe of logits": "probe"}
"""Others -> column."""

KINDS: dict[Audited, str] = {
    "values": "the bottleneck's values",
    "values-keys": "the bottleneck's values, retrained models with keys of their own",
    "linear": "a linear head",
    "converged": "a linear head, converged",
    "ridge": "ridge regression on random features",
    "given": "outputs as given",
}

LEGEND = (
    "=: among retrained models. nearest class: accuracy in the neighbour that retrained models take the class for, less"
    " theirs. destinations: how far each forgotten sample's probabilities are from theirs. relearn: samples that bring"
    " the class back. probe: how well its rows are told by all logits. seconds: of one model, and"
    " with choosing settings."
)


def audits(done: Sequence[Audit]) -> Iterable[Any]:
    for audit in done:
        for kind in dict.fromkeys(entry.model for entry in audit.entries):
            yield _table(audit, kind)
        yield from (escape(f"{e.method}: {e.error}") for e in audit.entries if e.error)
        yield escape(LEGEND)
        yield from map(escape, audit.says)


def _table(audit: Audit, kind: Audited) -> Table:
    forgotten = ", ".join(audit.forget_names) or "?"
    title = f"Audit of {audit.name}, seed {audit.seed}, without {forgotten}: {KINDS[kind]}"
    noise = min(audit.oracles // 2, audit.unlearned) < FEW
    entries = [entry for entry in audit.entries if entry.model == kind]
    columns = {**SHARES, **NUMBERS}
    shown = [name for name in columns if any(name in entry.measures for entry in entries)]
    heads = [f"{columns[name]} (noise)" if name.startswith("KLoM") and noise else columns[name] for name in shown]
    table = new_table(escape(title), "method", *heads, "seconds", "choosing")
    for entry in entries:
        cells = ["failed", *[""] * (len(shown) - 1)] if entry.error else [_cell(entry, name) for name in shown]
        table.add_row(escape(entry.method), *cells, _seconds(entry.seconds), _seconds(_with_choosing(entry)))
        if entry.role == "retrained":
            table.add_section()
    return table


def _cell(entry: AuditEntry, name: str) -> str:
    """A value, marked where it is among retrained models'; "-" where there is none."""
    found = entry.measures.get(name)
    if found is None:
        return "-"
    value = percent(found.value) if name in SHARES else f"{found.value:.2f}"
    marked = found.at_null and entry.role == "unlearned" and "this is noise" not in found.note
    return f"{value} =" if marked else value


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.3f}"


def _with_choosing(entry: AuditEntry) -> float | None:
    if entry.seconds is None or entry.seconds_choosing is None:
        return None
    return entry.seconds + entry.seconds_choosing
