"""Labels as people keep them, read as places in a list of classes (N,) int64; nothing is taken otherwise in silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dkvb.errors import DkvbError, UsageError, some
from dkvb.sources.remarks import Remarks
from dkvb.sources.text import decoded

if TYPE_CHECKING:
    import polars as pl

How = Literal["from-0", "from-1", "sparse"]
"""How labels that are numbers count: `data.labels`."""


def read_labels(values: np.ndarray, where: object, how: How, remarks: Remarks) -> tuple[np.ndarray, list[str] | None]:
    """Labels of one split.

    Args:
        values: (N,) or (N, 1) integers, whole floats, booleans, strings or bytes; or (N, L) with one 1 in each row.
        where: the file, for messages.

    Returns:
        y (N,) int64 and the classes that the labels themselves name: the sorted names, the sorted numbers where `how`
        is "sparse", "0" … "L-1" for one-hot rows of L; None where they are numbers, which name no class.

    Raises:
        UsageError: `how` does not fit.
        DkvbError: values that are no labels.
    """
    plain, hot = _plain(np.asarray(values), where, remarks)
    if plain.dtype.kind == "U" or hot:
        if how != "from-0":
            kind = "one-hot" if hot else "names"
            raise UsageError(
                f'data.labels is "{how}", which is for labels that are numbers; those in {where} are {kind}: leave the'
                " setting out."
            )
        if hot:
            return plain, [str(place) for place in range(hot)]
        names, y = np.unique(plain, return_inverse=True)
        return y.astype(np.int64), [str(name) for name in names]
    if how == "from-1":
        if len(below := np.flatnonzero(plain < 1)):
            raise DkvbError(
                f'{where}: data.labels is "from-1", and {len(below):,} rows have less than 1 (row {below[0]} has'
                f' {plain[below[0]]}); set data.labels to "from-0" or "sparse".'
            )
        remarks.notes.append(f"{where}: labels count from 1, as data.labels says: label 1 is class 0")
        return plain - 1, None
    if how == "sparse":
        numbers, y = np.unique(plain, return_inverse=True)
        remarks.notes.append(
            f"{where}: {len(numbers):,} different labels from {numbers[0]} to {numbers[-1]} are a class each, named by"
            " its number, as data.labels says"
            if len(numbers)
            else f"{where}: no labels"
        )
        return y.astype(np.int64), [str(number) for number in numbers.tolist()]
    return plain, None


def renumber(y: np.ndarray, classes: Sequence[str], into: Sequence[str], where: object) -> np.ndarray:
    """Labels (N,) that are places in `classes` as places in `into`, by name.

    Raises:
        DkvbError: a class that `into` lacks.
    """
    place = {name: i for i, name in enumerate(into)}
    if strange := [name for name in classes if name not in place]:
        raise DkvbError(f"{where}: no training samples for class '{some(strange)}'; add some, or take the class out.")
    return np.array([place[name] for name in classes], np.int64)[y] if len(classes) else y


def together(parts: Sequence[tuple[object, np.ndarray]]) -> np.ndarray:
    """The labels of several files, one after another.

    Raises:
        DkvbError: some are names and others numbers, or of different shapes.
    """
    kinds = [(_kind(values), values.shape[1:]) for _, values in parts]
    for (where, _), kind in zip(parts, kinds, strict=True):
        if kind != kinds[0]:
            raise DkvbError(
                f"{where} has labels of another kind ({kind[0]}) than {parts[0][0]} ({kinds[0][0]}); save all alike."
            )
    return np.concatenate([values for _, values in parts])


def _kind(values: np.ndarray) -> str:
    kind = {"i": "integers", "u": "integers", "f": "floats", "b": "booleans", "U": "names", "S": "bytes"}
    return kind.get(values.dtype.kind, str(values.dtype))


def column_labels(column: pl.Series, where: object) -> np.ndarray:
    """A column's labels (or (N, L) one-hot rows) as an array; categories are read as the values they stand for.

    Raises:
        DkvbError: rows without a label, or a type that holds none.
    """
    import polars as pl

    if missing := column.null_count():
        raise DkvbError(f"{where}: {missing:,} rows have no label; remove them or label them.")
    kind = column.dtype
    if isinstance(kind, pl.Categorical | pl.Enum | pl.String):
        return column.cast(pl.String).to_numpy().astype(str)
    if kind.is_integer():
        try:
            return column.cast(pl.Int64).to_numpy()
        except pl.exceptions.PolarsError:
            raise DkvbError(f"{where}: the column '{column.name}' holds numbers beyond 64 bits.") from None
    if isinstance(kind, pl.Binary):
        return np.array([decoded(raw, where, row) for row, raw in enumerate(column.to_list())], dtype=str)
    if kind.is_float() or isinstance(kind, pl.Boolean):
        return column.to_numpy()
    if isinstance(kind, pl.Array) and (kind.inner.is_numeric() or isinstance(kind.inner, pl.Boolean)):
        return column.to_numpy()
    if isinstance(kind, pl.List) and kind.inner.is_numeric() and column.list.len().n_unique() == 1:
        return np.stack(column.to_list())
    raise DkvbError(f"{where}: the column '{column.name}' is {kind}; labels must be integers or names.")


def _plain(values: np.ndarray, where: object, remarks: Remarks) -> tuple[np.ndarray, int]:
    """(N,) int64 or str, and L where they were one-hot rows of L, else 0."""
    if values.ndim == 2 and values.shape[1] == 1:
        remarks.notes.append(f"{where}: labels of shape {values.shape} are taken as ({len(values)},)")
        values = values[:, 0]
    if values.ndim == 2 and values.shape[1] > 1 and values.dtype.kind in "biuf":
        return _one_hot(values, where, remarks), values.shape[1]
    if values.ndim != 1:
        raise DkvbError(f"{where}: labels have shape {values.shape}; they must be (N,), a label for each row.")
    kind = values.dtype.kind
    if kind == "O":
        values = _of_objects(values, where)
        kind = values.dtype.kind
    if kind in "US":
        return _names(values, where), 0
    if kind == "b":
        remarks.notes.append(f"{where}: labels are booleans: False is class 0 and True class 1")
        return values.astype(np.int64), 0
    if kind == "f":
        return _whole(values, where, remarks), 0
    if kind not in "iu":
        raise DkvbError(f"{where}: labels are {values.dtype}; labels must be integers or names.")
    if kind == "u" and len(values) and int(values.max()) > np.iinfo(np.int64).max:
        raise DkvbError(f"{where}: the label {int(values.max())} is beyond 64 bits.")
    return values.astype(np.int64), 0


def _one_hot(values: np.ndarray, where: object, remarks: Remarks) -> np.ndarray:
    ones = values == 1
    wrong = np.flatnonzero((ones.sum(1) != 1) | ((values != 0) & ~ones).any(1))
    if len(wrong):
        raise DkvbError(
            f"{where}: labels have shape {values.shape}, and {len(wrong):,} rows are not one-hot (row {wrong[0]} has"
            f" {int(ones[wrong[0]].sum())} ones among {values.shape[1]} values, not exactly one 1 beside zeros); each"
            " row needs exactly one class, or give labels of shape (N,)."
        )
    remarks.notes.append(f"{where}: labels of shape {values.shape} are one-hot: the column of the 1 is the class")
    return ones.argmax(1).astype(np.int64)


def _whole(values: np.ndarray, where: object, remarks: Remarks) -> np.ndarray:
    if len(missing := np.flatnonzero(np.isnan(values))):
        raise DkvbError(
            f"{where}: {len(missing):,} rows have no label (row {missing[0]} is NaN); remove them or label them."
        )
    wrong = np.flatnonzero((np.rint(values) != values) | (np.abs(values) > 2**53))
    if len(wrong):
        raise DkvbError(
            f"{where}: labels are {values.dtype}, and {len(wrong):,} rows hold no whole number (row {wrong[0]} has"
            f" {values[wrong[0]]}); labels must be integers or names."
        )
    remarks.notes.append(f"{where}: labels are {values.dtype}, all of them whole numbers: taken as integers")
    return values.astype(np.int64)


def _of_objects(values: np.ndarray, where: object) -> np.ndarray:
    """An array of Python objects as an array of their one type."""
    kinds: set[type[Any]] = {type(value) for value in values.tolist()}
    missing = [row for row, value in enumerate(values.tolist()) if value is None or value != value]
    if missing:
        raise DkvbError(
            f"{where}: {len(missing):,} rows have no label (the first: {missing[0]}); remove them or label them."
        )
    if kinds <= {str} or kinds <= {bytes}:
        return np.array([decoded(value, where, row) for row, value in enumerate(values.tolist())], dtype=str)
    if kinds <= {bool} or kinds <= {int} or kinds <= {float}:
        return np.array(values.tolist())
    listed = some(sorted(kind.__name__ for kind in kinds))
    raise DkvbError(f"{where}: labels are of the types {listed}; labels must be integers or names, all of one type.")


def _names(values: np.ndarray, where: object) -> np.ndarray:
    if values.dtype.kind == "S":
        different, places = np.unique(values, return_inverse=True)
        rows = {int(place): row for row, place in reversed(list(enumerate(places.tolist())))}
        values = np.array([decoded(raw, where, rows[i]) for i, raw in enumerate(different.tolist())], dtype=str)[places]
    if len(empty := np.flatnonzero(np.char.strip(values) == "")):
        raise DkvbError(
            f"{where}: {len(empty):,} rows have no label (row {empty[0]} is empty); remove them or label them."
        )
    return values
