"""Search of all bytes of a workspace for rows that were purged, without keeping those rows.

A needle is a salted hash of part of a row: 8 of its bytes are hashed fast at every byte offset of a file, and what
agrees is confirmed by sha256 over up to 256 bytes. Rows are looked for as float32, float16 and float64; compressed zarr
arrays, parquet, npz and gzip files are looked at unpacked as well, and the numbers in text files (JSON, CSV, HTML) as
float32.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import secrets
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dkvb.workspace.files import atomic

WINDOW, LONGEST = 8, 256
"""Bytes hashed fast, and the most that are confirmed."""


BLOCK = 8 * 2**20
"""Bytes of a file looked at at a time."""


BITS = 24


TEXT = {".json", ".jsonl", ".csv", ".tsv", ".txt", ".html", ".md", ".toml", ".log", ".js"}


NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass
class Needles:
    """Salted hashes of n rows: `quick` (n,) uint64, `length` (n,) bytes confirmed, `digest` (n, 16) uint8, `row` (n,)
    which row."""

    salt: bytes
    quick: np.ndarray
    length: np.ndarray
    digest: np.ndarray
    row: np.ndarray

    @classmethod
    def of(
        cls, rows: np.ndarray, salt: bytes | None = None, first: int = 0, dtypes: Sequence[str] = ("<f4", "<f2", "<f8")
    ) -> Needles:
        """Needles of rows (n, D) float32, numbered from `first` on; rows of one repeated value, that say nothing, have
        none."""
        salt = secrets.token_bytes(16) if salt is None else salt
        telling = np.flatnonzero((rows != rows[:, :1]).any(1)) if rows.size else np.empty(0, int)
        parts = [_needles(np.ascontiguousarray(rows[telling], dtype), salt) for dtype in dtypes]
        quick, length, digest = (np.concatenate([part[i] for part in parts]) for i in range(3))
        counts = [
            len(telling) if len(part[0]) else 0 for part in parts
        ]  # half as wide, a row may be too short for a needle
        return cls(salt, quick, length, digest, np.concatenate([telling[:count] + first for count in counts]))

    def __add__(self, other: Needles) -> Needles:
        names = ("quick", "length", "digest", "row")
        return Needles(self.salt, *(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))

    def without(self, rows: np.ndarray) -> Needles:
        keep = ~np.isin(self.row, rows)
        return Needles(self.salt, self.quick[keep], self.length[keep], self.digest[keep], self.row[keep])

    def save(self, path: Path) -> None:
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file,
                salt=np.frombuffer(self.salt, np.uint8),
                quick=self.quick,
                length=self.length,
                digest=self.digest,
                row=self.row,
            )

    @classmethod
    def load(cls, path: Path) -> Needles:
        with np.load(path, allow_pickle=False) as file:
            return cls(file["salt"].tobytes(), file["quick"], file["length"], file["digest"], file["row"])

    @cached_property
    def _table(self) -> np.ndarray:
        table = np.zeros(1 << BITS, bool)
        table[self.quick >> np.uint64(64 - BITS)] = True
        return table

    @cached_property
    def _sorted(self) -> np.ndarray:
        return np.unique(self.quick)

    @cached_property
    def _confirm(self) -> dict[int, dict[int, dict[bytes, int]]]:
        known: dict[int, dict[int, dict[bytes, int]]] = {}
        for quick, length, digest, row in zip(
            self.quick.tolist(), self.length.tolist(), self.digest, self.row.tolist(), strict=True
        ):
            known.setdefault(quick, {}).setdefault(length, {})[digest.tobytes()] = row
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
                        if (row := digests.get(_digest(self.salt, block[at : at + length]))) is not None:
                            found.add(row)
        return found


def _quick(words: np.ndarray, salt: bytes) -> np.ndarray:
    factor = np.frombuffer(salt[:8], np.uint64)[0] | np.uint64(1)
    mixed = words * factor
    mixed ^= mixed >> np.uint64(29)
    # only the upper 40 bits are kept: the words cannot be worked out from them
    return (mixed * np.uint64(0xBF58476D1CE4E5B9)) & np.uint64(0xFFFFFFFFFF000000)


def _digest(salt: bytes, part: bytes | memoryview) -> bytes:
    return hashlib.sha256(salt + bytes(part)).digest()[:16]


def _needles(rows: np.ndarray, salt: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def scan(folders: Sequence[Path], needles: Needles) -> dict[str, Any]:
    """Look at every file below some folders.

    Returns:
        `files`, `bytes` looked at, `found`: file -> how many of the rows it holds, `unreadable`: files that could not
        be looked at.
    """
    files, size, found, unreadable = 0, 0, {}, []
    for path in sorted({path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()}):
        try:
            rows: set[int] = set()
            for part in _parts(path):
                size += len(part)
                rows |= needles.found_in(part)
            files += 1
        except FileNotFoundError:  # another process's temporary file
            continue
        except OSError as error:
            unreadable.append(f"{path}: {error.strerror}")
            continue
        if rows:
            found[str(path)] = len(rows)
    return {"files": files, "bytes": size, "needles": len(needles.quick), "found": found, "unreadable": unreadable}


def _parts(path: Path) -> Iterator[bytes | memoryview]:
    """What a file holds: its bytes, and what they are unpacked."""
    whole = path.read_bytes()
    yield whole
    try:
        yield from _unpacked(path, whole)
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, RuntimeError):
        return  # not what its name says: its bytes have been looked at
    except Exception as error:  # polars has an error tree of its own
        if type(error).__module__.split(".")[0] != "polars":
            raise


def _unpacked(path: Path, whole: bytes) -> Iterator[bytes | memoryview]:
    suffix = path.suffix.lower()
    if path.name == "zarr.json":
        if json.loads(whole).get("node_type") == "array" and b"zstd" in whole:
            import zarr

            array = np.asarray(zarr.open_array(path.parent, mode="r")[:])
            if array.dtype.kind in "biuf":
                yield np.ascontiguousarray(array).tobytes()
    elif suffix == ".parquet":
        import polars

        for column in polars.read_parquet(io.BytesIO(whole)).iter_columns():
            yield from _column(column)
    elif suffix in (".npz", ".zip") or whole[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            for name in archive.namelist():
                yield archive.read(name)
    elif whole[:2] == b"\x1f\x8b":
        yield gzip.decompress(whole)
    elif suffix in TEXT:
        numbers = np.array(NUMBER.findall(whole)).astype(np.float64) if NUMBER.search(whole) else np.empty(0)
        with np.errstate(over="ignore"):
            yield numbers.astype("<f4").tobytes()


def _column(column: Any) -> Iterator[bytes]:
    import polars

    if column.dtype == polars.Binary:
        yield b"".join(value for value in column.to_list() if value is not None)
    elif isinstance(column.dtype, polars.List | polars.Array):
        inner = column.explode()
        if inner.dtype.is_numeric():
            yield inner.to_numpy().tobytes()
    elif column.dtype.is_numeric():
        yield column.to_numpy().tobytes()
