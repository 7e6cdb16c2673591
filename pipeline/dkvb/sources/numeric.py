"""Columns of numbers into one float32 array, block by block, so that no second copy of all of them is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data

if TYPE_CHECKING:
    import polars as pl


def rows_of_lists(blocks: Iterable[Any], rows: int, where: str) -> np.ndarray:
    """(rows, D) float32 from blocks of an Arrow or polars column whose cells are lists of D numbers.

    Args:
        blocks: PyArrow arrays, or polars Series, of lists or arrays.

    Raises:
        DkvbError: a cell is missing, holds a missing number, or differs from the first in length; names the row.
    """
    import polars as pl

    out: np.ndarray | None = None
    done = 0
    for block in blocks:
        column = block if isinstance(block, pl.Series) else pl.Series("x", pl.from_arrow(block))
        if len(column) == 0:
            continue
        if isinstance(column.dtype, pl.Array):
            column = column.arr.to_list()
        widths = column.list.len()
        width = int(widths.drop_nulls()[0] or 0) if out is None and widths.null_count() < len(widths) else None
        if out is None:
            if not width:
                raise DkvbError(f"{where}: the first row holds no numbers; every row needs a list of features.")
            out = np.empty((rows, width), np.float32)
        if len(wrong := np.flatnonzero((widths != out.shape[1]).fill_null(True).to_numpy())):
            row = int(wrong[0])
            found = widths[row]
            raise DkvbError(
                f"{where}: row {done + row} {'is missing' if found is None else f'has {found} numbers'} where others"
                f" have {out.shape[1]}; every row needs a list of one length."
            )
        flat = column.explode()
        if flat.null_count():
            row = done + int(flat.is_null().arg_max() or 0) // out.shape[1]
            raise DkvbError(f"{where}: row {row} lacks numbers; remove such rows.")
        out[done : done + len(column)] = flat.to_numpy().reshape(len(column), -1)
        done += len(column)
    if out is None:
        raise DkvbError(f"{where} has no rows.")
    return out


def rows_of_columns(blocks: Iterable[pl.DataFrame], columns: Sequence[str], rows: int, where: str) -> np.ndarray:
    """(rows, D) float32 from blocks of a table with D columns of numbers.

    Raises:
        DkvbError: a number is missing; names the row and the column.
    """
    out = np.empty((rows, len(columns)), np.float32)
    done = 0
    for block in blocks:
        for place, name in enumerate(columns):
            column = block[name]
            if column.null_count():
                row = done + int(column.is_null().arg_max() or 0)
                raise DkvbError(f"{where}: row {row} has no number in column '{name}'; remove such rows or fill them.")
            out[done : done + len(column), place] = column.to_numpy()
        done += len(block)
    return out


def scaled(x: np.ndarray, integers: bool, data: Data, where: object) -> np.ndarray:
    """Features that were integers as (x + data.offset) * data.scale, in place; others as they are.

    Raises:
        UsageError: integers without a scale, or a scale without integers.
    """
    if integers and data.scale is None:
        raise UsageError(
            f"{where}: features are integers; say what they are worth: scale (and offset) in [data], such as scale ="
            " 0.00392157 for 0…255, or scale = 1.0 to take them as they are."
        )
    if not integers and data.scale is not None:
        raise UsageError(f"{where}: features are no integers, and scale in [data] is for integers; take it out.")
    if integers:
        x += np.float32(data.offset)
        x *= np.float32(data.scale)
    return x
