"""Which single samples are to be forgotten: a file of ids, paths or rows, to rows of the stored training set."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from dkvb.errors import UsageError, some
from dkvb.workspace import arrays
from dkvb.workspace.finished import Artifact
from dkvb.workspace.rows import present

SHOWN = 5
"""Samples that a message names at most."""


def read(features: Artifact, file: Path) -> np.ndarray:
    """The samples that a file names, as rows (n,) of the stored training set, sorted, each once.

    Args:
        file: text or CSV with an id or a path a line (of a CSV, its first column; a heading `id` or `path` is passed
            over), or .npz with `rows`, row numbers in the training set, or `x` (n, D), feature rows as they were
            embedded, to the bit.

    Raises:
        UsageError: the file cannot be read, names none, or names samples that are not in the training set.
    """
    try:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as held:
                rows = _of_arrays(features, file, {name: held[name] for name in held.files})
        else:
            with open(file, encoding="utf-8-sig", newline="") as text:
                names = [line[0].strip() for line in csv.reader(text) if line and line[0].strip()]
            rows = _of_names(features, file, names[1:] if names[:1] in (["id"], ["path"]) else names)
    except (OSError, ValueError, BadZipFile, csv.Error) as error:
        raise UsageError(
            f"--samples {file} cannot be read ({error}): give text with an id or a path a line, or .npz with rows or x."
        ) from None
    if not len(rows):
        raise UsageError(f"--samples {file} names no sample.")
    return np.unique(rows)


def _of_names(features: Artifact, file: Path, names: Sequence[str]) -> np.ndarray:
    """Rows of ids, or of paths that end in one."""
    train, test = (_ids(features, split) for split in ("train", "test"))
    rows: list[int] = []
    unknown: list[str] = []
    tested: list[str] = []
    several: list[str] = []
    for name in names:
        known = _known(name, train)
        if known is not None:
            rows += train[known]
            several += [name] if len(train[known]) > 1 else []
        else:
            (tested if _known(name, test) is not None else unknown).append(name)
    if several:
        raise UsageError(
            f"--samples {file}: {_listed(several)} is the id of more than one training sample: give their row numbers,"
            " as .npz with rows."
        )
    _refuse(file, unknown, tested)
    return np.array(rows, np.int64)


def _ids(features: Artifact, split: str) -> dict[str, list[int]]:
    """Id -> rows of a stored split that were not purged."""
    there = present(features, split)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(arrays.read(features, f"{split}/ids").tolist()):
        if there[row]:
            rows.setdefault(str(name), []).append(row)
    return rows


def _known(name: str, ids: Mapping[str, Sequence[int]]) -> str | None:
    """The id that a name is, or that a path ends in; None where there is none."""
    if name in ids:
        return name
    parts = name.replace("\\", "/").split("/")
    ends = ("/".join(parts[start:]) for start in range(1, len(parts)))
    return next((end for end in ends if end in ids), None)


def _of_arrays(features: Artifact, file: Path, held: Mapping[str, np.ndarray]) -> np.ndarray:
    there = present(features, "train")
    if "rows" in held:
        rows = np.atleast_1d(held["rows"])
        if rows.dtype.kind not in "iu":
            raise ValueError(f"rows are {rows.dtype} and not whole numbers")
        inside = (rows >= 0) & (rows < len(there))
        inside[inside] = there[rows[inside]]
        _refuse(file, [f"row {row}" for row in rows[~inside].tolist()], [])
        return rows.astype(np.int64)
    if "x" not in held:
        raise ValueError(f"it holds {some(sorted(held), SHOWN)}")
    given = np.atleast_2d(held["x"]).astype(np.float32)
    train, test = (_by_content(features, split) for split in ("train", "test"))
    known = [train.get(row.tobytes(), []) for row in given]
    missing = [place for place, places in enumerate(known) if not places]
    tested = [place for place in missing if given[place].tobytes() in test]
    _refuse(
        file,
        [f"row {place} of x" for place in missing if place not in tested],
        [f"row {place} of x" for place in tested],
    )
    return np.array([row for places in known for row in places], np.int64)


def _by_content(features: Artifact, split: str) -> dict[bytes, list[int]]:
    there, rows = present(features, split), dict[bytes, list[int]]()
    for row, content in enumerate(np.ascontiguousarray(arrays.read(features, f"{split}/features"), np.float32)):
        if there[row]:
            rows.setdefault(content.tobytes(), []).append(row)
    return rows


def _refuse(file: Path, unknown: Sequence[str], tested: Sequence[str]) -> None:
    """Raise UsageError where samples are not in the training set."""
    if unknown:
        raise UsageError(
            f"--samples {file}: {len(unknown):,} named there {'is' if len(unknown) == 1 else 'are'} no sample of the"
            f" training set: {_listed(unknown)}. Nothing was forgotten."
        )
    if tested:
        raise UsageError(
            f"--samples {file}: {len(tested):,} named there {'is' if len(tested) == 1 else 'are'} of the test set, from"
            f" which nothing was learned: {_listed(tested)}. Leave {'it' if len(tested) == 1 else 'them'} out."
        )


def _listed(names: Sequence[str]) -> str:
    return some(list(names), SHOWN)
