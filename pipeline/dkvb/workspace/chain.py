"""The file of the ledger: `ledger.jsonl`, one event a line, each with the hash of the line before, so that no line can
change unseen.

A chain alone does not show that its last lines were cut off: the number of lines and the hash of the last are kept in
`ledger.head.json` as well. Where entries are signed, `ledger.sig.jsonl` holds an envelope for each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dkvb.records.ledger import LedgerEntry, LedgerHead
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import canonical_hash, remove_leftovers_of, write_json
from dkvb.workspace.ledger_mark import LEDGER, START

HEAD, SIGNATURES = "ledger.head.json", "ledger.sig.jsonl"

FORMAT = 2
"""Of entries. Those of 0.1 have none: they hold no facts of their request."""


def read(workspace: Workspace, mend: bool = False) -> tuple[list[LedgerEntry], str | None]:
    """The entries up to the first that does not fit, and what is wrong with that one, in words.

    Args:
        mend: finish what a killed process was writing. Call with the ledger held.
    """
    path = workspace.root / LEDGER
    raw = path.read_bytes() if path.is_file() else b""
    try:
        head = LedgerHead.model_validate_json((workspace.root / HEAD).read_bytes())
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
    if line and as_announced and text(line).encode().startswith(half):  # it was not written to its end
        if not mend:
            return entries, None
        _cut(path, len(raw) - len(half))
        _finish(workspace, line, head.signature)
        return [*entries, LedgerEntry.model_validate(line)], None
    return entries, _wrong_end(entries, head, half)


def hash_of(line: Mapping[str, Any]) -> str:
    """What the hash of an entry must be: over all its fields but `hash` itself."""
    return canonical_hash({name: value for name, value in line.items() if name != "hash"})


def text(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n"


def write(workspace: Workspace, entry: LedgerEntry, envelope: Mapping[str, Any] | None) -> None:
    """Add an entry that follows the last. Call with the ledger held, and everything of it read.

    Args:
        envelope: its signature, where there is a key.
    """
    line = entry.model_dump(mode="json")
    signature = dict(envelope) if envelope else None
    # the line is announced first: killed while it is written, the next to come finishes it
    head = LedgerHead(entries=entry.number - 1, hash=entry.previous, pending=line, signature=signature)
    _write_head(workspace, head)
    _finish(workspace, line, signature)


def _write_head(workspace: Workspace, head: LedgerHead) -> None:
    remove_leftovers_of(workspace.root, HEAD)
    write_json(workspace.root / HEAD, head.model_dump(mode="json"))


def _finish(workspace: Workspace, line: Mapping[str, Any], signature: Mapping[str, Any] | None) -> None:
    """Write an announced line after its signature, and say in the head that it is there."""
    if signature:
        _sign(workspace.root / SIGNATURES, text(signature))
    _add(workspace.root / LEDGER, text(line))
    _write_head(workspace, LedgerHead(entries=line["number"], hash=line["hash"], pending=None))


def _sign(path: Path, signature: str) -> None:
    """Add a signature where it is not there yet; half of one gives way to it."""
    raw = path.read_bytes() if path.is_file() else b""
    half = raw.rpartition(b"\n")[2]
    _cut(path, len(raw) - len(half))
    if not raw[: len(raw) - len(half)].endswith(signature.encode()):
        _add(path, signature)


def _cut(path: Path, size: int) -> None:
    if path.is_file() and path.stat().st_size > size:
        os.truncate(path, size)


def _add(path: Path, line: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _chain(lines: Sequence[bytes]) -> tuple[list[LedgerEntry], str | None]:
    """The lines whose hashes fit, and what is wrong with the first that does not."""
    entries: list[LedgerEntry] = []
    for number, raw in enumerate(lines, 1):
        try:
            line = json.loads(raw)
            unchanged = line.get("hash") == hash_of(line)
        except (ValueError, AttributeError):
            return entries, f"entry {number} was changed (it is no JSON object)"
        if not unchanged:
            return entries, f"entry {number} was changed"
        if line.get("previous") != (entries[-1].hash if entries else START) or line.get("number") != number:
            problem = f"entry {number} does not follow the one before it: entries were removed, added or reordered"
            return entries, problem
        try:
            entry = LedgerEntry.model_validate(line)
        except ValueError:
            return entries, f"entry {number} was changed (it is no entry of a ledger)"
        if entry.format and entries and entry.time < entries[-1].time:
            return entries, f"entry {number} is dated {entry.time}, before the one before it"
        entries.append(entry)
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
