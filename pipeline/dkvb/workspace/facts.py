"""What binds a request to its entries in the ledger: a hash of each kind of thing that its record says, so that an edit
of `request.json` is told, and told which."""

from __future__ import annotations

from collections.abc import Mapping

from dkvb.records.deletion import RequestRecord
from dkvb.workspace.files import canonical_hash

KINDS: Mapping[str, tuple[str, ...]] = {
    "classes": ("id", "classes", "names", "seed", "train"),
    "samples": ("samples",),
    "mask": ("mask_sha256", "topped_up", "masked", "masked_before_reinit"),
    "values": ("level", "exact"),
    "model": ("made_on",),
    "state": ("state", "restored"),
    "purge": ("purge",),
    "life": ("reason", "refused", "notified"),
}
"""Kind of fact -> fields of the record. All others are "numbers"."""

WORDS: Mapping[str, str] = {
    "classes": "its classes or its model differ",
    "samples": "its samples differ",
    "mask": "its masks differ",
    "values": "its level, or what its values were trained without, differs",
    "model": "the keys or values that its mask was made on differ",
    "state": "its state differs",
    "purge": "what it says of its purge differs",
    "life": "its reason, its refusal, or who was told of it differs",
    "numbers": "its numbers differ",
}

FIXED = ("classes", "samples", "numbers")
"""Kinds that no event changes."""

MOVING = ("unrecorded", "purging", "raised", "pseudonym")
"""Fields that change between events, or bind nothing."""


def facts(record: RequestRecord) -> dict[str, str]:
    """Kind -> sha256 over the canonical JSON of what the record says of it."""
    dump = record.public().model_dump(mode="json")
    if dump.get("exact"):  # of the values themselves the entry holds the hash, and they go when others stand
        dump["exact"] = {name: value for name, value in dump["exact"].items() if name not in ("file", "values_sha256")}
    named = {name for fields in KINDS.values() for name in fields} | set(MOVING)
    kinds = {kind: [name for name in fields if name in dump] for kind, fields in KINDS.items()}
    kinds["numbers"] = [name for name in dump if name not in named]
    return {kind: canonical_hash({name: dump[name] for name in fields}) for kind, fields in kinds.items()}
