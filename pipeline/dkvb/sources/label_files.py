"""Files of labels and of class names: `.npy`, `.txt`, `.csv`, `.parquet`, `.json`."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dkvb.errors import DkvbError, UsageError
from dkvb.sources.labels import column_labels
from dkvb.sources.text import decoded, read_lines

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("label", "class", "y", "labels", "target", "targets", "category", "class_name", "label_name")
"""What a column of labels is called, in the order in which they are looked for."""


def read_array(path: Path) -> np.ndarray:
    """The array of an `.npy` file, on disk as long as nothing reads it; objects are never unpickled.

    Raises:
        DkvbError: it cannot be read, or holds objects.
    """
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        fix = "copy it again"
        if "allow_pickle" in str(error) or "Python objects" in str(error):
            fix = "save numbers, or names as np.array(names, dtype=str), not dtype=object"
        raise DkvbError(f"{path} cannot be read as an array ({error}); {fix}.") from None
    if not isinstance(found, np.ndarray):
        raise DkvbError(f"{path} is no single array; save it with np.save, or as .npz with x and y.")
    return found


def label_values(path: Path, column: str | None) -> np.ndarray:
    """The labels of a file as written: (N,), or (N, L) where an array has such rows.

    Args:
        column: the one that holds them; None: found by its usual names.

    Raises:
        UsageError: no such column.
        DkvbError: the file cannot be read.
    """
    if path.suffix.lower() == ".npy":
        return np.asarray(read_array(path))
    if path.suffix.lower() == ".parquet":
        return column_labels(_column(path, column), path)
    if path.suffix.lower() == ".csv":
        return as_written(_csv(path, column))
    return as_written(read_lines(path))


def as_written(lines: Sequence[str]) -> np.ndarray:
    """(N,) of int64 where all lines are whole numbers, of float64 where they are numbers, else of str."""
    if lines and all(re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", line) for line in lines):
        return np.array([int(line) for line in lines], np.int64)
    if lines and all(
        re.fullmatch(r"\s*[+-]?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?\s*", line, re.IGNORECASE) for line in lines
    ):
        return np.array([float(line) for line in lines])
    return np.array(lines, dtype=str)


def find_column(path: Path, columns: Sequence[str], wanted: str | None, usual: Sequence[str], holds: str) -> str:
    """The column that is asked for, else the only or first one with a usual name, case aside.

    Raises:
        UsageError: the one that is asked for is not there.
        DkvbError: none has a usual name.
    """
    if wanted is not None:
        if wanted not in columns:
            raise UsageError(f"{path} has no column '{wanted}' (it has {', '.join(columns)}).")
        return wanted
    lower = {name.lower(): name for name in reversed(columns)}
    found = next((lower[name] for name in usual if name in lower), None)
    if found is None:
        raise DkvbError(
            f"{path} has no column named {' or '.join(usual[:3])} (it has {', '.join(columns)}); add one with the"
            f" {holds}, or name it with data.{'y' if holds == 'labels' else 'x'}_column."
        )
    return found


def read_columns(path: Path) -> list[str]:
    """Names of a parquet file's columns.

    Raises:
        DkvbError: it cannot be read.
    """
    import polars as pl

    try:
        return list(pl.read_parquet_schema(path))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DkvbError(f"{path} cannot be read as parquet ({error}); copy it again.") from None


def read_column(path: Path, name: str) -> pl.Series:
    """One column of a parquet file.

    Raises:
        DkvbError: it cannot be read.
    """
    import polars as pl

    try:
        return pl.read_parquet(path, columns=[name])[name]
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DkvbError(f"{path} cannot be read as parquet ({error}); copy it again.") from None


def _column(path: Path, wanted: str | None) -> pl.Series:
    columns = read_columns(path)
    only = columns[0] if len(columns) == 1 and wanted is None else None
    return read_column(path, only or find_column(path, columns, wanted, COLUMNS, "labels"))


def _csv(path: Path, wanted: str | None) -> list[str]:
    rows = list(csv.reader(read_lines(path)))
    if not rows:
        return []
    width = len(rows[0])
    if uneven := [place for place, row in enumerate(rows) if len(row) != width]:
        raise DkvbError(
            f"{path}: line {uneven[0] + 1} has {len(rows[uneven[0]])} cells and the first {width}; mend the line."
        )
    if width == 1 and wanted is None:
        # one column of names needs no header, and one with a usual header has one
        cells = [row[0] for row in rows]
        first, rest = cells[0].strip().lower(), as_written(cells[1:])
        header = first in COLUMNS or (rest.dtype.kind in "if" and as_written(cells[:1]).dtype.kind == "U")
        return cells[1:] if header else cells
    place = rows[0].index(find_column(path, rows[0], wanted, COLUMNS, "labels"))
    return [row[place] for row in rows[1:]]


def class_names(path: Path) -> list[str]:
    """Names of all classes in their order: one a line, a JSON list or object, or an array of strings.

    Raises:
        DkvbError: it holds no such list.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        names = read_array(path)
        if names.ndim != 1 or names.dtype.kind not in "US":
            raise DkvbError(f"{path} must be a list of names, not {names.dtype} of shape {names.shape}.")
        return [decoded(name, path, row) for row, name in enumerate(names.tolist())]
    lines = read_lines(path)
    return _json_names(path, "\n".join(lines)) if suffix == ".json" else lines


def _json_names(path: Path, text: str) -> list[str]:
    """A list of names, or an object of name to number or number to name, counted from 0."""
    try:
        held: Any = json.loads(text)
    except ValueError as error:
        raise DkvbError(f"{path} is not valid JSON ({error}); mend it.") from None
    if isinstance(held, dict):
        numbers = [value for value in held.values() if isinstance(value, int) and not isinstance(value, bool)]
        pairs = (
            {value: name for name, value in held.items()}
            if len(numbers) == len(held)
            else {int(key): value for key, value in held.items() if re.fullmatch("[0-9]+", key)}
        )
        if len(pairs) != len(held) or sorted(pairs) != list(range(len(held))):
            raise DkvbError(f"{path}: the numbers of its names must be 0 to {len(held) - 1}, each once.")
        held = [pairs[place] for place in range(len(pairs))]
    if not isinstance(held, list) or not all(isinstance(name, str) for name in held):
        raise DkvbError(f"{path} must be a JSON list of names, or an object of names and numbers.")
    return [decoded(name, path) for name in held]
