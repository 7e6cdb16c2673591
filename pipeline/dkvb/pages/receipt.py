"""The page of a receipt, beside its JSON; its last line holds a hash of the others, so that damage to it is found."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dkvb.pages.page import render
from dkvb.records.ledger import LedgerEntry, Receipt
from dkvb.workspace.files import write_text

SEAL = "<!-- sha256 of all above: {} -->\n"


def write(path: Path, receipt: Receipt, entry: LedgerEntry) -> Path:
    """Write the page of a receipt; `entry` is the one that holds its hash in the ledger."""
    text = render("receipt.html", r=receipt, entry=entry).rstrip("\n") + "\n"
    write_text(path, text + SEAL.format(_hash(text.encode())))
    return path


def unchanged(path: Path) -> bool | None:
    """Whether a page is as it was written; None where an earlier version wrote it, without a hash.

    Raises:
        OSError: it cannot be read.
    """
    raw = path.read_bytes()
    above, mark, seal = raw.rpartition(b"<!-- sha256 ")
    if not mark and raw.rstrip().endswith(b"</html>"):
        return None
    return mark + seal == SEAL.format(_hash(above)).encode()


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
