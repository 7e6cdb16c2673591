"""Time stamps of the ledger's head by an authority that others trust (RFC 3161): `ledger.timestamps.jsonl`.

What is stamped is the head's hash as text, 64 hex digits, by its sha256.
"""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dkvb.deletion.erased_checks import Unchecked
from dkvb.errors import DkvbError, UsageError
from dkvb.records.ledger import LedgerEntry, TimeStamp
from dkvb.workspace import chain
from dkvb.workspace.artifacts import Workspace

STAMPS = "ledger.timestamps.jsonl"
WAIT = 30
"""Seconds that an authority has to answer."""


def stamp(workspace: Workspace, url: str) -> TimeStamp:
    """Have the last entry of the ledger stamped, and keep the answer.

    Raises:
        UsageError: no such address, an empty ledger, or `rfc3161-client` is not installed.
        DkvbError: the authority does not answer, refuses, or stamps something else.
    """
    client = _client()
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--timestamp {url}: give the address of a time-stamping authority, http:// or https://.")
    known = chain.read(workspace)[0]
    if not known:
        raise UsageError("--timestamp: the ledger has no entry yet, so that there is nothing to stamp.")
    last = known[-1]
    builder = client.TimestampRequestBuilder().data(last.hash.encode()).hash_algorithm(client.HashAlgorithm.SHA256)
    asked = builder.build()
    answer = _asked(url, asked.as_bytes())
    try:
        read = client.decode_timestamp_response(answer)
        told = read.tst_info
        fits = told.message_imprint.message == hashlib.sha256(last.hash.encode()).digest() and told.nonce == asked.nonce
    except ValueError as error:
        raise DkvbError(f"--timestamp {url}: the answer is no time stamp ({error}).") from None
    if not fits:
        raise DkvbError(f"--timestamp {url}: the answer stamps something else than was asked.")
    made = TimeStamp(
        entry=last.number,
        hash=last.hash,
        url=url,
        time=told.gen_time.isoformat(timespec="seconds"),
        response=base64.b64encode(answer).decode(),
    )
    with workspace.hold("ledger", "the ledger"), open(workspace.root / STAMPS, "a", encoding="utf-8") as file:
        file.write(chain.text(made.model_dump(mode="json")))
    return made


def _asked(url: str, body: bytes) -> bytes:
    """What an authority answers to a request."""
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=WAIT) as answer:
            return bytes(answer.read())
    except (OSError, ValueError) as error:
        raise DkvbError(f"--timestamp {url}: no answer ({error}): try again, or give another authority.") from None


def look(workspace: Workspace, entries: Sequence[LedgerEntry], authority: Path | None) -> Iterator[str | Unchecked]:
    """Stamps that fit no entry, or that the authority has not made.

    Args:
        authority: PEM file of the certificates that an authority's chain ends in; None: its signatures are not checked.
    """
    stamps = _read(workspace.root / STAMPS)
    if not stamps:
        return
    there = {entry.number: entry.hash for entry in entries}
    try:
        client = _client()
    except UsageError as error:
        yield Unchecked(f"time stamps: {error}".rstrip("."))
        return
    for number, line in enumerate(stamps, 1):
        try:
            made = TimeStamp.model_validate(line)
            answer = client.decode_timestamp_response(base64.b64decode(made.response))
            imprint = answer.tst_info.message_imprint.message
        except ValueError:
            yield f"time stamp {number} cannot be read"
            continue
        if imprint != hashlib.sha256(made.hash.encode()).digest():
            yield f"time stamp {number} is of another hash than it says"
        elif there.get(made.entry) != made.hash:
            yield f"entry {made.entry} is not the one that was stamped at {made.time}: it was rewritten or dropped"
        elif authority and (wrong := _not_by(client, authority, answer, made.hash)):
            yield f"time stamp {number} was not made by this authority ({wrong})"
    if authority is None:
        yield Unchecked("time stamps: give --tsa-certificate FILE to check who made them")


def _not_by(client: Any, authority: Path, answer: Any, stamped: str) -> str | None:
    """Why an answer is not that of an authority; None where it is."""
    from cryptography import x509

    try:
        certificates = x509.load_pem_x509_certificates(authority.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"--tsa-certificate {authority} cannot be read ({error}).") from None
    builder = client.VerifierBuilder()
    for certificate in certificates:
        builder = builder.add_root_certificate(certificate)
    try:
        builder.build().verify_message(answer, stamped.encode())
    except client.VerificationError as error:
        return str(error)
    return None


def _read(path: Path) -> list[Mapping[str, Any]]:
    lines: list[Mapping[str, Any]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            lines.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            lines.append({})
    return lines


def _client() -> Any:
    """The package `rfc3161_client`.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import rfc3161_client
    except ImportError:
        raise UsageError("Time stamps need the package rfc3161-client: `pip install 'dkvb[sign]'`.") from None
    return rfc3161_client
