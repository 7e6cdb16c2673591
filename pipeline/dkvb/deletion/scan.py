"""Search of all files of a workspace for rows that were erased, and for their ids and file names.

Rows are looked for as float32, float16 and float64 in the bytes of every file; compressed zarr arrays, parquet, npz and
gzip files are looked at unpacked as well, and the numbers in text files (JSON, CSV, HTML) as float32. Names are looked
for in the same bytes, in columns and arrays of texts, and in what files are called.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dkvb.deletion.needles import Needles
from dkvb.records.purges import Scan

TEXT = {".json", ".jsonl", ".csv", ".tsv", ".txt", ".html", ".md", ".toml", ".log", ".js"}


NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def scan(folders: Sequence[Path], needles: Needles) -> Scan:
    """Look at every file below some folders."""
    files, size, unreadable = 0, 0, []
    found: dict[str, int] = {}
    named: dict[str, int] = {}
    names = needles.names
    below = {path: folder for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()}
    for path, folder in sorted(below.items()):
        try:
            rows = needles.found_in(path.relative_to(folder).as_posix().encode(errors="surrogateescape"))
            for part in _parts(path):
                size += len(part)
                rows |= needles.found_in(part)
            files += 1
        except FileNotFoundError:  # another process's temporary file
            continue
        except OSError as error:
            unreadable.append(f"{path}: {error.strerror}")
            continue
        if rows - names:
            found[str(path)] = len(rows - names)
        if rows & names:
            named[str(path)] = len(rows & names)
    return Scan(
        files=files,
        bytes=size,
        needles=int((needles.unit == 0).sum()),
        names=len(names),
        found=found,
        named=named,
        unreadable=unreadable,
    )


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
        told = json.loads(whole)
        if told.get("node_type") == "array" and (b"zstd" in whole or told.get("data_type") == "string"):
            import zarr

            array = np.asarray(zarr.open_array(path.parent, mode="r")[:])
            if array.dtype.kind in "biuf":
                yield np.ascontiguousarray(array).tobytes()
            elif array.dtype.kind in "TUO":
                yield "\n".join(map(str, array.ravel().tolist())).encode()
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
        with np.errstate(over="ignore"):
            numbers = np.array(NUMBER.findall(whole)).astype(np.float64) if NUMBER.search(whole) else np.empty(0)
            yield numbers.astype("<f4").tobytes()


def _column(column: Any) -> Iterator[bytes]:
    import polars

    if column.dtype == polars.Binary:
        yield b"".join(value for value in column.to_list() if value is not None)
    elif column.dtype in (polars.String, polars.Categorical, polars.Enum):
        yield "\n".join(value for value in column.to_list() if value is not None).encode()
    elif isinstance(column.dtype, polars.List | polars.Array):
        inner = column.explode()
        if inner.dtype.is_numeric():
            yield inner.to_numpy().tobytes()
    elif column.dtype.is_numeric():
        yield column.to_numpy().tobytes()
