"""Ready-made features: `train.npz` and `test.npz`, arrays with labels beside them, or clip-retrieval's folders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dkvb.errors import DkvbError, some
from dkvb.recipe import Data
from dkvb.sources.base import FeatureSource, FeatureSplit, Table, digest, hold_out
from dkvb.sources.checks import check_classes, check_finite, data_folder
from dkvb.sources.feature_files import find_features, in_words
from dkvb.sources.feature_tables import read_table
from dkvb.sources.images import indices
from dkvb.sources.label_files import class_names
from dkvb.sources.labels import renumber
from dkvb.sources.numbers import doubt_columns
from dkvb.sources.remarks import Remarks
from dkvb.workspace.files import sha256

HOLDS = (
    "a folder with train.npz and test.npz (x and y), with features.npy and labels.npy, or with img_emb/*.npy and"
    " metadata/*.parquet"
)


def open_features(data: Data) -> FeatureSource:
    """Rows in file order. Without a test part, `data.test` of every class is set aside, the same for every run's seed.

    Raises:
        UsageError: the path is missing, a file or empty, holds no features or has more than one reading.
        DkvbError: features, labels or classes are missing, of the wrong shape, not finite, or do not fit each other.
    """
    root = data_folder("features", data.path, HOLDS)
    remarks = Remarks()
    found = find_features(root, data, HOLDS, remarks)
    if said := in_words(found, root):
        remarks.notes.append(said)
    names = class_names(found.names) if found.names else None
    train = read_table(found.train, data, names, remarks)
    test = read_table(found.test, data, names, remarks) if found.test else None
    for table in (train, test) if test else (train,):
        if len(table.x) == 0:
            raise DkvbError(f"{table.where} has no rows; it needs a row of features for each sample.")
    classes, tables = _classes(train, test, listed=names)
    for table in tables.values():
        check_table(table, len(classes))
    doubt_columns(train.x, train.where, remarks)
    splits = _splits(tables, data, remarks.notes)
    labels = {name: split.labels for name, split in splits.items()}
    check_classes(classes, labels, root, remarks.notes, remarks.doubts)
    files = [file for table in tables.values() for file in table.files] + ([found.names] if found.names else [])
    about = ["" if test else repr(data.test_share)]
    if (read_as := (data.labels, data.scale, data.offset)) != ("from-0", None, 0.0):
        about.append(repr(read_as))
    return FeatureSource(
        classes,
        lambda: digest([*about, *(sha256(path) for path in files)]),
        remarks.notes,
        splits,
        doubts=remarks.doubts,
        passed_over=remarks.passed_over,
    )


def _splits(tables: dict[str, Table], data: Data, notes: list[str]) -> dict[str, FeatureSplit]:
    train, test = tables["train"], tables.get("test")
    if test is None:
        kept, aside = hold_out(train.y, data.test_share, "features")
        notes.append(
            f"no test features: split off {data.test_share:.0%} of every class ({len(aside):,} of"
            f" {len(train.y):,} rows) for testing"
        )
        return {
            name: FeatureSplit(indices(rows), train.y[rows], train.x[rows])
            for name, rows in (("train", kept), ("test", aside))
        }
    if train.x.shape[1] != test.x.shape[1]:
        widths = f"{train.where} has {train.x.shape[1]} features a row and {test.where} has {test.x.shape[1]}"
        raise DkvbError(f"{widths}; compute both with one encoder.")
    return {name: FeatureSplit(indices(len(table.y)), table.y, table.x) for name, table in tables.items()}


def check_table(table: Table, classes: int) -> None:
    """Refuse features that are not finite and labels outside [0, classes); blockwise, to bound memory.

    Raises:
        DkvbError: naming the first rows concerned and how many there are.
    """
    outside = np.flatnonzero((table.y < 0) | (table.y >= classes))
    if len(outside):
        row = int(outside[0])
        from_1 = table.y.min() == 1 and table.y.max() == classes
        raise DkvbError(
            f"{table.where}: labels out of range in {len(outside):,} rows (row {row} has {table.y[row]}); there are"
            f" {classes} classes, so labels run from 0 to {classes - 1}."
            + (' If they count from 1, set data.labels to "from-1".' if from_1 else "")
        )
    check_finite(table.x, table.where)


def _classes(train: Table, test: Table | None, listed: list[str] | None) -> tuple[list[str], dict[str, Table]]:
    """Names of all classes, and the tables by split, their labels being places in that list.

    Classes that are listed, or that the labels name; without names, the training labels count them.
    """
    tables = {"train": train} | ({"test": test} if test else {})
    lists = [table.classes for table in tables.values() if table.classes and not table.named]
    if any(other != lists[0] for other in lists):
        wheres = " and ".join(str(table.where) for table in tables.values())
        raise DkvbError(f"{wheres} list different classes; save one list in both, or in train alone.")
    classes = listed or (lists[0] if lists else train.classes)
    if classes is None and not (test and test.named):
        return _counted(train, test), tables
    for name, table in tables.items():
        if table.named and table.classes and classes:
            tables[name] = replace(table, y=renumber(table.y, table.classes, classes, table.where), classes=classes)
        elif not lists and not listed:
            raise DkvbError(
                f"Labels in {table.where} are plain numbers, and others name their classes; save those of train and"
                " test alike."
            )
    return classes or [], tables


def _counted(train: Table, test: Table | None) -> list[str]:
    """Classes named by their numbers, which run from 0 without gaps.

    Raises:
        DkvbError: they do not.
    """
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
        setting = "from-1" if labels[0] == 1 and len(labels) == top else "sparse"
        raise DkvbError(
            f"{train.where}: no training samples for class {gap}, yet labels run up to {top}; number classes without"
            f' gaps, or set data.labels to "{setting}" if they are meant as they are.'
        )
    return [str(i) for i in range(top + 1)]
