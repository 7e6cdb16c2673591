"""What lies where in a tar file, read from its headers once and remembered from one opening to the next.

An index is kept in `$XDG_CACHE_HOME/dkvb/tars` (else `~/.cache`), one file a tar, with the tar's size and modification
time: worker processes and later openings read that instead of the headers.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from dkvb.errors import DkvbError, UsageError
from dkvb.runtime.parallel import in_order
from dkvb.sources.listing import SETTLED, THREADS, cache_folder, watched
from dkvb.workspace.files import atomic

FORMAT = 1

COMPRESSED = {b"\x1f\x8b": "gzip -d", b"\x28\xb5\x2f\xfd": "zstd -d", b"\xfd7zXZ": "xz -d", b"BZh": "bzip2 -d"}
"""First bytes of a compressed file -> the command that unpacks it."""


@dataclass(frozen=True)
class Index:
    """The regular files of a tar, in their order."""

    size: int
    """The tar's, in bytes."""
    mtime_ns: int
    names: list[str]
    offsets: list[int]
    """Where each file's content begins, in bytes."""
    sizes: list[int]
    links: list[str]
    """Names of members that are links or devices, and have no content of their own."""


def indices_of(tars: Sequence[Path]) -> list[Index]:
    """The index of each tar; many are read at a time, which helps where files are across a network.

    Raises:
        UsageError: one is compressed.
        DkvbError: one cannot be read as a tar, or ends too early.
    """
    with watched("read tar headers", len(tars), "tars", many=20) as task, ThreadPoolExecutor(THREADS) as pool:
        found = []
        for index in in_order(pool, _index, tars, ahead=2 * THREADS):
            found.append(index)
            if task:
                task.advance(1, f"{sum(len(index.names) for index in found):,} files")
    return found


def _index(path: Path) -> Index:
    status = os.stat(path)
    if (kept := _load(path)) and (kept.size, kept.mtime_ns) == (status.st_size, status.st_mtime_ns):
        return kept
    before = time.time()
    index = _read(path, status)
    if status.st_mtime_ns / 1e9 < before - SETTLED:
        _save(path, index)
    return index


def _read(path: Path, status: os.stat_result) -> Index:
    with open(path, "rb") as file:
        start = file.read(6)
    for magic, command in COMPRESSED.items():
        if start.startswith(magic):
            raise UsageError(f"{path} is compressed, so that no image in it can be read alone: `{command}` it first.")
    index = Index(status.st_size, status.st_mtime_ns, [], [], [], [])
    try:
        with tarfile.open(path, "r:") as archive:
            for member in _members(archive):
                if member.isreg() and not member.issparse():
                    index.names.append(member.name)
                    index.offsets.append(member.offset_data)
                    index.sizes.append(member.size)
                elif not member.isdir():
                    index.links.append(member.name)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise DkvbError(f"{path} cannot be read as a tar file ({error}); it may be truncated: copy it again.") from None
    if index.names and index.offsets[-1] + index.sizes[-1] > status.st_size:
        raise DkvbError(f"{path} ends within {index.names[-1]}: it is truncated; copy it again.")
    return index


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined] # it keeps all it has seen, hundreds of bytes each
        yield member


def _place(path: Path) -> Path:
    return cache_folder("tars", hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32] + ".json.gz")


def _load(path: Path) -> Index | None:
    """What is remembered of a tar; None where that is missing, damaged or of another format."""
    try:
        kept = json.loads(gzip.decompress(_place(path).read_bytes()))
        fits = (kept.pop("format"), kept.pop("tar")) == (FORMAT, str(path.absolute()))
        return Index(**kept) if fits else None
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zlib.error):
        return None


def _save(path: Path, index: Index) -> None:
    kept = {"format": FORMAT, "tar": str(path.absolute()), **asdict(index)}
    try:
        with atomic(_place(path)) as temporary:
            temporary.write_bytes(gzip.compress(json.dumps(kept, separators=(",", ":")).encode(), 1))
    except (OSError, ValueError):
        return  # a cache that cannot be written only costs time
