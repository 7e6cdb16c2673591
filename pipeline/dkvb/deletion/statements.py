"""Statements about entries and receipts, and the files of a request's model that they name."""

from __future__ import annotations

from dkvb.records.ledger import LedgerEntry, Receipt
from dkvb.records.statements import EntryStatement, ReceiptStatement, Subject
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.ledger_mark import LEDGER
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.names import MASK
from dkvb.workspace.requests import Request, top_up_file


def of_entry(workspace: Workspace, request: Request, entry: LedgerEntry) -> EntryStatement:
    """The statement of an entry."""
    itself = Subject(name=f"{LEDGER}#{entry.number}", digest={"sha256": entry.hash})
    return EntryStatement(subject=[itself, *_files(workspace, request)], predicate=entry)


def of_receipt(workspace: Workspace, request: Request, receipt: Receipt) -> ReceiptStatement:
    """The statement of a receipt."""
    return ReceiptStatement(subject=_files(workspace, request), predicate=receipt)


def _files(workspace: Workspace, request: Request) -> list[Subject]:
    """The files of a request and of its model, with the hashes that its record and the model's manifest have."""
    folder, record = request.path.relative_to(workspace.root).as_posix(), request.record
    named = {f"{folder}/{MASK}": record.mask_sha256}
    named |= {f"{folder}/{top_up_file(n)}": one.mask_sha256 or "" for n, one in enumerate(record.topped_up or [], 1)}
    if record.exact and record.exact.file:
        named[f"{folder}/{record.exact.file}"] = record.exact.values_sha256 or ""
    if model := Lineage(workspace).find("train", request.train):
        above = model.path.relative_to(workspace.root).as_posix()
        listed = {name: file.get("sha256") for name, file in model.manifest["files"].items()}
        named |= {f"{above}/{name}": sha for name, sha in listed.items() if sha}
    return [Subject(name=name, digest={"sha256": sha}) for name, sha in named.items()]
