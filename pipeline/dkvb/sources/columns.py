"""The usual names: which column holds features, images, labels or the split, and which files are for training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from dkvb.errors import UsageError, nearest
from dkvb.sources.roles import TRAIN, role_of

Split = Literal["train", "test", "validation"]

LABELS = (
    "label",
    "labels",
    "class",
    "target",
    "y",
    "category",
    "class_name",
    "classname",
    "fine_label",
    "coarse_label",
)
IMAGES = ("image", "img", "picture", "photo", "pixels")
PATHS = ("path", "file", "filename", "file_name", "image", "image_path", "img", "img_path", "filepath", "file_path")
FEATURES = ("embedding", "embeddings", "features", "feature", "x", "vector", "emb", "clip_embedding")
SPLITS = ("split", "subset", "partition", "fold")
ROW_NAMES = ("", "id", "index", "idx", "row", "row_id", "__index_level_0__", "unnamed: 0", "column_0")
"""Columns that number rows, as pandas and others leave them: never features."""


def split_of(name: str) -> Split | None:
    """The split that a name speaks of (`train-00000-of-00002`, `cifar10_val`)."""
    role = role_of(name)
    if role is None:
        return None
    return "train" if role == TRAIN else "test" if role == "test" else "validation"


def usual(columns: Iterable[str], names: Sequence[str]) -> str | None:
    """The column whose name is the first of `names` that any has, whatever its case."""
    by_name = {column.lower(): column for column in reversed(list(columns))}
    return next((by_name[name] for name in names if name in by_name), None)


def chosen(columns: Iterable[str], wanted: str, key: str, where: object) -> str:
    """The column that a recipe names.

    Args:
        key: the recipe's key, for messages.

    Raises:
        UsageError: there is none; names the nearest.
    """
    columns = list(columns)
    if wanted not in columns:
        raise UsageError(f"{where} has no column '{wanted}' (data.{key}){nearest(wanted, columns)}")
    return wanted


def label_column(columns: Iterable[str], wanted: str | None, where: object, names: Sequence[str] = LABELS) -> str:
    """The column of labels: the recipe's, else the one with a usual name.

    Raises:
        UsageError: there is none.
    """
    columns = list(columns)
    if wanted is not None:
        return chosen(columns, wanted, "y_column", where)
    if (found := usual(columns, names)) is None:
        raise UsageError(
            f"{where} has no column named {', '.join(names[:5])} or the like (it has {', '.join(columns)}); say which"
            " one holds the labels: y_column in [data]."
        )
    return found
