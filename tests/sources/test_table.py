"""Tables of features, made by polars, pyarrow and pandas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources import table_files
from dkvb.sources.base import FeatureSource
from dkvb.sources.table import open_table
from source_files import refused

X = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
NAMES = ["u", "v", "w"] * 4


def opened(path: Path, **options: Any) -> FeatureSource:
    return open_table(Data(source="table", path=str(path), **options))


def assert_holds(source: FeatureSource, x: np.ndarray = X, classes: tuple[str, ...] = ("u", "v", "w")) -> None:
    """Rows of both splits are those of `x`, whose class is the row modulo 3."""
    assert source.classes == list(classes)
    seen = []
    for split in source.splits.values():
        rows = [int(id) for id in split.ids]
        seen += rows
        np.testing.assert_array_equal(split.features[:], x[rows])
        assert split.features.dtype == np.float32
        assert split.labels.tolist() == [row % 3 for row in rows]
    assert sorted(seen) == list(range(len(x)))


def by_polars(path: Path) -> None:
    pl.DataFrame(
        {"label": NAMES, "embedding": X}, {"label": pl.Categorical, "embedding": pl.Array(pl.Float32, 4)}
    ).pipe(lambda frame: frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_ipc(path))


def by_pyarrow(path: Path) -> None:
    lists = pa.table({"embedding": X.astype(np.float64).tolist(), "label": pa.array(NAMES).dictionary_encode()})
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(lists, path, row_group_size=5)
    elif path.suffix == ".feather":
        pyarrow.feather.write_feather(lists, str(path))
    else:
        with pa.ipc.new_stream(path, lists.schema) as writer:
            writer.write_table(lists)


def by_pandas(path: Path) -> None:
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(4)])
    frame["age"], frame["label"] = range(12), NAMES
    frame = frame[frame["age"] >= 0].set_axis(range(5, 17))
    if path.suffix == ".csv":
        frame.to_csv(path)
    else:
        frame.to_parquet(path, index=True)


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (by_polars, "a.parquet"),
        (by_polars, "a.arrow"),
        (by_pyarrow, "a.parquet"),
        (by_pyarrow, "a.feather"),
        (by_pyarrow, "stream.arrow"),
        (by_pandas, "a.parquet"),
        (by_pandas, "a.csv"),
    ],
)
def test_each_library_s_files_hold_the_same(
    write: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_files, "BLOCK", 5)
    write(tmp_path / name)
    source = opened(tmp_path / name, test=0.25)
    assert_holds(source)
    if write is by_pandas:
        assert source.notes[:2] == [
            "columns of numbers that are no features: age (x_column in [data] chooses)",
            "features are the 4 columns from 'f0' to 'f3'",
        ]
    by_polars(tmp_path / "same.parquet")
    assert opened(tmp_path / "same.parquet", test=0.25).fingerprint == source.fingerprint


def test_numbered_shards_and_a_test_file(tmp_path: Path) -> None:
    for shard in range(12):  # one row each: as text, shard 10 comes before shard 2
        frame = pl.DataFrame({"y": [shard % 3], "x": X[shard : shard + 1]})
        frame.write_parquet(tmp_path / f"train_{shard}.parquet")
    pl.DataFrame({"y": [0, 1, 2], "x": X[:3] + 1}).write_parquet(tmp_path / "test_0.parquet")
    source = opened(tmp_path)
    np.testing.assert_array_equal(source.splits["train"].features, X)
    np.testing.assert_array_equal(source.splits["test"].features, X[:3] + 1)
    assert (source.classes, source.splits["test"].labels.tolist()) == (["0", "1", "2"], [0, 1, 2])
    pl.DataFrame({"y": ["0"]}).write_csv(tmp_path / "train.csv")
    refused(UsageError, "holds csv and parquet files; keep one kind", "table", tmp_path)


def test_a_split_column_tells_train_and_test_apart(tmp_path: Path) -> None:
    words = ["train"] * 6 + ["test"] * 3 + ["val"] * 3
    pl.DataFrame({"x": X, "label": NAMES, "split": words}).write_parquet(tmp_path / "a.parquet")
    source = opened(tmp_path / "a.parquet")
    np.testing.assert_array_equal(source.splits["train"].features[:], X[:6])
    np.testing.assert_array_equal(source.splits["test"].features[np.array([2, 0])], X[[8, 6]])
    assert source.splits["test"].labels.tolist() == [0, 1, 2]
    assert source.notes == ["3 rows are not used: their column 'split' says neither train nor test"]
    pl.DataFrame({"x": X, "label": NAMES, "split": ["a"] * 12}).write_parquet(tmp_path / "b.parquet")
    refused(DkvbError, r"no row has 'train' in its column 'split' \(it holds a\)", "table", tmp_path / "b.parquet")


def test_columns_are_chosen_by_the_recipe(tmp_path: Path) -> None:
    frame = pl.DataFrame({"clip": X, "dino": -X, "kind": NAMES, **{f"pc{i}": X[:, i] + 1 for i in range(4)}})
    frame.write_parquet(tmp_path / "a.parquet")
    refused(UsageError, r"no column named label.*y_column", "table", tmp_path / "a.parquet")
    refused(UsageError, r"several columns of lists \(clip, dino\)", "table", tmp_path / "a.parquet", y_column="kind")
    for x_column, x in (("clip", X), ("dino", -X), ("pc", X + 1)):
        assert_holds(opened(tmp_path / "a.parquet", y_column="kind", x_column=x_column, test=0.25), x)
    wrong = {"y_column": "kind", "x_column": "vit"}
    refused(UsageError, r"neither a column 'vit' .* are pc0, pc1, pc2, pc3", "table", tmp_path / "a.parquet", **wrong)


def test_integers_need_a_scale_and_others_have_none(tmp_path: Path) -> None:
    whole = np.round(X * 50).astype(np.int8)
    pl.DataFrame({"x": whole, "label": NAMES}).write_parquet(tmp_path / "a.parquet")
    refused(UsageError, "features are integers; say what they are worth", "table", tmp_path / "a.parquet")
    source = opened(tmp_path / "a.parquet", scale=0.5, offset=3.0, test=0.25)
    assert_holds(source, ((whole.astype(np.float32) + 3) * 0.5).astype(np.float32))
    by_polars(tmp_path / "b.parquet")
    refused(UsageError, "features are no integers", "table", tmp_path / "b.parquet", scale=2.0)


def test_sparse_numbers_are_classes_named_by_themselves(tmp_path: Path) -> None:
    pl.DataFrame({"x": X, "label": [7, 40, 900] * 4}).write_parquet(tmp_path / "a.parquet")
    assert_holds(opened(tmp_path / "a.parquet", labels="sparse", test=0.25), classes=("7", "40", "900"))
    refused(DkvbError, "no training samples for class 0.*up to 900", "table", tmp_path / "a.parquet")


def test_what_cannot_be_used_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"

    def bad(kind: type[DkvbError], match: str, **columns: Any) -> None:
        pl.DataFrame({"x": X.tolist(), "label": NAMES} | columns, strict=False).write_parquet(path)
        refused(kind, match, "table", path)

    bad(DkvbError, "row 3 has 2 numbers where others have 4", x=[*X[:3].tolist(), [1.0, 2.0], *X[4:].tolist()])
    bad(DkvbError, "row 3 is missing where others have 4", x=[*X[:3].tolist(), None, *X[4:].tolist()])
    bad(DkvbError, "row 2 lacks numbers", x=[*X[:2].tolist(), [1.0, None, 2.0, 3.0], *X[3:].tolist()])
    bad(DkvbError, r"NaN or infinite features in 1 rows \(the first: 11\)", x=[*X[:11].tolist(), [np.inf] * 4])
    bad(DkvbError, r"1 rows have no label \(the first: 4\)", label=[*NAMES[:4], None, *NAMES[5:]])
    bad(UsageError, "holds lists of String", x=[["a"] * 4] * 12)
    path.write_bytes(path.read_bytes()[:-20])
    refused(DkvbError, "cannot be read as parquet", "table", path)
    (tmp_path / "a.csv").write_text("f0,f1,label\n" + "0.5,1,u\n" * 1500 + "oops,2,v\n")
    refused(DkvbError, "cannot be read as csv", "table", tmp_path / "a.csv")
    (tmp_path / "gap.csv").write_text("f0,f1,label\n0.5,1,u\n0.5,,v\n")
    refused(DkvbError, "row 1 has no number in column 'f1'", "table", tmp_path / "gap.csv")
    (tmp_path / "words.csv").write_text("a,label\nb,u\n")
    refused(UsageError, "no columns of numbers that could be features", "table", tmp_path / "words.csv")
