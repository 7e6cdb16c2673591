"""The ledger: `ledger.jsonl`, one event a line, each with the hash of the line before, so that no line can change
unseen.

A chain alone does not show that its last lines were cut off: the number of lines and the hash of the last are kept in
`ledger.head.json` as well, and every entry names the file of the request that it is about.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dkvb.errors import DamagedArtifact
from dkvb.records.ledger import Ledger, LedgerEntry, LedgerHead
from dkvb.records.purges import State
from dkvb.workspace import locks
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import canonical_hash, write_json
from dkvb.workspace.ledger_mark import LEDGER, START
from dkvb.workspace.request_writing import change
from dkvb.workspace.requests import TOPPED_UP, Request, all_requests

HEAD = "ledger.head.json"

NEEDED: dict[State, tuple[str, ...]] = {
    "masked": ("masked",),
    "restored": ("masked", "restored"),
    "purged": ("masked", "purged"),
}
"""State of a request -> the events that the ledger must hold of it."""


def append(workspace: Workspace, event: str, request: Request, **more: Any) -> LedgerEntry:
    """Add an event of a request.

    Args:
        more: fields of `LedgerEntry` that belong to the event.

    Raises:
        DamagedArtifact: the ledger was altered: nothing is added to it.
    """
    with workspace.hold("ledger", "the ledger"):
        entries, problem = _read(workspace, mend=True)
        if problem:
            raise DamagedArtifact(
                f"Nothing can be added to {workspace.root / LEDGER}: {problem}. `dkvb ledger` shows what is left of it."
            )
        entry = LedgerEntry(
            number=len(entries) + 1,
            event=event,
            request=request.id,
            classes=request.classes,
            train=request.train,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            **more,
            previous=entries[-1].hash if entries else START,
            hash="",
        )
        entry = entry.model_copy(update={"hash": _hash(entry.model_dump(mode="json"))})
        line = entry.model_dump(mode="json")
        # the line is announced first: killed while it is written, the next to come finishes it
        _write_head(workspace, LedgerHead(entries=len(entries), hash=entry.previous, pending=line))
        _finish(workspace, line)
        return entry


def record(workspace: Workspace, event: str, request: Request, **more: Any) -> Request:
    """Like `append`, for the event that a request's `unrecorded` names, which is then taken away."""
    append(workspace, event, request, **more)
    return change(request, unrecorded=None)


def catch_up(workspace: Workspace) -> None:
    """Record what a killed process has written into requests but no longer into the ledger. Call with requests held."""
    for request in all_requests(workspace):
        event = request.record.unrecorded
        if event == TOPPED_UP:
            record_top_ups(workspace, request)
        elif event:
            if not any(entry.request == request.id and entry.event == event for entry in entries(workspace)):
                append(workspace, event, request)
            change(request, unrecorded=None)


def record_top_ups(workspace: Workspace, request: Request) -> Request:
    """Record every raise of a request's N that the ledger does not hold yet."""
    recorded = sum(entry.request == request.id and entry.event == TOPPED_UP for entry in entries(workspace))
    for raised in (request.record.topped_up or [])[recorded:]:
        append(workspace, TOPPED_UP, request, mask=raised.mask_sha256, top_up=raised)
    return change(request, unrecorded=None)


def entries(workspace: Workspace) -> list[LedgerEntry]:
    """The entries, up to the first that does not fit."""
    return _read(workspace)[0]


def verify(workspace: Workspace) -> Ledger:
    """The entries that fit, and the first that was changed, removed or reordered."""
    there = all_requests(workspace)  # before the entries: what is recorded meanwhile is then not missed
    with workspace.hold("ledger", "the ledger") if workspace.root.is_dir() else nullcontext():
        fitting, problem = _read(workspace)
        with locks.unless_read_only(workspace.root):
            fitting, problem = _read(workspace, mend=True)
    if problem is None:
        problem = _missing(fitting, there)
    return Ledger(ledger=fitting, valid=problem is None, problem=problem, path=str(workspace.root / LEDGER))


def _missing(fitting: Sequence[LedgerEntry], requests: Sequence[Request]) -> str | None:
    """The first event of a request that the ledger lacks."""
    events = {(entry.request, entry.event) for entry in fitting}
    for request in requests:
        for event in NEEDED[request.state]:
            if (request.id, event) not in events and request.record.unrecorded != event:
                return f"request {request.id} is {request.state}, and its entry '{event}' was removed"
    return None


def _hash(line: Mapping[str, Any]) -> str:
    """What the hash of an entry must be: over all its fields but `hash` itself."""
    return canonical_hash({name: value for name, value in line.items() if name != "hash"})


def _text(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n"


def _head(workspace: Workspace) -> Path:
    return workspace.root / HEAD


def _write_head(workspace: Workspace, head: LedgerHead) -> None:
    write_json(_head(workspace), head.model_dump(mode="json"))


def _finish(workspace: Workspace, line: Mapping[str, Any]) -> None:
    """Write an announced line, and say in the head that it is there."""
    with open(workspace.root / LEDGER, "a", encoding="utf-8") as file:
        file.write(_text(line))
        file.flush()
        os.fsync(file.fileno())
    _write_head(workspace, LedgerHead(entries=line["number"], hash=line["hash"], pending=None))


def _read(workspace: Workspace, mend: bool = False) -> tuple[list[LedgerEntry], str | None]:
    """The entries up to the first that does not fit, and what is wrong with that one, in words.

    Args:
        mend: finish what a killed process was writing.
    """
    path = workspace.root / LEDGER
    raw = path.read_bytes() if path.is_file() else b""
    try:
        head = LedgerHead.model_validate_json(_head(workspace).read_bytes())
    except FileNotFoundError:
        return [], f"{HEAD}, which holds how many entries there are, is missing" if raw else None
    except ValueError:
        return [], f"{HEAD} is damaged"
    *lines, half = raw.split(b"\n")  # what follows the last end of line: nothing, or half of a line
    entries, problem = _chain(lines)
    if problem:
        return entries, problem
    last = entries[-1].hash if entries else START
    line = head.pending
    if line and last == line["hash"] and not half:  # it was written, and the head does not say so yet
        if mend:
            _write_head(workspace, LedgerHead(entries=len(entries), hash=last, pending=None))
        return entries, None
    as_announced = len(entries) == head.entries and last == head.hash
    if line and as_announced and _text(line).encode().startswith(half):  # it was not written to its end
        if not mend:
            return entries, None
        if half:
            os.truncate(path, len(raw) - len(half))
        _finish(workspace, line)
        return [*entries, LedgerEntry.model_validate(line)], None
    return entries, _wrong_end(entries, head, half)


def _chain(lines: Sequence[bytes]) -> tuple[list[LedgerEntry], str | None]:
    """The lines whose hashes fit, and what is wrong with the first that does not."""
    entries: list[LedgerEntry] = []
    previous = START
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text)
            unchanged = line.get("hash") == _hash(line)
        except (ValueError, AttributeError):
            return entries, f"entry {number} was changed (it is no JSON object)"
        if not unchanged:
            return entries, f"entry {number} was changed"
        if line.get("previous") != previous or line.get("number") != number:
            problem = f"entry {number} does not follow the one before it: entries were removed, added or reordered"
            return entries, problem
        try:
            entries.append(LedgerEntry.model_validate(line))
        except ValueError:
            return entries, f"entry {number} was changed (it is no entry of a ledger)"
        previous = entries[-1].hash
    return entries, None


def _wrong_end(entries: Sequence[LedgerEntry], head: LedgerHead, half: bytes) -> str | None:
    """What is wrong with the end of a ledger whose lines all fit."""
    count = len(entries)
    if half:
        return f"entry {count + 1} was changed (its line is cut off)"
    if count < head.entries:
        return f"entry {count + 1} was removed (there were {head.entries})"
    if count > head.entries:
        return f"entry {head.entries + 1} was added by other means"
    last = entries[-1].hash if entries else START
    return None if last == head.hash else f"entry {head.entries} was changed"
