"""Features as numbers that float32 holds: integers as the recipe scales them, bfloat16 decoded, the rest refused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dkvb.errors import DkvbError, UsageError, some
from dkvb.metrics.columns import moments
from dkvb.sources.remarks import Remarks

BLOCK = 8192
"""Rows looked at together, so that what a check needs does not grow with the data."""

LARGEST = 1e16
"""Features of up to some 10,000 columns that are no larger have squared distances that float32 holds."""

FAR = 1000.0
"""How many times the median column a column must be for a doubt: it alone would make the random projections."""


def as_features(
    x: np.ndarray, where: object, scale: float | None, offset: float, remarks: Remarks | None = None
) -> np.ndarray:
    """Features (N, D) of any numbers as floats that float32 holds.

    Integers become `(x + offset) * scale`, float32. bfloat16, which NumPy reads as two unnamed bytes, becomes float32.
    Other floats stay as they are, finite or not.

    Raises:
        UsageError: `scale` or `offset` is set, and the features are no integers.
        DkvbError: not (N, D), no numbers, integers without a scale, or values beyond `LARGEST`.
    """
    if x.ndim != 2 or x.shape[1] == 0:
        raise DkvbError(f"{where}: features have shape {x.shape}; they must be (N, D), a row for each sample.")
    if is_bfloat16(x.dtype):
        if remarks is not None:
            remarks.notes.append(f"{where}: features of 2 bytes without a name are read as bfloat16")
        x = from_bfloat16(x)
    kind = x.dtype.kind
    if kind not in "fiu":
        raise DkvbError(
            f"{where}: features are {x.dtype}; features must be real numbers: save them as float16, float32 or float64."
        )
    if kind == "f":
        if scale is not None or offset:
            raise UsageError(
                f"data.scale and data.offset are for features that are integers, and those in {where} are {x.dtype}:"
                " leave them out."
            )
        if x.dtype.itemsize > 2:  # float16 ends far below
            check_range(x, where, str(x.dtype))
        return x
    if scale is None:
        raise DkvbError(
            f"{where}: features are {x.dtype}; set data.scale (and data.offset), by which they are taken as"
            " (x + offset) * scale, such as the encoder's quantisation had them, or save them as float16, float32 or"
            " float64."
        )
    if scale == 0:
        raise UsageError("data.scale is 0, which makes all features the same; give the step of the quantisation.")
    said = f"(x + {offset:g}) * {scale:g}"
    scaled = np.empty(x.shape, np.float32)
    for rows, block in blocks(x):
        exact = (block.astype(np.float64) + offset) * scale
        check_range(exact, where, said, rows.start)
        scaled[rows] = exact
    if remarks is not None:
        remarks.notes.append(f"{where}: features are {x.dtype}, taken as {said}")
    return scaled


def new_features(x: np.ndarray, where: object, scale: float | None, offset: float) -> np.ndarray:
    """Features (N, D) float32 of new samples for a model whose data were read with this scale and offset.

    Integers are taken as the data were; floats are what they say.

    Raises:
        DkvbError: as `as_features`.
    """
    whole = x.dtype.kind in "iu"
    return np.ascontiguousarray(as_features(x, where, scale if whole else None, offset if whole else 0.0), np.float32)


def is_bfloat16(dtype: np.dtype) -> bool:
    """Whether this is what an array of bfloat16 is saved as, or the type itself."""
    return dtype.name == "bfloat16" or (dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None)


def from_bfloat16(x: np.ndarray) -> np.ndarray:
    """float32 of the same values: bfloat16 is its upper half."""
    return (np.ascontiguousarray(x).view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def blocks(x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows (N, D), `BLOCK` at a time."""
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        yield rows, x[rows]


def check_range(x: np.ndarray, where: object, what: str, first: int = 0) -> None:
    """Refuse finite values beyond `LARGEST` in rows (N, D), which count from `first`.

    Raises:
        DkvbError: naming rows and columns.
    """
    bad: list[str] = []
    count = 0
    for rows, block in blocks(x):
        places = np.argwhere((np.abs(block) > LARGEST) & np.isfinite(block))
        count += len(places)
        bad += [
            f"row {first + rows.start + row} column {column}" for row, column in places[: max(5 - len(bad), 0)].tolist()
        ]
    if count:
        raise DkvbError(
            f"{where}: {count:,} values of {what} are beyond {LARGEST:g} (the first: {some(bad, 5)}); distances between"
            " features are computed in float32, which does not hold their squares: rescale or remove them."
        )


def doubt_columns(x: np.ndarray, where: object, remarks: Remarks) -> None:
    """Doubt columns that are far larger, or offset far more, than the rest: they would make the projections alone.

    One pass over x (N, D), finite.
    """
    if len(x) == 0:
        return
    mean, spread = moments(x)
    size = np.hypot(mean, spread)
    if not len(live := np.flatnonzero(size > 0)):
        return
    usual, usual_spread = float(np.median(size[live])), float(np.median(spread[live]))
    far = (np.abs(mean) > FAR * usual) | ((usual_spread > 0) & (spread > FAR * usual_spread))
    if len(columns := np.flatnonzero(far)):
        column = int(columns[np.argmax(size[columns])])
        remarks.doubts.append(
            f"{where}: {'column' if len(columns) == 1 else 'columns'} {some(columns.tolist())} of the features"
            f" {'is' if len(columns) == 1 else 'are'} far from the rest: column {column} has mean"
            f" {mean[column]:.3g} and spread {spread[column]:.3g}, where the median column has size"
            f" {usual:.3g} and spread {usual_spread:.3g}; the random projections would see little else. Is it an id or"
            " a time? Take it out or standardise it"
        )
