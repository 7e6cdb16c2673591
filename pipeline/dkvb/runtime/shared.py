"""What all units of a piece of work share, sent to worker processes as bytes and opened once by each of their threads.

Objects of this project read what they need when it is first needed and keep it: a thread that goes on with the same
objects reads features, codes and values once, and not for every unit.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from threading import get_ident
from typing import Any
from uuid import uuid4

_OPENED: dict[int, tuple[str, tuple[Any, ...]]] = {}
"""Thread -> the name of what it opened last, and the objects. Not one for all threads: the objects are not locked."""


@dataclass(frozen=True)
class Shared:
    """Arguments on their way to other processes."""

    name: str
    """Told apart even where the bytes are the same: between two pieces of work, what lies on the disk may change."""
    pickled: bytes

    @classmethod
    def of(cls, *args: Any) -> Shared:
        return cls(uuid4().hex, pickle.dumps(args))

    def open(self) -> tuple[Any, ...]:
        """The arguments; the same objects each time that this thread asks, until it opens others."""
        thread = get_ident()
        if _OPENED.get(thread, ("",))[0] != self.name:
            _OPENED.pop(thread, None)  # before there is room for others
            _OPENED[thread] = self.name, pickle.loads(self.pickled)
        return _OPENED[thread][1]


def let_go() -> None:
    """Free what the threads of this process have opened."""
    _OPENED.clear()
