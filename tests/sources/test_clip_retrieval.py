"""clip-retrieval's shards: in the order of their numbers, with labels from the metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dkvb.errors import DkvbError
from dkvb.recipe import Data
from dkvb.sources.opening import open_source
from source_files import refused


def clip_retrieval(root: Path, shards: dict[int, int], labels, column="label", width=5) -> np.ndarray:
    """Shards of these lengths, whose rows count up; labels(row) labels them."""
    import polars as pl

    (root / "img_emb").mkdir(parents=True)
    (root / "metadata").mkdir()
    start, written = 0, []
    for number, count in sorted(shards.items()):
        rows = np.arange(start, start + count)
        written.append(np.repeat(rows[:, None], width, 1).astype(np.float16))
        np.save(root / "img_emb" / f"img_emb_{number}.npy", written[-1])
        pl.DataFrame(
            {"image_path": [f"{row}.jpg" for row in rows], column: [labels(row) for row in rows]}
        ).write_parquet(root / "metadata" / f"metadata_{number}.parquet")
        start += count
    return np.concatenate(written)


def test_clip_retrieval_shards_in_order_of_number(tmp_path):
    x = clip_retrieval(tmp_path / "train", {2: 4, 10: 6}, lambda row: ["dog", "cat"][row % 2])
    clip_retrieval(tmp_path / "test", {0: 3}, lambda row: "dog", column="class")
    source = open_source(Data(source="features", path=str(tmp_path)))
    assert source.classes == ["cat", "dog"]
    assert (source.splits["train"].features == x).all()
    assert source.splits["train"].labels.tolist() == [1, 0] * 5
    assert source.splits["test"].labels.tolist() == [1, 1, 1]
    assert source.notes == [
        "train: train/img_emb/img_emb_2.npy … img_emb_10.npy (2 files) with labels of train/metadata/metadata_2.parquet"
        " … metadata_10.parquet (2 files); test: test/img_emb/img_emb_0.npy with labels of test/metadata/"
        "metadata_0.parquet",
        "no test samples for class cat: its test accuracy is undefined",
    ]


def test_clip_retrieval_without_splits(tmp_path):
    clip_retrieval(tmp_path, {0: 10}, lambda row: row % 2, column="y")
    source = open_source(Data(source="features", path=str(tmp_path), test=0.2))
    assert source.classes == ["0", "1"]
    assert len(source.splits["test"]) == 2
    assert "no test features" in source.notes[1]


def test_clip_retrieval_refusals(tmp_path):
    clip_retrieval(tmp_path / "a", {0: 4}, lambda row: row % 2, column="caption")
    refused(DkvbError, "no column named label or class or y .it has image_path, caption", "features", tmp_path / "a")
    clip_retrieval(tmp_path / "b", {0: 4}, lambda row: row / 2)
    refused(DkvbError, "labels must be integers or names", "features", tmp_path / "b")
    clip_retrieval(tmp_path / "n", {0: 4}, lambda row: None if row else "a")
    refused(DkvbError, "3 rows have no label", "features", tmp_path / "n")
    clip_retrieval(tmp_path / "c", {0: 4, 1: 4}, lambda row: row % 2)
    np.save(tmp_path / "c" / "img_emb" / "img_emb_1.npy", np.ones((3, 5)))
    refused(DkvbError, "has 3 rows and .* has 4", "features", tmp_path / "c")
    np.save(tmp_path / "c" / "img_emb" / "img_emb_1.npy", np.ones((4, 6)))
    refused(DkvbError, "6 features a row and .* has 5", "features", tmp_path / "c")
    (tmp_path / "c" / "metadata" / "metadata_1.parquet").write_bytes(b"junk")
    refused(DkvbError, "cannot be read as parquet", "features", tmp_path / "c")
    (tmp_path / "c" / "metadata" / "metadata_1.parquet").unlink()
    said = r"img_emb_1.npy has no labels of its number .*metadata_0.parquet; there are 2 of features and 1 of labels"
    refused(DkvbError, said, "features", tmp_path / "c")
    for file in (tmp_path / "c" / "metadata").iterdir():
        file.unlink()
    refused(DkvbError, "img_emb_0.npy … img_emb_1.npy .2 files. .*one of each per shard", "features", tmp_path / "c")
    clip_retrieval(tmp_path / "d" / "train", {0: 4}, lambda row: "ab"[row % 2])
    clip_retrieval(tmp_path / "d" / "test", {0: 4}, lambda row: "c")
    refused(DkvbError, "no training samples for class 'c'", "features", tmp_path / "d")
