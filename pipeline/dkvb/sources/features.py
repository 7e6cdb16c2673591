"""Ready-made features: `train.npz` and `test.npz`, or clip-retrieval's folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dkvb.errors import DkvbError, some
from dkvb.recipe import Data
from dkvb.sources.base import FeatureSource, FeatureSplit, Table, digest, hold_out
from dkvb.sources.checks import check_classes, data_folder, rows_not_finite
from dkvb.sources.clip_retrieval import read_clip_retrieval
from dkvb.sources.images import indices
from dkvb.sources.npz import read_npz
from dkvb.workspace.files import sha256

HOLDS = "a folder with train.npz and test.npz (x and y), or with img_emb/*.npy and metadata/*.parquet"


def open_features(data: Data) -> FeatureSource:
    """Rows in file order. Without a test part, `data.test` of every class is set aside, the same for every run's seed.

    Raises:
        UsageError: the path is missing, a file or empty, or holds neither form.
        DkvbError: x, y or classes are missing, of the wrong shape, not finite, or do not fit each other.
    """
    root = data_folder("features", data.path, HOLDS)
    if (root / "train.npz").is_file():
        train, test = (
            _table(root / "train.npz"),
            (_table(root / "test.npz") if (root / "test.npz").is_file() else None),
        )
    else:
        train, test = read_clip_retrieval(root, HOLDS)
    for table in (train, test) if test else (train,):
        if len(table.x) == 0:
            raise DkvbError(f"{table.where} has no rows; it needs a row of features for each sample.")
    classes = _classes(train, test)
    notes: list[str] = []
    for table in (train, test) if test else (train,):
        check_table(table, len(classes))
    if test is None:
        kept, aside = hold_out(train.y, data.test_share, "features")
        notes.append(
            f"no test features: split off {data.test_share:.0%} of every class ({len(aside):,} of"
            f" {len(train.y):,} rows) for testing"
        )
        splits = {
            name: FeatureSplit(indices(rows), train.y[rows], train.x[rows])
            for name, rows in (("train", kept), ("test", aside))
        }
    else:
        if train.x.shape[1] != test.x.shape[1]:
            widths = f"{train.where} has {train.x.shape[1]} features a row and {test.where} has {test.x.shape[1]}"
            raise DkvbError(f"{widths}; compute both with one encoder.")
        splits = {
            name: FeatureSplit(indices(len(table.y)), table.y, table.x)
            for name, table in (("train", train), ("test", test))
        }
    check_classes(classes, {name: split.labels for name, split in splits.items()}, root, notes)
    files = train.files + (test.files if test else [])
    share = "" if test else repr(data.test_share)
    return FeatureSource(classes, lambda: digest([share, *(sha256(path) for path in files)]), notes, splits)


def _table(path: Path) -> Table:
    """`x (N, D)`, `y (N,)` and optional `classes` of an .npz file."""
    arrays = read_npz(path, ("x", "y"), ("classes",))
    names = arrays.get("classes")
    return Table(path, arrays["x"], arrays["y"], None if names is None else names.tolist(), [path])


def check_table(table: Table, classes: int) -> None:
    """Refuse features that are no finite floats and labels outside [0, classes); blockwise, to bound memory.

    Raises:
        DkvbError: naming the first rows concerned and how many there are.
    """
    if table.x.dtype.kind != "f":
        raise DkvbError(f"{table.where}: features are {table.x.dtype}; save them as float16, float32 or float64.")
    outside = np.flatnonzero((table.y < 0) | (table.y >= classes))
    if len(outside):
        row = int(outside[0])
        raise DkvbError(
            f"{table.where}: labels out of range in {len(outside):,} rows (row {row} has {table.y[row]}); there are"
            f" {classes} classes, so labels run from 0 to {classes - 1}."
        )
    bad = rows_not_finite(table.x)
    if len(bad):
        rows = ", ".join(map(str, bad[:5]))
        raise DkvbError(
            f"{table.where}: NaN or infinite features in {len(bad):,} rows (the first: {rows}); remove those rows."
        )


def _classes(train: Table, test: Table | None) -> list[str]:
    """Names of all classes; without names, the training labels count them."""
    if test and train.classes and test.classes and train.classes != test.classes:
        raise DkvbError(
            f"{train.where} and {test.where} list different classes; save one list in both, or in train alone."
        )
    named = train.classes or (test.classes if test else None)
    if named:
        return named
    labels = np.unique(train.y)
    if test is not None and len(strange := np.setdiff1d(test.y[test.y >= 0], labels)):
        raise DkvbError(
            f"{test.where}: no training samples for class {some(strange)}; add some to {train.where}, or take the class"
            " out."
        )
    top = int(labels.max(initial=-1))
    if len(labels[labels >= 0]) <= top:
        present = set(labels.tolist())
        gap = next(i for i in range(top) if i not in present)
        raise DkvbError(
            f"{train.where}: no training samples for class {gap}, yet labels run up to {top}; number classes without"
            " gaps."
        )
    return [str(i) for i in range(top + 1)]
