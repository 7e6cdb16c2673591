"""From labels as users write them, numbers or names, to classes and their ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dkvb.errors import DkvbError, some
from dkvb.sources.text import decoded

Counting = Literal["from-0", "from-1", "sparse"]


@dataclass(frozen=True)
class Labels:
    """Labels of one file or split, as read."""

    where: object
    """What messages call it."""
    raw: np.ndarray
    """(N,): integers, or objects (text, or None where there is none)."""


def as_read(values: Any, where: object) -> Labels:
    """Labels of any list, NumPy array or column: numbers where all of them are whole, also when written as text.

    Raises:
        DkvbError: some are missing, or are neither whole numbers nor text; names the first rows.
    """
    raw = np.asarray(values)
    if raw.ndim != 1:
        raise DkvbError(f"{where}: labels have shape {raw.shape}; they must be (N,), one for each sample.")
    if raw.dtype.kind in "biu":
        return Labels(where, raw.astype(np.int64))
    if raw.dtype.kind == "f":
        raw = raw.astype(np.float64)
    texts = raw.tolist()
    if missing := [row for row, text in enumerate(texts) if _missing(text)]:
        raise DkvbError(
            f"{where}: {len(missing):,} rows have no label (the first: {some(missing)}); remove them or label them."
        )
    if all(isinstance(text, bytes | str) for text in texts):
        names = [decoded(text, where, row).strip() for row, text in enumerate(texts)]
        if names and all(name.removeprefix("-").isascii() and name.removeprefix("-").isdigit() for name in names):
            return Labels(where, np.array([int(name) for name in names], np.int64))
        return Labels(where, np.array(names, dtype=object))
    if all(isinstance(number, bool | int | float | np.number) and float(number).is_integer() for number in texts):
        return Labels(where, np.array([int(number) for number in texts], np.int64))
    strange = next(row for row, text in enumerate(texts) if not isinstance(text, str | int))
    raise DkvbError(
        f"{where}: row {strange} has the label {texts[strange]!r}; labels must be all names or all whole numbers."
    )


def _missing(label: Any) -> bool:
    """Whether it is None, NaN, an empty text, or what pandas has in their place."""
    if isinstance(label, str | bytes):
        return not label.strip()
    return label is None or type(label).__name__ == "NAType" or label != label


def class_ids(
    parts: Sequence[Labels], named: Sequence[str] | None, counting: Counting
) -> tuple[list[str], list[np.ndarray]]:
    """Classes and, for each part, (N,) int64 ids.

    Args:
        parts: the training labels first.
        named: names of the classes, which numbers then count; none: names are those of the training labels, sorted, and
            numbers are names themselves.

    Raises:
        DkvbError: a number out of range, or a class that has no training samples.
    """
    if any(part.raw.dtype.kind != parts[0].raw.dtype.kind for part in parts):
        kinds = ["numbers" if part.raw.dtype.kind == "i" else "names" for part in parts]
        raise DkvbError(
            f"{parts[0].where} has {kinds[0]} for labels and {parts[1].where} has {kinds[1]}; use one kind in both."
        )
    if parts[0].raw.dtype.kind == "i" and counting != "sparse":
        first = 1 if counting == "from-1" else 0
        top = len(named) if named is not None else int(parts[0].raw.max(initial=first - 1)) + 1 - first
        ids = [_counted(part, first, top) for part in parts]
        if named is None and (gaps := np.setdiff1d(np.arange(top), ids[0]).tolist()):
            raise DkvbError(
                f"{parts[0].where}: no training samples for class {some(gap + first for gap in gaps)}, yet labels run"
                f' up to {top - 1 + first}; number classes without gaps, or set labels = "sparse" in [data].'
            )
        return list(named) if named is not None else [str(i + first) for i in range(top)], ids
    known = named if named is not None and parts[0].raw.dtype.kind != "i" else sorted(set(parts[0].raw.tolist()))
    place = {name: i for i, name in enumerate(known)}
    for part in parts:
        if strange := sorted(set(part.raw.tolist()) - place.keys()):
            why = "is not among the classes' names" if named is not None else "has no training samples"
            raise DkvbError(f"{part.where}: class {some(strange)} {why}; add some, or take the class out.")
    found = [np.array([place[name] for name in part.raw.tolist()], np.int64) for part in parts]
    return [str(name) for name in known], found


def _counted(part: Labels, first: int, top: int) -> np.ndarray:
    outside = np.flatnonzero((part.raw < first) | (part.raw >= first + top))
    if len(outside):
        row = int(outside[0])
        start = ' (labels = "from-1" or "sparse" in [data] for labels that count otherwise)' if first == 0 else ""
        raise DkvbError(
            f"{part.where}: labels out of range in {len(outside):,} rows (row {row} has {part.raw[row]}); there are"
            f" {top} classes, so labels run from {first} to {first + top - 1}{start}."
        )
    return (part.raw - first).astype(np.int64)
