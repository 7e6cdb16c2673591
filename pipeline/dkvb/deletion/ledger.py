"""The ledger: `ledger.jsonl`, one event a line, each with the hash of the line before, so that no line can change
unseen.

A chain alone does not show that its last lines were cut off: the number of lines and the hash of the last are kept in
`ledger.head.json` as well, and every entry names the file of the request that it is about.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dkvb.errors import DamagedArtifact
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import canonical_hash, write_json
from dkvb.workspace.requests import Request, all_requests, change

LEDGER, HEAD = "ledger.jsonl", "ledger.head.json"


START = "0" * 64
"""What stands for the line before the first."""


NEEDED = {"masked": ("masked",), "restored": ("masked", "restored"), "purged": ("masked", "purged")}
"""State of a request -> the events that the ledger must hold of it."""


def append(workspace: Workspace, event: str, request: Request, **more: Any) -> dict[str, Any]:
    """Add an event of a request; its entry.

    Raises:
        DamagedArtifact: the ledger was altered: nothing is added to it.
    """
    with workspace.hold("ledger", "the ledger"):
        entries, problem = _read(workspace, mend=True)
        if problem:
            raise DamagedArtifact(
                f"Nothing can be added to {workspace.root / LEDGER}: {problem}. `dkvb ledger` shows what is left of it."
            )
        entry: dict[str, Any] = {
            "number": len(entries) + 1,
            "event": event,
            "request": request.id,
            "classes": request.classes,
            "train": request.train,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            **more,
            "previous": entries[-1]["hash"] if entries else START,
        }
        entry["hash"] = canonical_hash(entry)
        # the line is announced first: killed while it is written, the next to come finishes it
        write_json(_head(workspace), {"entries": len(entries), "hash": entry["previous"], "pending": entry})
        _finish(workspace, entry)
        return entry


def record(workspace: Workspace, event: str, request: Request, **more: Any) -> Request:
    """Like `append`, for the event that a request's `unrecorded` names, which is then taken away."""
    append(workspace, event, request, **more)
    return change(request, unrecorded=None)


def catch_up(workspace: Workspace) -> None:
    """Record what a killed process has written into requests but no longer into the ledger. Call with requests held."""
    for request in all_requests(workspace):
        if event := request.data.get("unrecorded"):
            known = entries(workspace)
            if not any(entry["request"] == request.id and entry["event"] == event for entry in known):
                append(workspace, event, request)
            change(request, unrecorded=None)


def entries(workspace: Workspace) -> list[dict[str, Any]]:
    """The entries, up to the first that does not fit."""
    return _read(workspace)[0]


def verify(workspace: Workspace) -> dict[str, Any]:
    """`ledger`: the entries that fit; `valid`; `problem`: the first that was changed, removed or reordered, in words,
    or None."""
    with workspace.hold("ledger", "the ledger"):
        found, problem = _read(workspace, mend=True)
    events = {(entry["request"], entry["event"]) for entry in found}
    for request in [] if problem else all_requests(workspace):
        for event in NEEDED.get(request.state, (request.state,)):
            if (request.id, event) not in events and request.data.get("unrecorded") != event:
                problem = problem or f"request {request.id} is {request.state}, and its entry '{event}' was removed"
    return {"ledger": found, "valid": problem is None, "problem": problem, "path": str(workspace.root / LEDGER)}


def _head(workspace: Workspace) -> Path:
    return workspace.root / HEAD


def _finish(workspace: Workspace, entry: dict[str, Any]) -> None:
    with open(workspace.root / LEDGER, "a", encoding="utf-8") as file:
        file.write(_line(entry))
        file.flush()
        os.fsync(file.fileno())
    write_json(_head(workspace), {"entries": entry["number"], "hash": entry["hash"], "pending": None})


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, sort_keys=True) + "\n"


def _read(workspace: Workspace, mend: bool = False) -> tuple[list[dict[str, Any]], str | None]:
    """Entries up to the first that does not fit, and what is wrong with that one. `mend`: finish what a killed process
    was writing."""
    path = workspace.root / LEDGER
    raw = path.read_bytes() if path.is_file() else b""
    try:
        head = json.loads(_head(workspace).read_text(encoding="utf-8"))
        count, last, pending = int(head["entries"]), str(head["hash"]), head["pending"]
    except FileNotFoundError:
        return [], f"{HEAD}, which holds how many entries there are, is missing" if raw else None
    except (ValueError, KeyError, TypeError):
        return [], f"{HEAD} is damaged"
    entries: list[dict[str, Any]] = []
    previous = START
    *lines, half = raw.split(b"\n")  # what follows the last end of line: nothing, or half of a line
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            found = {name: value for name, value in entry.items() if name != "hash"}
        except (ValueError, AttributeError):
            return entries, f"entry {number} was changed (it is no JSON object)"
        if entry.get("hash") != canonical_hash(found):
            return entries, f"entry {number} was changed"
        if entry.get("previous") != previous or entry.get("number") != number:
            return (
                entries,
                f"entry {number} does not follow the one before it: entries were removed, added or reordered",
            )
        entries.append(entry)
        previous = entry["hash"]
    if pending and previous == pending["hash"] and not half:
        if mend:
            write_json(_head(workspace), {"entries": len(entries), "hash": previous, "pending": None})
        return entries, None
    if pending and len(entries) == count and previous == last and _line(pending).encode().startswith(half):
        if mend:
            os.truncate(path, len(raw) - len(half)) if half else None
            _finish(workspace, pending)
            return [*entries, pending], None
        return entries, None
    if half:
        return entries, f"entry {len(entries) + 1} was changed (its line is cut off)"
    if len(entries) < count:
        return entries, f"entry {len(entries) + 1} was removed (there were {count})"
    if len(entries) > count or previous != last:
        return entries, (
            f"entry {count + 1} was added by other means" if len(entries) > count else f"entry {count} was changed"
        )
    return entries, None
