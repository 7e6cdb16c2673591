"""The page of a receipt, beside its JSON."""

from __future__ import annotations

from pathlib import Path

from dkvb.pages.page import render
from dkvb.records.ledger import LedgerEntry, Receipt
from dkvb.workspace.files import write_text


def write(path: Path, receipt: Receipt, entry: LedgerEntry) -> Path:
    """Write the page of a receipt; `entry` is the one that holds its hash in the ledger."""
    write_text(path, render("receipt.html", r=receipt, entry=entry))
    return path
