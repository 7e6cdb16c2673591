"""clip-retrieval's output: `img_emb/*.npy` beside `metadata/*.parquet`, in `train` and `test` or in one folder."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dkvb.errors import DkvbError, UsageError
from dkvb.sources.base import Table

LABELS = ("label", "class", "y")


def read_clip_retrieval(root: Path, holds: str) -> tuple[Table, Table | None]:
    """The training table, and the test table where there is one. Text labels become classes in sorted order.

    Raises:
        UsageError: the folder has no img_emb.
        DkvbError: shards that do not fit each other, or no label column.
    """
    if (root / "train" / "img_emb").is_dir():
        folders = [root / split for split in ("train", "test") if (root / split / "img_emb").is_dir()]
    elif (root / "img_emb").is_dir():
        folders = [root]
    else:
        raise UsageError(f"{root} has neither train.npz nor img_emb; the source 'features' needs {holds}.")
    parts = [(folder, *_read(folder)) for folder in folders]
    names: list[str] | None = None
    if any(y.dtype.kind not in "iu" for _, _, y, _ in parts):
        names = sorted({str(label) for label in parts[0][2].tolist()})
        for folder, _, y, _ in parts:
            if strange := sorted({str(label) for label in y.tolist()} - set(names)):
                raise DkvbError(
                    f"{folder}: no training samples for class '{strange[0]}'; add some, or take the class out."
                )
    place = {name: i for i, name in enumerate(names or [])}
    tables = []
    for folder, x, y, files in parts:
        labels = (
            np.array([place[str(label)] for label in y.tolist()], np.int64) if names is not None else y.astype(np.int64)
        )
        tables.append(Table(folder, x, labels, names, files))
    return tables[0], tables[1] if len(tables) > 1 else None


def _read(folder: Path) -> tuple[np.ndarray, np.ndarray, list[Path]]:
    """(N, D) features, (N,) labels as written, and the files, over the shards in the order of their numbers."""
    arrays, sheets = _shards(folder / "img_emb", ".npy"), _shards(folder / "metadata", ".parquet")
    if not arrays or len(arrays) != len(sheets):
        raise DkvbError(
            f"{folder} has {len(arrays)} img_emb/*.npy and {len(sheets)} metadata/*.parquet; it needs one of each per"
            " shard."
        )
    features = [_array(path) for path in arrays]
    labels = [_labels(path) for path in sheets]
    for path, x, sheet, y in zip(arrays, features, sheets, labels, strict=True):
        if len(x) != len(y):
            raise DkvbError(
                f"{path} has {len(x)} rows and {sheet} has {len(y)}; shards of one number must belong together."
            )
        if x.shape[1] != features[0].shape[1]:
            widths = f"{path} has {x.shape[1]} features a row and {arrays[0]} has {features[0].shape[1]}"
            raise DkvbError(f"{widths}; compute all with one encoder.")
    return np.concatenate(features), np.concatenate(labels), arrays + sheets


def _shards(folder: Path, suffix: str) -> list[Path]:
    def number(path: Path) -> tuple[int, str]:
        digits = re.findall(r"\d+", path.stem)
        return (int(digits[-1]) if digits else -1, path.name)

    return sorted((path for path in folder.glob(f"*{suffix}") if not path.name.startswith(".")), key=number)


def _array(path: Path) -> np.ndarray:
    try:
        x = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DkvbError(f"{path} cannot be read as an array ({error}); copy it again.") from None
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.shape[1] == 0:
        raise DkvbError(f"{path}: features must be an array of shape (N, D).")
    return x


def _labels(path: Path) -> np.ndarray:
    import polars as pl

    try:
        columns = pl.read_parquet_schema(path)
        name = next((name for name in LABELS if name in columns), None)
        if name is None:
            raise DkvbError(
                f"{path} has no column named {' or '.join(LABELS)} (it has {', '.join(columns)}); add one with the"
                " labels."
            )
        column = pl.read_parquet(path, columns=[name])[name]
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DkvbError(f"{path} cannot be read as parquet ({error}); copy it again.") from None
    if column.null_count():
        raise DkvbError(f"{path}: {column.null_count()} rows have no label; remove them or label them.")
    if column.dtype.is_integer():
        return column.cast(pl.Int64).to_numpy()
    if column.dtype not in (pl.String, pl.Categorical):
        raise DkvbError(f"{path}: the column '{name}' is {column.dtype}; labels must be integers or names.")
    return column.cast(pl.String).to_numpy()
