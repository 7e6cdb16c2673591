"""Where the ledger of deletion requests ends: what a model carries, so that a copy of it can be told stale."""

from __future__ import annotations

import json
from pathlib import Path

from dkvb.records.use import LedgerMark

LEDGER = "ledger.jsonl"

START = "0" * 64
"""What stands for the line before the first."""

NONE = LedgerMark(entries=0, hash=START)
"""Before the first entry."""


def read(root: Path) -> LedgerMark | None:
    """Where the ledger of the workspace at `root` ends; None where its last line cannot be read. Whether its lines fit
    is not looked at."""
    try:
        *lines, _ = (
            (root / LEDGER).read_bytes().split(b"\n")
        )  # what follows the last end of line is still being written
    except FileNotFoundError:
        return NONE
    if not lines:
        return NONE
    try:
        line = json.loads(lines[-1])
        return LedgerMark(entries=line["number"], hash=line["hash"])
    except (ValueError, KeyError, TypeError):
        return None
