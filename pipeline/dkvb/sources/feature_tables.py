"""Files of features and labels read as one table a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dkvb.errors import DkvbError, UsageError, some
from dkvb.recipe import Data
from dkvb.sources.base import Table
from dkvb.sources.feature_files import Pieces
from dkvb.sources.label_files import COLUMNS, find_column, label_values, read_array, read_column, read_columns
from dkvb.sources.labels import column_labels, read_labels, renumber, together
from dkvb.sources.npz import read_npz
from dkvb.sources.numbers import as_features
from dkvb.sources.remarks import Remarks

X_COLUMNS = ("embedding", "embeddings", "features", "feature", "x", "emb", "vector", "image_embedding")
"""What a column of features is called, in the order in which they are looked for."""


def read_table(pieces: Pieces, data: Data, names: list[str] | None, remarks: Remarks) -> Table:
    """Features and labels of all files of a split, one file after another.

    Args:
        names: of all classes, from a file of their own.

    Returns:
        A table whose `classes` are listed in a file, or named by the labels themselves; None where they are numbers.

    Raises:
        UsageError: settings that do not fit what is there.
        DkvbError: files that cannot be read or do not fit each other.
    """
    where = pieces.where()
    xs: list[np.ndarray] = []
    ys: list[tuple[object, np.ndarray]] = []
    listed = names
    for file, beside in pieces.files:
        x, y, own = _read(file, beside, data)
        if listed is not None and own is not None and listed != own:
            raise DkvbError(f"{file} lists other classes than the files before it; save one list in all.")
        listed = listed or own
        if len(x) != len(y):
            raise DkvbError(
                f"{file} has {len(x)} rows and {beside or file} has {len(y)} labels; files of one number or name must"
                " belong together."
            )
        x = as_features(x, file, data.scale, data.offset, remarks)
        if xs and x.shape[1] != xs[0].shape[1]:
            first = pieces.files[0][0]
            raise DkvbError(
                f"{file} has {x.shape[1]} features a row and {first} has {xs[0].shape[1]}; compute all with one"
                " encoder."
            )
        xs.append(x)
        ys.append((beside or file, y))
    labels, classes = _labels(where if len(ys) > 1 else ys[0][0], together(ys), listed, data, remarks)
    files = [file for file, _ in pieces.files] + [beside for _, beside in pieces.files if beside]
    return Table(
        where,
        xs[0] if len(xs) == 1 else np.concatenate(xs),
        labels,
        classes,
        files,
        named=classes is not None and listed is None,
    )


def _labels(
    where: object, values: np.ndarray, listed: list[str] | None, data: Data, remarks: Remarks
) -> tuple[np.ndarray, list[str] | None]:
    """Labels, and the classes that are listed or that they name."""
    y, own = read_labels(values, where, data.labels, remarks)
    if listed is None or own is None:
        return y, own if listed is None else listed
    if data.labels == "sparse":
        raise UsageError(
            f'{where}: data.labels is "sparse", by which classes are named by their numbers, and a list of class names'
            " is there as well; leave one of them out."
        )
    if values.ndim == 2 and values.shape[1] > 1:  # one-hot: places
        if len(own) != len(listed):
            raise DkvbError(f"{where}: labels are one-hot rows of {len(own)}, and {len(listed)} classes are listed.")
        return y, listed
    if strange := sorted({*own} - {*listed}):
        raise DkvbError(f"{where}: labels that are not among the listed classes: {some(strange)}; mend either.")
    return renumber(y, own, listed, where), listed


def _read(file: Path, beside: Path | None, data: Data) -> tuple[np.ndarray, np.ndarray, list[str] | None]:
    """(N, D) features, labels as written, and classes that the file lists."""
    suffix = file.suffix.lower()
    if suffix == ".npz":
        arrays = read_npz(file, ("x", "y"), ("classes",))
        names = arrays.get("classes")
        return arrays["x"], arrays["y"], None if names is None else names.tolist()
    x = _column_of_features(file, data.x_column) if suffix == ".parquet" else read_array(file)
    if beside is not None:
        return x, label_values(beside, data.y_column), None
    column = find_column(file, read_columns(file), data.y_column, COLUMNS, "labels")
    return x, column_labels(read_column(file, column), file), None


def _column_of_features(path: Path, wanted: str | None) -> np.ndarray:
    """(N, D) of a column of lists."""
    import polars as pl

    column = read_column(path, find_column(path, read_columns(path), wanted, X_COLUMNS, "features"))
    kind = column.dtype
    if not isinstance(kind, pl.List | pl.Array) or not kind.inner.is_numeric():
        raise DkvbError(f"{path}: the column '{column.name}' is {kind}; features must be lists of numbers.")
    lists = column.cast(pl.List(kind.inner)) if isinstance(kind, pl.Array) else column
    lengths = lists.list.len()
    if column.null_count() or lengths.n_unique() > 1:
        row = next(i for i, length in enumerate(lengths.to_list()) if length != lengths[0] or length is None)
        raise DkvbError(f"{path}: row {row} has {lengths[row] or 'no'} features and row 0 has {lengths[0]}; mend it.")
    return lists.explode().to_numpy().reshape(len(column), -1) if len(column) else np.empty((0, 1), np.float32)
