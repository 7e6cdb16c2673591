"""How a deletion request is kept: why it was made, under which name, whether it was refused, and who was told of it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import ClassVar

from dkvb.records.base import Record


class Pseudonym(Record):
    """Names that stand for those of a request's classes wherever these could not be taken back: in the ledger, in ids
    and in receipts."""

    absent: ClassVar[frozenset[str]] = frozenset({"salt"})

    names: list[str]
    """`p-` and the first 16 hex digits of sha256 over salt and name, of each class."""
    salt: str | None = None
    """Random, 32 hex digits; gone once the request is purged: from then on nobody can tell whose name it was."""

    @classmethod
    def of(cls, names: Sequence[str], salt: str | None = None) -> Pseudonym:
        """Pseudonyms of some names; the salt is drawn where none is given."""
        drawn = salt or secrets.token_hex(16)
        return cls(salt=drawn, names=[f"p-{_salted(drawn, name)[:16]}" for name in names])

    def fits(self, names: Sequence[str]) -> bool:
        """Whether they are those of some names; True once the salt is gone."""
        return self.salt is None or Pseudonym.of(names, self.salt).names == self.names

    def hide(self, text: str | None) -> str | None:
        """A text as its salted hash; as it is once the salt is gone, since it is a hash then."""
        return text if text is None or self.salt is None else f"sha256:{_salted(self.salt, text)}"


def _salted(salt: str, text: str) -> str:
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()


class Refusal(Record):
    """A request was refused: nothing of it is forgotten."""

    time: str
    """When."""
    because: str
    """Why, as whoever asked was told."""


class Notice(Record):
    """Somebody who was told of a request, such as a recipient of the model."""

    time: str
    """When it was entered."""
    who: str
    """Who was told."""
