"""Refusals and notes that every source shares: paths that are not there, classes that cannot be learned."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dkvb.errors import DkvbError, UsageError, some
from dkvb.sources.numbers import blocks
from dkvb.sources.text import decoded


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


def check_classes(
    classes: Sequence[str],
    labels: Mapping[str, np.ndarray],
    where: object,
    notes: list[str],
    doubts: list[str] | None = None,
) -> None:
    """Refuse fewer than two classes, names that cannot be told apart or read, and classes without training rows.

    Notes classes without test rows; doubts (without a list of doubts: notes) names that a person would call one.

    Args:
        labels: split name to (N,) integers in [0, len(classes)).
    """
    if len(classes) < 2:
        only = f" ('{classes[0]}')" if classes else ""
        raise DkvbError(f"{where} has only {len(classes)} class{only}; forgetting a class needs two or more.")
    check_names(classes, where, notes if doubts is None else doubts)
    counts = {split: np.bincount(rows, minlength=len(classes)) for split, rows in labels.items()}
    if untrained := [classes[i] for i in np.flatnonzero(counts["train"] == 0).tolist()]:
        raise DkvbError(
            f"{where}: no training samples for class {some(untrained)}; add some, or take the class out of both splits."
        )
    if untested := [classes[i] for i in np.flatnonzero(counts["test"] == 0).tolist()]:
        notes.append(f"no test samples for class {some(untested)}: its test accuracy is undefined")


def check_names(classes: Sequence[str], where: object, doubts: list[str]) -> None:
    """Refuse class names that are repeated, empty or no text; doubt those that differ as no person would tell.

    Raises:
        DkvbError: naming them.
    """
    for name in classes:
        decoded(name, where)
    if any(not name.strip() for name in classes):
        raise DkvbError(
            f"{where}: class {[not name.strip() for name in classes].index(True)} has an empty name; name it."
        )
    times = Counter(classes)
    if repeated := sorted(name for name, count in times.items() if count > 1):
        raise DkvbError(f"{where}: the class name {some(repeated)} stands for several classes; give each its own name.")
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        alike[folded(name)].append(name)
    for names in alike.values():
        if len(names) > 1:
            listed = some([ascii(name) for name in names])
            doubts.append(
                f"{where}: the classes {listed} differ only in spaces, case or the form of their letters, and stay"
                f" {len(names)} classes; give one class one name"
            )


def folded(name: str) -> str:
    """A name without what a person does not see in it: case, forms of Unicode, spaces but for one between words."""
    seen = "".join(letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", seen.casefold()).split())


def rows_not_finite(x: np.ndarray) -> np.ndarray:
    """Rows of features (N, D) that hold NaN or infinite values."""
    bad = [rows.start + np.flatnonzero(~np.isfinite(block).all(axis=1)) for rows, block in blocks(x)]
    return np.concatenate(bad) if bad else np.empty(0, np.int64)


def check_finite(x: np.ndarray, where: object) -> None:
    """Refuse features (N, D) that are not finite; blockwise, to bound memory.

    Raises:
        DkvbError: naming the first rows concerned and how many there are.
    """
    if len(bad := rows_not_finite(x)):
        rows = ", ".join(map(str, bad[:5]))
        raise DkvbError(
            f"{where}: NaN or infinite features in {len(bad):,} rows (the first: {rows}); remove those rows."
        )
