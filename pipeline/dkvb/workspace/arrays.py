"""Zarr v3 arrays with a checksum on every chunk, read under the hashes of the manifest; and the marks of the units that
are done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from dkvb.errors import DamagedArtifact
from dkvb.runtime import progress
from dkvb.runtime.parallel import one_thread_per_worker
from dkvb.workspace.checked_store import CheckedStore
from dkvb.workspace.files import write_json
from dkvb.workspace.finished import Artifact
from dkvb.workspace.hashes import found_in

CHUNK, SHARD = 1024, 8192
"""Rows of features in a chunk and in a shard. Parallel writes inside one shard lose data: one task is one whole
shard."""


def create(
    folder: Path,
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None = None,
    packed: bool = False,
) -> zarr.Array[Any]:
    """A new array `name` below a folder of groups, or the one that is there already from an interrupted run."""
    group = zarr.open_group(folder / Path(name).parent, mode="a", zarr_format=3)
    leaf = Path(name).name
    try:
        if leaf in group:
            return group[leaf]  # type: ignore[return-value]
    except (ValueError, KeyError):  # metadata half-written by a killed process, or damaged
        shutil.rmtree(folder / name)
    # text and counts compress well; features and codes hardly do
    codecs = [ZstdCodec(), Crc32cCodec()] if packed else [Crc32cCodec()]
    return group.create_array(leaf, shape=shape, dtype=dtype, chunks=chunks, shards=shards, compressors=codecs)


@contextmanager
def reading(artifact: Artifact, name: str) -> Iterator[None]:
    """Turn whatever zarr raises on a bad checksum or bad metadata into one error that names the array and the
    remedy."""
    try:
        yield
    except (ValueError, KeyError, RuntimeError, FileNotFoundError) as error:
        raise artifact.damaged(f"{name} does not match its checksums ({str(error).splitlines()[0][:80]})") from None
    found_in(artifact.path).save()


def opened(artifact: Artifact, name: str) -> zarr.Array[Any]:
    """One array of a finished artifact; each of its chunks is compared with the manifest when it is read.

    Raises:
        DamagedArtifact: its metadata cannot be read or were altered.
    """
    with reading(artifact, name):
        stored = artifact.path / name
        return zarr.open_array(stored if artifact.in_change else CheckedStore(artifact, name), mode="r")


def read(artifact: Artifact, name: str, rows: Any = slice(None)) -> np.ndarray:
    """Rows of one array of a finished artifact, compared with the manifest.

    Raises:
        DamagedArtifact: a chunk is missing, was altered, or fails its checksum.
    """
    array = opened(artifact, name)
    with reading(artifact, name):
        return np.asarray(array[rows])


def read_at_once(artifact: Artifact, name: str) -> np.ndarray:
    """All of one array of a finished artifact, by all threads and compared with the manifest.

    Raises:
        DamagedArtifact: a chunk is missing, was altered, or fails its checksum.
    """
    array = opened(artifact, name)
    rows, at_once = np.empty(array.shape, array.dtype), 2 * CHUNK  # a whole shard is copied through fresh memory

    def fill(start: int) -> None:
        with reading(artifact, name):
            rows[start : start + at_once] = array[start : start + at_once]

    with one_thread_per_worker() as pool:
        list(pool.map(fill, range(0, len(rows), at_once)))
    return rows


def unsound(artifact: Artifact) -> list[str]:
    """Arrays that cannot be read or fail their checksums, chunk by chunk; for those of earlier versions, whose chunks
    have no hashes."""
    names = [Path(name).parent.as_posix() for name in artifact.manifest["files"] if name.endswith("/zarr.json")]
    stored = [name for name in names if '"node_type": "array"' in (artifact.path / name / "zarr.json").read_text()]
    return [name for name in stored if not all(sound(artifact, name, part) for part in _parts(artifact, name))]


def _parts(artifact: Artifact, name: str) -> Iterator[tuple[slice, ...]]:
    """Parts of an array, each as large as one of its files, along the axis that has the most of them."""
    array = opened(artifact, name)
    files = array.shards or array.chunks
    axis = max(range(array.ndim), key=lambda one: array.shape[one] / files[one])
    for start in range(0, array.shape[axis], files[axis]):
        part = [slice(None)] * array.ndim
        part[axis] = slice(start, start + files[axis])
        yield tuple(part)


def plain(folder: Path, name: str) -> np.ndarray:
    """An array of an artifact that is still being made."""
    return np.asarray(zarr.open_array(folder / name, mode="r")[:])


def plain_shape(folder: Path, name: str) -> tuple[int, ...]:
    """The shape of such an array."""
    return zarr.open_array(folder / name, mode="r").shape


class Marks:
    """A small file per finished unit (shard, codebook): chunk existence is no done mark, since empty chunks are never
    written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "done"

    def file(self, unit: str) -> Path:
        return self.folder / f"{unit}.json"

    def get(self, unit: str) -> dict[str, Any] | None:
        try:
            return dict(json.loads(self.file(unit).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None

    def set(self, unit: str, value: dict[str, Any]) -> None:
        write_json(self.file(unit), value)

    def clear(self, unit: str) -> None:
        self.file(unit).unlink(missing_ok=True)


def heal(artifact: Artifact, marks: Marks, units: Mapping[str, list[tuple[str, Any, str]]], label: str) -> bool:
    """Find units whose chunks are missing or were altered, and open the artifact again so that they are remade.

    Args:
        units: unit -> (array, rows, chunk file) of everything that the unit wrote.

    Returns:
        True where a unit has to be made again; the artifact then has no manifest.

    Raises:
        DamagedArtifact: a file that belongs to no unit is damaged.
    """
    chunks = {file for parts in units.values() for *_, file in parts}
    wrong = artifact.wrong_files(chunks=True)
    other = sorted(set(wrong) - chunks)
    if other:
        raise artifact.damaged(wrong[other[0]], force=True)
    listed = artifact.manifest["files"]
    bad = [
        unit
        for unit, parts in units.items()
        if any(
            file in wrong or ("sha256" not in listed.get(file, {}) and not sound(artifact, name, rows))
            for name, rows, file in parts
        )
    ]
    if not bad:
        return False
    if artifact.lost_rows:
        raise artifact.damaged(next(wrong.get(file, f"{name} fails its checksum") for name, _, file in units[bad[0]]))
    for unit in bad:
        marks.clear(unit)
        for *_, file in units[unit]:
            (artifact.path / file).unlink(missing_ok=True)
    artifact.reopen()
    progress.note(f"{label}: {artifact.path.name} was damaged; making again only: {', '.join(bad)}")
    return True


def sound(artifact: Artifact, name: str, rows: Any) -> bool:
    """Whether rows of an array can be read and fit their checksums."""
    try:
        read(artifact, name, rows)
    except DamagedArtifact:
        return False
    return True
