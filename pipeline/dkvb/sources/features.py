"""Ready-made features: `train.npz` and `test.npz`, or clip-retrieval's folders."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from dkvb.errors import DkvbError
from dkvb.recipe import Data
from dkvb.sources.base import FeatureSource, FeatureSplit, Table, digest, hold_out
from dkvb.sources.checks import check_classes, data_folder, some
from dkvb.sources.clip_retrieval import read_clip_retrieval
from dkvb.sources.images import indices
from dkvb.workspace.files import sha256

HOLDS = "a folder with train.npz and test.npz (x and y), or with img_emb/*.npy and metadata/*.parquet"


BLOCK = 8192


def open_features(data: Data) -> FeatureSource:
    """Rows in file order. Without a test part, `data.test` of every class is set aside, the same for every run's seed.

    Raises:
        UsageError: the path is missing, a file or empty, or holds neither form.
        DkvbError: x, y or classes are missing, of the wrong shape, not finite, or do not fit each other.
    """
    root = data_folder("features", data.path, HOLDS)
    if (root / "train.npz").is_file():
        train, test = (
            read_npz(root / "train.npz"),
            (read_npz(root / "test.npz") if (root / "test.npz").is_file() else None),
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
        kept, aside = hold_out(train.y, data.test, "features")
        notes.append(
            f"no test features: split off {data.test:.0%} of every class ({len(aside):,} of {len(train.y):,} rows) for"
            " testing"
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
    share = "" if test else repr(data.test)
    return FeatureSource(classes, lambda: digest([share, *(sha256(path) for path in files)]), notes, splits)


def read_npz(path: Path) -> Table:
    """`x (N, D)`, `y (N,)` and optional `classes` of an .npz file; objects in it are never unpickled.

    Raises:
        DkvbError: not an .npz file, truncated, or without x or y.
    """
    if not zipfile.is_zipfile(path):
        raise DkvbError(
            f"{path} is not an .npz file or is truncated; save it with np.savez(path, x=features, y=labels), or copy it"
            " again."
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            if missing := [name for name in ("x", "y") if name not in archive.files]:
                held = ", ".join(archive.files) or "nothing"
                raise DkvbError(
                    f"{path} has no {' and no '.join(missing)} (it holds {held}); it needs x (N, D) and y (N,)."
                )
            x, y = archive["x"], archive["y"]
            names = archive["classes"] if "classes" in archive.files else None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        objects = " Save plain arrays of numbers or strings, not dtype=object." if "allow_pickle" in str(error) else ""
        raise DkvbError(
            f"{path} cannot be read as .npz ({str(error) or type(error).__name__}).{objects} Save or copy it again."
        ) from None
    if names is not None and (names.ndim != 1 or names.dtype.kind not in "US"):
        raise DkvbError(f"{path}: classes must be a list of names, not {names.dtype} of shape {names.shape}.")
    listed = (
        None if names is None else [name.decode() if isinstance(name, bytes) else str(name) for name in names.tolist()]
    )
    if x.ndim != 2 or x.shape[1] == 0:
        raise DkvbError(f"{path}: x has shape {x.shape}; it must be (N, D), a row of features for each sample.")
    if y.ndim != 1 or len(y) != len(x):
        raise DkvbError(f"{path}: y has shape {y.shape} and x {x.shape}; y must be (N,), a label for each row of x.")
    if y.dtype.kind not in "iu":
        raise DkvbError(f"{path}: y is {y.dtype}; labels must be integers, counted from 0.")
    return Table(path, x, y.astype(np.int64), listed, [path])


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
    blocks = range(0, len(table.x), BLOCK)
    bad = np.concatenate(
        [start + np.flatnonzero(~np.isfinite(table.x[start : start + BLOCK]).all(axis=1)) for start in blocks]
    )
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
