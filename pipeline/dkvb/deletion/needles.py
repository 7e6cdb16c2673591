"""Salted hashes of rows that are to be erased, and of their names: any copy of a row is known by them, and no row can
be worked out from them.

A needle is a salted hash of part of a row: 8 of its bytes are hashed fast at every byte offset of a file, and what
agrees is confirmed by sha256 over up to 256 bytes. That of a name (an id, or a file name) must also stand by itself,
with no letter or digit on either side.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dkvb.workspace.files import atomic

WINDOW, LONGEST = 8, 256
"""Bytes hashed fast, and the most that are confirmed."""


BLOCK = 8 * 2**20
"""Bytes of a file looked at at a time."""


BITS = 24
"""Of a fast hash, in the table that most offsets of a file are dismissed by."""


ARRAYS = ("quick", "length", "digest", "row", "unit")


@dataclass
class Needles:
    """Salted hashes of n rows or names: `quick` (n,) uint64, `length` (n,) bytes confirmed, `digest` (n, 16) uint8,
    `row` (n,) which row, `unit` (n,) bytes of a character where it is a name, else 0."""

    salt: bytes
    quick: np.ndarray
    length: np.ndarray
    digest: np.ndarray
    row: np.ndarray
    unit: np.ndarray

    @classmethod
    def none(cls, salt: bytes | None = None) -> Needles:
        """Needles of no rows; the salt is drawn where none is given."""
        empty = np.empty(0, np.int64)
        salt = secrets.token_bytes(16) if salt is None else salt
        return cls(salt, empty.astype(np.uint64), empty, np.empty((0, 16), np.uint8), empty, empty)

    @classmethod
    def of(
        cls, rows: np.ndarray, salt: bytes | None = None, first: int = 0, dtypes: Sequence[str] = ("<f4", "<f2", "<f8")
    ) -> Needles:
        """Needles of rows (n, D) float32, numbered from `first` on; rows of one repeated value, that say nothing, have
        none."""
        salt = secrets.token_bytes(16) if salt is None else salt
        telling = np.flatnonzero((rows != rows[:, :1]).any(1)) if rows.size else np.empty(0, int)
        parts = [_hashed(np.ascontiguousarray(rows[telling], dtype), salt) for dtype in dtypes]
        quick, length, digest = (np.concatenate([part[i] for part in parts]) for i in range(3))
        # half as wide, a row may be too short for a needle
        counts = [len(telling) if len(part[0]) else 0 for part in parts]
        row = np.concatenate([telling[:count] + first for count in counts])
        return cls(salt, quick, length, digest, row, np.zeros_like(row))

    @classmethod
    def of_names(cls, names: Sequence[bytes], rows: Sequence[int], unit: int, salt: bytes) -> Needles:
        """Needles of encoded names, whose characters have `unit` bytes, each with the number of its row; those of fewer
        than 8 bytes, or than 8 characters of 4 bytes, have none."""
        return cls._of_bytes(names, rows, unit, WINDOW * unit, salt)

    @classmethod
    def of_files(cls, contents: Sequence[bytes], rows: Sequence[int], salt: bytes) -> Needles:
        """Needles of the beginnings of whole files, each with the number of its row."""
        return cls._of_bytes(contents, rows, 0, WINDOW, salt)

    @classmethod
    def _of_bytes(cls, every: Sequence[bytes], rows: Sequence[int], unit: int, least: int, salt: bytes) -> Needles:
        long = [(one[:LONGEST], row) for one, row in zip(every, rows, strict=True) if len(one) >= least]
        windows = np.frombuffer(b"".join(one[:WINDOW] for one, _ in long), "<u8")
        digests = b"".join(_digest(salt, one) for one, _ in long)
        return cls(
            salt,
            _quick(windows, salt),
            np.array([len(one) for one, _ in long], np.int64),
            np.frombuffer(digests, np.uint8).reshape(len(long), 16),
            np.array([row for _, row in long], np.int64),
            np.full(len(long), unit, np.int64),
        )

    def __add__(self, other: Needles) -> Needles:
        return Needles(self.salt, *(np.concatenate([getattr(self, name), getattr(other, name)]) for name in ARRAYS))

    def without(self, rows: Iterable[int]) -> Needles:
        """Those of all other rows."""
        keep = ~np.isin(self.row, list(rows))
        return Needles(self.salt, *(getattr(self, name)[keep] for name in ARRAYS))

    @property
    def names(self) -> set[int]:
        """The rows that are looked for by name."""
        return set(self.row[self.unit > 0].tolist())

    def save(self, path: Path) -> None:
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, salt=np.frombuffer(self.salt, np.uint8), **{name: getattr(self, name) for name in ARRAYS})

    @classmethod
    def load(cls, path: Path) -> Needles:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ARRAYS if name in file.files}
            arrays.setdefault("unit", np.zeros_like(arrays["row"]))  # a purge that an earlier version began
            return cls(file["salt"].tobytes(), **arrays)

    @cached_property
    def _table(self) -> np.ndarray:
        table = np.zeros(1 << BITS, bool)
        table[self.quick >> np.uint64(64 - BITS)] = True
        return table

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.unique(self.quick)

    @cached_property
    def _confirm(self) -> dict[int, dict[int, dict[bytes, list[tuple[int, int]]]]]:
        # rows that are equal have the same digest: each of them counts
        known: dict[int, dict[int, dict[bytes, list[tuple[int, int]]]]] = {}
        lists = (self.quick.tolist(), self.length.tolist(), self.digest, self.row.tolist(), self.unit.tolist())
        for quick, length, digest, row, unit in zip(*lists, strict=True):
            digests = known.setdefault(quick, {}).setdefault(length, {})
            digests.setdefault(digest.tobytes(), []).append((row, unit))
        return known

    def found_in(self, data: bytes | memoryview) -> set[int]:
        """The rows that some bytes hold, at any offset."""
        data, found = memoryview(data).cast("B"), set[int]()
        if not len(self.quick):
            return found
        for start in range(0, len(data), BLOCK):
            block = data[start : start + BLOCK + LONGEST]
            for offset in range(min(WINDOW, max(0, len(block) - WINDOW + 1))):
                words = np.frombuffer(block, "<u8", (len(block) - offset) // WINDOW, offset)
                hashed = _quick(words, self.salt)
                likely = np.flatnonzero(self._table[hashed >> np.uint64(64 - BITS)])
                if not len(likely):
                    continue
                place = np.minimum(np.searchsorted(self._sorted, hashed[likely]), len(self._sorted) - 1)
                for i in likely[self._sorted[place] == hashed[likely]].tolist():
                    at = offset + i * WINDOW
                    for length, digests in self._confirm[int(hashed[i])].items():
                        for row, unit in digests.get(_digest(self.salt, block[at : at + length]), ()):
                            if not unit or _by_itself(data, start + at, length, unit):
                                found.add(row)
        return found


def _by_itself(data: memoryview, at: int, length: int, unit: int) -> bool:
    """Whether a name that stands at a place is no part of a longer word."""
    before, after = bytes(data[max(0, at - unit) : at]), bytes(data[at + length : at + length + unit])
    if length >= LONGEST:  # only its beginning was compared
        after = b""
    return not any(part and (part[:1].isalnum() or part[0] >= 0x80 or part[:1] in b"_-") for part in (before, after))


def _quick(words: np.ndarray, salt: bytes) -> np.ndarray:
    factor = np.frombuffer(salt[:8], np.uint64)[0] | np.uint64(1)
    mixed = words * factor
    mixed ^= mixed >> np.uint64(29)
    # only the upper 40 bits are kept: the words cannot be worked out from them
    return (mixed * np.uint64(0xBF58476D1CE4E5B9)) & np.uint64(0xFFFFFFFFFF000000)


def _digest(salt: bytes, part: bytes | memoryview) -> bytes:
    return hashlib.sha256(salt + bytes(part)).digest()[:16]


def _hashed(rows: np.ndarray, salt: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`quick`, `length` and `digest` of rows (n, D) of any width."""
    count, width = len(rows), rows.shape[1] * rows.itemsize
    if count == 0 or width < WINDOW:
        return np.empty(0, np.uint64), np.empty(0, np.int64), np.empty((0, 16), np.uint8)
    raw = rows.view(np.uint8).reshape(count, width)
    # of the windows in the first quarter of a row, the one with most bytes that are not zero
    places = np.arange(0, max(1, min(width - WINDOW + 1, width // 4)), rows.itemsize)[:64]
    filled = np.stack([(raw[:, p : p + WINDOW] != 0).sum(1) for p in places])
    best = places[filled.argmax(0)]
    windows = np.stack([raw[np.arange(count), best + i] for i in range(WINDOW)], 1)
    length = np.minimum(width - best, LONGEST)
    digests = [_digest(salt, raw[i, p : p + n].tobytes()) for i, (p, n) in enumerate(zip(best, length, strict=True))]
    return (
        _quick(np.ascontiguousarray(windows).view("<u8").ravel(), salt),
        length.astype(np.int64),
        np.frombuffer(b"".join(digests), np.uint8).reshape(count, 16),
    )
