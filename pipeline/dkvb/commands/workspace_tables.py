"""What `dkvb status` and `dkvb doctor` found, as tables for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.markup import escape

from dkvb.commands.tables import new_table, size
from dkvb.records.levels import WORDS
from dkvb.records.status import DoctorCheck, FileCheck, Problem, Status
from dkvb.runtime.progress import clock

PROBLEMS = 5
"""Problems that are listed of those that have one remedy."""


def status(result: Status) -> Iterable[Any]:
    table = new_table("In the workspace", "stage", "what", "state", "size", "time")
    for e in result.status:
        amounts = (size(e.bytes) if e.bytes else "-", clock(e.seconds) if e.seconds else "-")
        table.add_row(e.stage, escape(e.what), e.state, *amounts)
    yield table
    if result.requests:
        table = new_table("Deletion requests", "request", "classes", "state", "level", "masked", "created")
        for request in result.requests:
            what = ", ".join(request.names) if request.samples is None else f"{request.samples:,} samples"
            level, masked = request.level or "-", f"{request.masked:,}"
            table.add_row(escape(request.id), escape(what), request.state, level, masked, request.created)
        yield table
        for level in sorted({request.level for request in result.requests if request.level}):
            yield escape(f"{level}: {WORDS[level]}.")
    for room in result.capacity:
        yield (
            f"Room for more (seed {room.seed}): {room.allowed:.1%} of all pairs; the poorest codebook has {room.least}"
            f" of {room.pairs}."
        )
        if room.warning:
            yield escape(f"WARNING: {room.warning}")
    if result.check:
        yield from _check(result.check)
    yield escape(f"Next: {result.next}")


def _check(check: FileCheck) -> Iterable[Any]:
    looked = f"Checked {check.files:,} files ({size(check.bytes)}) in {clock(check.seconds)}"
    found = f"{len(check.problems):,} problem{'s' if len(check.problems) > 1 else ''}"
    yield f"{looked}: {found if check.problems else 'nothing is wrong'}."
    for of in check.sealed or []:
        yield escape(f"SEALED {of.where}: hashes of its files, as they are now")
    for of in [one for one in check.unchecked if one not in (check.sealed or [])]:
        yield escape(f"NOT CHECKABLE IN FULL {of.where}: {of.why}; `dkvb status --heal` takes hashes of it as it is")
    for healed in check.healed or []:
        yield escape(f"HEALED {healed.where}: {healed.what}")
    by_remedy: dict[tuple[str, str], list[Problem]] = {}
    for problem in check.problems:
        by_remedy.setdefault((problem.stage, problem.remedy), []).append(problem)
    for (stage, remedy), problems in by_remedy.items():
        for problem in problems[:PROBLEMS]:
            yield escape(f"WRONG ({stage}) {problem.where}: {problem.what}")
        more = f"and {len(problems) - PROBLEMS} more. " if len(problems) > PROBLEMS else ""
        yield escape(f"  {more}{remedy}")


def doctor(checks: Sequence[DoctorCheck]) -> Iterable[Any]:
    table = new_table("This machine", "", "state", "detail")
    for column in table.columns:
        column.justify = "left"
    for check in checks:
        table.add_row(check.check, "ok" if check.ok else "missing", escape(check.detail))
    yield table
