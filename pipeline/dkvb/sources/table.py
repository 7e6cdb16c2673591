"""Features in parquet, Arrow (Feather) or CSV tables: a column of lists or many columns, and a column of labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources.assembly import Features, TakenRows, feature_source
from dkvb.sources.base import FeatureSource
from dkvb.sources.class_ids import Labels, as_read
from dkvb.sources.columns import FEATURES, ROW_NAMES, SPLITS, label_column, split_of, usual
from dkvb.sources.numeric import rows_of_columns, rows_of_lists, scaled
from dkvb.sources.part_files import part_files
from dkvb.sources.remarks import Remarks
from dkvb.sources.table_files import KINDS, TableFile

if TYPE_CHECKING:
    import polars as pl

HOLDS = "a parquet, Arrow or CSV file, or a folder of such files whose names say train and test"


def open_table(data: Data) -> FeatureSource:
    """Rows in the order of the files and of their rows. Training and test rows are told apart by the files' names, or
    by a column `split`; else `data.test` of every class is set aside.

    Raises:
        UsageError: nothing is there, or no column is that of the labels or features.
        DkvbError: a file is damaged, labels or numbers are missing, or classes cannot be learned.
    """
    remarks = Remarks()
    files = part_files(data, tuple(KINDS), HOLDS, remarks)
    tables = [[TableFile(path) for path in part] for part in (files.train, files.test) if part is not None]
    if len(kinds := {table.kind for part in tables for table in part}) > 1:
        raise UsageError(
            f"{data.path} holds {' and '.join(sorted(kinds))} files; keep one kind there, or name the files: train and"
            " test in [data]."
        )
    columns = _columns(tables[0][0], data, remarks)
    parts = [_read(part, columns, data, files.name(part[0].path)) for part in tables]
    if len(parts) == 1 and columns.split:
        parts = _by_column(parts[0], tables[0], columns.split, remarks)
    return feature_source(parts, None, data, remarks)


@dataclass(frozen=True)
class _Columns:
    x: list[str]
    """One column of lists, or many of numbers."""
    lists: bool
    integers: bool
    y: str
    split: str | None


def _columns(table: TableFile, data: Data, remarks: Remarks) -> _Columns:
    """What the columns of a table are."""
    import polars as pl

    schema, where = table.schema, table.path
    y = label_column(schema, data.y_column, where)
    split = usual([name for name, kind in schema.items() if name != y and kind == pl.String], SPLITS)
    rest = {name: kind for name, kind in schema.items() if name not in (y, split)}
    lists = [name for name, kind in rest.items() if isinstance(kind, pl.List | pl.Array)]
    if data.x_column in lists or (data.x_column is None and lists):
        x = data.x_column or usual(lists, FEATURES) or (lists[0] if len(lists) == 1 else None)
        if x is None:
            raise UsageError(
                f"{where} has several columns of lists ({', '.join(lists)}); x_column in [data] says which."
            )
        inner: pl.DataType = rest[x].inner  # type: ignore[attr-defined]
        if not inner.is_numeric():
            raise UsageError(f"{where}: the column '{x}' holds lists of {inner}; features are numbers.")
        return _Columns([x], True, inner.is_integer(), y, split)
    numbers = {name: kind for name, kind in rest.items() if kind.is_numeric() and name.lower() not in ROW_NAMES}
    x_columns = _numbered(numbers, data.x_column, where)
    if left := [name for name in numbers if name not in x_columns]:
        remarks.notes.append(f"columns of numbers that are no features: {', '.join(left)} (x_column in [data] chooses)")
    remarks.notes.append(f"features are the {len(x_columns)} columns from '{x_columns[0]}' to '{x_columns[-1]}'")
    return _Columns(x_columns, False, all(numbers[name].is_integer() for name in x_columns), y, split)


def _numbered(numbers: dict[str, pl.DataType], prefix: str | None, where: Path) -> list[str]:
    """The columns of features: those named by `prefix` and a number, else the largest such group if all columns with
    fractions are in it (`f0` to `f511` beside an `age`), else all."""
    groups: dict[str, list[str]] = {}
    for name in numbers:
        if match := re.fullmatch(r"(.*?)(\d+)", name):
            groups.setdefault(match[1], []).append(name)
    if prefix is not None:
        if prefix in numbers:
            return [prefix]
        if prefix not in groups:
            raise UsageError(
                f"{where} has neither a column '{prefix}' (data.x_column) nor columns '{prefix}0', '{prefix}1', …; its"
                f" columns of numbers are {', '.join(list(numbers)[:8]) or 'none'}."
            )
        return groups[prefix]
    if not numbers:
        raise UsageError(f"{where} has no column of lists and no columns of numbers that could be features.")
    largest = max(groups.values(), key=len, default=[])
    real = [name for name, kind in numbers.items() if kind.is_float()]
    return largest if len(largest) > 1 and set(real) <= set(largest) else list(numbers)


def _read(tables: Sequence[TableFile], columns: _Columns, data: Data, where: str) -> Features:
    """All rows of some files as one float32 array, and their labels."""
    needed = [*columns.x, columns.y]
    for table in tables:
        if missing := [name for name in needed if name not in table.schema]:
            raise DkvbError(
                f"{table.path} has no column '{missing[0]}', which {tables[0].path} has; give all the same."
            )
    rows = sum(table.rows for table in tables)
    blocks: Iterable[pl.DataFrame] = (block for table in tables for block in table.blocks(columns.x, real=True))
    if columns.lists:
        x = rows_of_lists((block[columns.x[0]] for block in blocks), rows, f"{where}, column '{columns.x[0]}'")
    else:
        x = rows_of_columns(blocks, columns.x, rows, where)
    labels = np.concatenate([table.column(columns.y) for table in tables])
    return Features(as_read(labels, where), scaled(x, columns.integers, data, where))


def _by_column(whole: Features, tables: Sequence[TableFile], split: str, remarks: Remarks) -> list[Features]:
    """Training and test rows as the column `split` says; the array is shared."""
    written = np.concatenate([table.column(split) for table in tables])
    said = np.array([split_of(str(word)) or "" for word in written.tolist()], object)
    if not (said == "train").any():
        words = ", ".join(sorted({str(word) for word in written.tolist()})[:5])
        raise DkvbError(f"{whole.labels.where}: no row has 'train' in its column '{split}' (it holds {words}).")
    test = "test" if (said == "test").any() else "validation"
    if unused := int((~np.isin(said, ["train", test])).sum()):
        remarks.notes.append(f"{unused:,} rows are not used: their column '{split}' says neither train nor {test}")
    taken = [np.flatnonzero(said == kind) for kind in ("train", test)]
    return [
        Features(
            Labels(f"{whole.labels.where}, {split} {kind}", whole.labels.raw[rows]),
            TakenRows(whole.x, rows),  # type: ignore[arg-type]
        )
        for kind, rows in zip(("train", test), taken, strict=True)
        if len(rows)
    ]
