"""The ledger: what was done with every request, in order; the file is `dkvb.workspace.chain`.

Every entry that changes a request holds a hash of each kind of thing that the request says (`dkvb.workspace.facts`),
and every request must have its entries: `verify` looks from both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkvb.deletion import record_checks, signature_checks, timestamps
from dkvb.deletion.record_checks import Looked
from dkvb.deletion.statements import of_entry
from dkvb.errors import DamagedArtifact
from dkvb.records.deletion import RequestRecord
from dkvb.records.ledger import Ledger, LedgerEntry
from dkvb.workspace import chain, locks, requests, signing
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import REQUESTS
from dkvb.workspace.chain import FORMAT, HEAD
from dkvb.workspace.facts import facts
from dkvb.workspace.ledger_mark import LEDGER, START
from dkvb.workspace.request_writing import change
from dkvb.workspace.requests import TOPPED_UP, Request, all_requests

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["HEAD", "LEDGER", "START", "Against", "append", "catch_up", "entries", "record", "record_top_ups", "verify"]


@dataclass(frozen=True)
class Against:
    """What a ledger is held against, from outside of the workspace."""

    keys: Sequence[Ed25519PublicKey] | None = None
    """Public keys, any of which may have signed."""
    expect: str | None = None
    """Hash of an entry that must be there."""
    authority: Path | None = None
    """PEM file with the root certificates of the time-stamping authority."""


SAYING = ("verified", "receipt")
"""Events that change nothing of a request."""


def append(workspace: Workspace, event: str, request: Request, **more: Any) -> LedgerEntry:
    """Add an event of a request, with what its record says of it.

    Args:
        more: fields of `LedgerEntry` that the record does not hold.

    Raises:
        DamagedArtifact: the ledger was altered: nothing is added to it.
        UsageError: the signing key cannot be used.
    """
    key = signing.signer(workspace)
    with workspace.hold("ledger", "the ledger"):
        known, problem = chain.read(workspace, mend=True)
        if problem:
            raise DamagedArtifact(
                f"Nothing can be added to {workspace.root / LEDGER}: {problem}. `dkvb ledger` shows what is left of it."
            )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = LedgerEntry(
            format=FORMAT,
            number=len(known) + 1,
            event=event,
            request=request.id,
            classes=request.classes,
            train=request.train,
            time=max(now, known[-1].time) if known else now,  # a clock that was set back puts no entry before another
            **{**_of_record(event, request.record), **more},
            previous=known[-1].hash if known else START,
            hash="",
        )
        entry = entry.model_copy(update={"hash": chain.hash_of(entry.model_dump(mode="json"))})
        chain.write(workspace, entry, key.envelope(of_entry(workspace, request, entry)) if key else None)
        return entry


def _of_record(event: str, record: RequestRecord) -> dict[str, Any]:
    """The fields of an entry that follow from the record, so that one that is caught up with is complete as well."""
    fields: dict[str, Any] = {} if event in SAYING else {"facts": facts(record)}
    public = record.public()
    if event == "masked":
        fields |= {"mask": record.mask_sha256, "reason": public.reason}
    if event == "refused" and public.refused:
        fields["because"] = public.refused.because
    if event == "notified" and public.notified:
        fields["notified"] = public.notified[-1].who
    if event in ("masked", "exact") and record.exact:
        fields["values"] = record.exact.values_sha256
    if event == "purged" and record.purge:
        fields["values"] = record.purge.after_sha256
    return fields


def record(workspace: Workspace, event: str, request: Request, **more: Any) -> Request:
    """Like `append`, for the event that a request's `unrecorded` names, which is then taken away."""
    append(workspace, event, request, **more)
    return change(request, unrecorded=None)


def catch_up(workspace: Workspace) -> None:
    """Record what a killed process has written into requests but no longer into the ledger. Call with requests held.

    Raises:
        UsageError: the signing key cannot be used: said before anything is done that has to be signed.
    """
    signing.signer(workspace)
    _finished(workspace)
    for request in all_requests(workspace):
        event = request.record.unrecorded
        if event == TOPPED_UP:
            record_top_ups(workspace, request)
        elif event:
            if not _recorded(workspace, event, request):
                append(workspace, event, request)
            change(request, unrecorded=None)


def _finished(workspace: Workspace) -> None:
    """Write the entry to its end that a killed process had announced: whoever looks for it must find it."""
    if (workspace.root / HEAD).is_file():
        with workspace.hold("ledger", "the ledger"), locks.unless_read_only(workspace.root):
            chain.read(workspace, mend=True)


def _recorded(workspace: Workspace, event: str, request: Request) -> bool:
    """Whether the ledger holds an event of a request, as the request stands."""
    mine = [entry for entry in entries(workspace) if (entry.request, entry.event) == (request.id, event)]
    return any(entry.facts is None or entry.facts == facts(request.record) for entry in mine)


def record_top_ups(workspace: Workspace, request: Request) -> Request:
    """Record every raise of a request's N that the ledger does not hold yet."""
    recorded = sum(entry.request == request.id and entry.event == TOPPED_UP for entry in entries(workspace))
    for raised in (request.record.public().topped_up or [])[recorded:]:
        append(workspace, TOPPED_UP, request, mask=raised.mask_sha256, top_up=raised)
    return change(request, unrecorded=None)


def entries(workspace: Workspace) -> list[LedgerEntry]:
    """The entries, up to the first that does not fit."""
    return chain.read(workspace)[0]


def verify(workspace: Workspace, against: Against | None = None) -> Ledger:
    """The entries that fit, and everything that does not: entries that were changed, removed or reordered, requests and
    receipts that are not what the entries say, and entries whose requests are gone.

    Args:
        against: what is kept elsewhere, and shows more than the chain does.

    Raises:
        UsageError: a key or certificate that cannot be read.
    """
    against = against or Against()
    fitting, looked = _look(workspace, against)
    if looked.problems and workspace.root.is_dir() and not locks.held(workspace.locks, REQUESTS):
        with requests.held(workspace):  # who was changing requests meanwhile has ended
            fitting, looked = _look(workspace, against)
    return Ledger(
        ledger=fitting,
        valid=not looked.problems,
        problem=looked.problems[0] if looked.problems else None,
        problems=looked.problems,
        not_checked=looked.not_checked,
        head=fitting[-1].hash if fitting else START,
        path=str(workspace.root / LEDGER),
    )


def _look(workspace: Workspace, against: Against) -> tuple[list[LedgerEntry], Looked]:
    with workspace.hold("ledger", "the ledger") if workspace.root.is_dir() else nullcontext():
        fitting, problem = chain.read(workspace)
        with locks.unless_read_only(workspace.root):
            fitting, problem = chain.read(workspace, mend=True)
    looked = record_checks.look(workspace, fitting, whole=problem is None)
    looked.add([problem] if problem else [], first=True)
    looked.add(signature_checks.look(workspace, fitting, against.keys))
    looked.add(timestamps.look(workspace, fitting, against.authority))
    if against.expect and against.expect not in {entry.hash for entry in fitting}:
        looked.add(
            [f"no entry has the hash {against.expect}, which was kept elsewhere: entries were cut off or rewritten"]
        )
    return fitting, looked
