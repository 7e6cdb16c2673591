"""What is signed: in-toto statements about entries of the ledger and receipts. docs/receipt.schema.json is made from
them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dkvb.records.base import Record
from dkvb.records.ledger import LedgerEntry, Receipt


class Subject(Record):
    """A file that a statement is about; the first of an entry's statement is the entry itself."""

    name: str
    """Path below the workspace; of an entry, `ledger.jsonl#` and its number."""
    digest: dict[str, str]
    """`sha256`, of the file; of an entry, its hash."""


class Statement(Record):
    """An in-toto statement."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field("https://in-toto.io/Statement/v1", alias="_type")
    """The version of in-toto's statements."""
    subject: list[Subject]


class EntryStatement(Statement):
    """That an entry was written, after the one whose hash it holds."""

    predicate_type: Literal["urn:x-dkvb:ledger-entry:v1"] = Field("urn:x-dkvb:ledger-entry:v1", alias="predicateType")
    """What the predicate is."""
    predicate: LedgerEntry
    """The entry."""


class ReceiptStatement(Statement):
    """That a receipt was issued."""

    predicate_type: Literal["urn:x-dkvb:deletion-receipt:v1"] = Field(
        "urn:x-dkvb:deletion-receipt:v1", alias="predicateType"
    )
    """What the predicate is."""
    predicate: Receipt
    """The receipt, as its JSON file has it."""
