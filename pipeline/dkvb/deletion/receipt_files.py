"""What lies beside a receipt, `receipts/<id>.json`: its page, its signature, and copies of all three in the reports.

They follow from the receipt, whose own hash the ledger holds, and are made again whenever they are asked for.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from dkvb.deletion import ledger
from dkvb.deletion.statements import of_receipt
from dkvb.pages import receipt as pages
from dkvb.records.ledger import LedgerEntry, Receipt
from dkvb.workspace import requests, signing
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import atomic, remove_leftovers_of, sha256, write_json
from dkvb.workspace.names import RECEIPTS
from dkvb.workspace.requests import Request

ENVELOPE = ".dsse.json"
"""Ending of a signed receipt."""


def dress(workspace: Workspace, request: Request, receipt: Receipt, entry: LedgerEntry, path: Path) -> None:
    """Lay beside a receipt, the file at `path`, its page and its signature, and copies of all into the reports."""
    tidy(path)
    envelope = _signed(workspace, request, receipt, path.with_suffix(ENVELOPE))
    page = pages.write(path.with_suffix(".html"), receipt, entry)
    _copy(workspace, [path, page, *([envelope] if envelope else [])])


def tidy(path: Path) -> None:
    """Delete what a killed process left half-written of a receipt, the file at `path`, and of what lies beside it. Call
    with requests held."""
    remove_leftovers_of(path.parent, f"{path.stem}.*")


def dress_again(workspace: Workspace) -> None:
    """The same of every receipt that is still as it was issued."""
    with requests.held(workspace):
        for entry, path in _issued(workspace):
            request = requests.find(workspace, entry.request)
            dress(workspace, request, Receipt.model_validate_json(path.read_bytes()), entry, path)


def wrong(workspace: Workspace) -> Iterator[tuple[str, Path, str]]:
    """Pages and copies that are not as they were written: id of the receipt, file, and what is wrong with it, in
    words. Of receipts that are themselves not as they were issued nothing is said: the ledger says that."""
    for entry, path in _issued(workspace):
        page = path.with_suffix(".html")
        sound = {path, path.with_suffix(ENVELOPE)}  # the ledger's check looks at both
        if not page.is_file():
            yield path.stem, page, f"{page.name} is missing"
        elif pages.unchanged(page) is False:
            yield path.stem, page, f"{page.name} was changed since it was written"
        else:
            sound.add(page)
        for copy in sorted((workspace.reports / RECEIPTS).glob(f"{entry.request}.*")):
            original = path.with_name(copy.name)
            if original in sound and original.is_file() and sha256(copy) != sha256(original):
                yield path.stem, copy, f"{copy.name} is not the receipt that lies in {path.parent}"


def unhashed(workspace: Workspace) -> Iterator[Path]:
    """Pages of an earlier version, which hold no hash of themselves."""
    for _, path in _issued(workspace):
        page = path.with_suffix(".html")
        if page.is_file() and pages.unchanged(page) is None:
            yield page


def _issued(workspace: Workspace) -> Iterator[tuple[LedgerEntry, Path]]:
    """The last receipt of every request where it is as it was issued, and its file."""
    last = {entry.request: entry for entry in ledger.entries(workspace) if entry.event == "receipt"}
    for entry in last.values():
        path = workspace.root / RECEIPTS / f"{entry.request}.json"
        if path.is_file() and sha256(path) == entry.receipt:
            yield entry, path


def _signed(workspace: Workspace, request: Request, receipt: Receipt, path: Path) -> Path | None:
    """The receipt as a signed statement, in a file beside it; None where there is no key to sign it with."""
    said = receipt.model_dump(mode="json")
    try:
        held = json.loads(path.read_bytes())
        there = json.loads(base64.b64decode(held["payload"]))["predicate"] == said
    except (OSError, ValueError, KeyError, TypeError):
        there = False
    key = signing.signer(workspace)
    if key and not there:
        write_json(path, key.envelope(of_receipt(workspace, request, receipt)))
    elif not there:
        path.unlink(missing_ok=True)  # of a receipt that this one takes the place of
    return path if key or there else None


def _copy(workspace: Workspace, files: Sequence[Path]) -> None:
    """Lay a receipt's files into the reports as well, where the index links to them."""
    folder = workspace.reports / RECEIPTS
    folder.mkdir(parents=True, exist_ok=True)
    tidy(folder / files[0].name)
    for stale in folder.glob(f"{files[0].stem}.*"):
        stale.unlink()
    for file in files:
        with atomic(folder / file.name) as temporary:
            shutil.copyfile(file, temporary)
