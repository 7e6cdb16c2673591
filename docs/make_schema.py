"""Writes the JSON schema of what is signed, docs/receipt.schema.json: `python docs/make_schema.py`.

Made from the records in `records/statements.py`; the same bytes every time.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter

from dkvb.records.statements import EntryStatement, ReceiptStatement


def schema() -> str:
    """The whole of docs/receipt.schema.json."""
    made = TypeAdapter(ReceiptStatement | EntryStatement).json_schema(by_alias=True)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "What dkvb signs: in-toto statements"}
    return json.dumps({**head, **made}, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("receipt.schema.json").write_text(schema(), encoding="utf-8")
