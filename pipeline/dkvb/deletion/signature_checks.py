"""Whether entries and receipts are those that the holder of a key has signed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkvb.deletion.erased_checks import Unchecked
from dkvb.records.ledger import LedgerEntry
from dkvb.records.statements import EntryStatement
from dkvb.workspace import signing
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.chain import SIGNATURES
from dkvb.workspace.names import RECEIPTS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


ENTRY = EntryStatement.model_fields["predicate_type"].default


def look(
    workspace: Workspace, entries: Sequence[LedgerEntry], keys: Sequence[Ed25519PublicKey] | None
) -> Iterator[str | Unchecked]:
    """What is not as it was signed.

    Args:
        entries: those whose hashes fit.
        keys: public keys, any of which may have signed; None where none was given: then it is only said which entries
            are not signed while others are.
    """
    lines = _lines(workspace.root / SIGNATURES)
    if keys is None:
        if lines:
            named = [_named(line) for line in lines]
            yield from map(Unchecked, _unsigned(entries, {number for number in named if number}))
            yield Unchecked("signatures: give --public-key FILE to check them")
        return
    if not lines and entries:
        yield f"{SIGNATURES} holds no signature: nothing shows that the holder of the key wrote these entries"
    signed: dict[int, str] = {}
    for place, line in enumerate(lines, 1):
        statement = signing.opened(line, keys) if line else None
        if statement is None or statement.get("predicateType") != ENTRY:
            number = _named(line)
            of = f"entry {number}" if number else f"line {place} of {SIGNATURES}"
            yield f"the signature of {of} was not made with this key, or what it covers was changed"
            continue
        entry = statement["predicate"]
        number, sha = int(entry["number"]), str(entry["hash"])
        if signed.setdefault(number, sha) != sha:
            yield f"entry {number} was signed twice, each time with another content"
    yield from _differing(entries, signed)
    if lines:
        yield from _unsigned(entries, set(signed))
    yield from _receipts(workspace, entries, signed, keys)


def _lines(path: Path) -> list[Mapping[str, Any]]:
    """The envelopes of a file, one a line."""
    return [_envelope(line) for line in path.read_bytes().splitlines()] if path.is_file() else []


def _envelope(raw: bytes) -> Mapping[str, Any]:
    """An envelope; an empty one where it cannot be read."""
    try:
        read = json.loads(raw)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _named(line: Mapping[str, Any]) -> int | None:
    """The entry that an envelope says that it is about, whoever signed it."""
    try:
        return int(json.loads(base64.b64decode(line["payload"]))["predicate"]["number"])
    except (ValueError, KeyError, TypeError):
        return None


def _differing(entries: Sequence[LedgerEntry], signed: Mapping[int, str]) -> Iterator[str]:
    """Entries that are not those that were signed."""
    there = {entry.number: entry.hash for entry in entries}
    for number, sha in sorted(signed.items()):
        if number not in there:
            yield f"entry {number} was dropped: its signature is there"
        elif there[number] != sha:
            yield f"entry {number} is not the one that was signed: entries were rewritten, dropped or reordered"


def _unsigned(entries: Sequence[LedgerEntry], signed: set[int]) -> Iterator[str]:
    """Entries that were written without the key after it had been used."""
    first = min(signed, default=0)
    bare = [entry.number for entry in entries if entry.number > first and entry.number not in signed]
    if bare:
        listed = ", ".join(map(str, bare[:5])) + (f" and {len(bare) - 5} more" if len(bare) > 5 else "")
        yield f"{f'entry {listed} is' if len(bare) == 1 else f'entries {listed} are'} not signed, while others are"


def _receipts(
    workspace: Workspace, entries: Sequence[LedgerEntry], signed: Mapping[int, str], keys: Sequence[Ed25519PublicKey]
) -> Iterator[str]:
    """Receipts whose entries are signed, against their envelopes."""
    folder = workspace.root / RECEIPTS
    last = {entry.request: entry for entry in entries if entry.event == "receipt"}
    for name, entry in last.items():
        file, envelope = folder / f"{name}.json", folder / f"{name}.dsse.json"
        if entry.number not in signed or not file.is_file():
            continue
        if not envelope.is_file():
            yield f"receipt {name} is not signed, and its entry {entry.number} is: `dkvb receipt {name}` signs it"
            continue
        statement = signing.opened(_envelope(envelope.read_bytes()), keys)
        if statement is None:
            yield f"the signature of receipt {name} was not made with this key, or what it covers was changed"
        elif statement["predicate"] != json.loads(file.read_text(encoding="utf-8")):
            yield f"receipt {name} is not the one that was signed"
