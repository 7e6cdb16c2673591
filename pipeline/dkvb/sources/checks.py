"""Refusals and notes that every source shares: paths that are not there, classes that cannot be learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dkvb.errors import DkvbError, UsageError, some


def data_path(source: str, path: str | None, holds: str) -> Path:
    """The existing path of a source that needs one.

    Raises:
        UsageError: none is set, or nothing is there.
    """
    if path is None:
        raise UsageError(f"The source '{source}' needs data.path: set it to {holds} (or pass --data-root).")
    found = Path(path).expanduser()
    if not found.exists():
        raise UsageError(f"data.path {found} does not exist; set it to {holds} (or pass --data-root).")
    return found


def data_folder(source: str, path: str | None, holds: str) -> Path:
    """Like `data_path`, and a folder with something in it."""
    found = data_path(source, path, holds)
    if not found.is_dir():
        raise UsageError(f"data.path {found} is a file; the source '{source}' needs {holds}.")
    if not any(found.iterdir()):
        raise UsageError(f"data.path {found} is empty; the source '{source}' needs {holds}.")
    return found


def check_classes(classes: Sequence[str], labels: Mapping[str, np.ndarray], where: object, notes: list[str]) -> None:
    """Refuse fewer than two classes, repeated names, and classes without training rows; note classes without test rows.

    Args:
        labels: split name to (N,) integers in [0, len(classes)).
    """
    if len(classes) < 2:
        only = f" ('{classes[0]}')" if classes else ""
        raise DkvbError(f"{where} has only {len(classes)} class{only}; forgetting a class needs two or more.")
    if repeated := sorted({name for name in classes if classes.count(name) > 1}):
        raise DkvbError(f"{where}: the class name {some(repeated)} stands for several classes; give each its own name.")
    counts = {split: np.bincount(rows, minlength=len(classes)) for split, rows in labels.items()}
    if untrained := [classes[i] for i in np.flatnonzero(counts["train"] == 0).tolist()]:
        raise DkvbError(
            f"{where}: no training samples for class {some(untrained)}; add some, or take the class out of both splits."
        )
    if untested := [classes[i] for i in np.flatnonzero(counts["test"] == 0).tolist()]:
        notes.append(f"no test samples for class {some(untested)}: its test accuracy is undefined")


BLOCK = 8192
"""Rows looked at together, so that what a check needs does not grow with the data."""


def rows_not_finite(x: np.ndarray) -> np.ndarray:
    """Rows of features (N, D) that hold NaN or infinite values."""
    blocks = range(0, len(x), BLOCK)
    bad = [start + np.flatnonzero(~np.isfinite(x[start : start + BLOCK]).all(axis=1)) for start in blocks]
    return np.concatenate(bad) if bad else np.empty(0, np.int64)
