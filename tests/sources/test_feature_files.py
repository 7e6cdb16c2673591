"""Folders of features in every layout: which file is read as what, in which order, and which are refused or left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources.base import FeatureSource
from dkvb.sources.opening import open_source
from source_files import refused


def rows(start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (count, 3) that tell their row, and labels by row."""
    at = np.arange(start, start + count)
    return np.stack([at, -at, at % 2], 1).astype(np.float32), at % 2


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".parquet":
        column = {"x": values.tolist()} if values.ndim == 2 else {"label": values}
        pl.DataFrame(column).write_parquet(path)
    else:
        header = "label\n" if path.suffix == ".csv" else ""
        path.write_text(header + "".join(f"{value}\n" for value in values), encoding="utf-8")


def layout(root: Path, *pairs: tuple[str, str], count: int = 6) -> Path:
    """Pairs of files, `count` rows each, whose values count on; a pair of .npz or .parquet alike is one file."""
    for place, (features, labels) in enumerate(pairs):
        x, y = rows(place * count, count)
        path = root / features
        path.parent.mkdir(parents=True, exist_ok=True)
        if features == labels and path.suffix == ".npz":
            np.savez(path, x=x, y=y)
        elif features == labels:
            pl.DataFrame({"embedding": x.tolist(), "label": y}).write_parquet(path)
        else:
            write(path, x)
            write(root / labels, y)
    return root


def opened(root: Path, **settings) -> FeatureSource:
    return open_source(Data(source="features", path=str(root), **settings))


def both(name: str) -> tuple[str, str]:
    return name, name


SPLIT = {
    "names": [("X_train.npy", "y_train.npy"), ("X_test.npy", "y_test.npy")],
    "roles": [("train_features.npy", "train_labels.txt"), ("Testing_features.npy", "Testing_labels.csv")],
    "folders": [("train/features.npy", "train/labels.npy"), ("val/features.npy", "val/labels.parquet")],
    "roles are folders": [("embeddings/train.npy", "labels/train.npy"), ("embeddings/dev.npy", "labels/dev.npy")],
    "joined": [("xtrain.npy", "ytrain.npy"), ("xval.npy", "yval.npy")],
    "npz": [both("my_training.npz"), both("my_validation.npz")],
    "npz in folders": [both("train/a.npz"), both("eval/a.npz")],
    "parquet": [both("train-0.parquet"), both("test-0.parquet")],
    "parquet apart": [("x_train.parquet", "y_train.parquet"), ("x_test.parquet", "y_test.parquet")],
    "train bears no name": [("features.npy", "labels.npy"), ("test_features.npy", "test_labels.npy")],
    "unnamed arrays": [("train.npy", "train_labels.npy"), ("test.npy", "test_labels.npy")],
    "clip-retrieval": [
        ("train/img_emb/img_emb_0.npy", "train/metadata/metadata_0.parquet"),
        ("VAL/img_emb/img_emb_0.npy", "VAL/metadata/metadata_0.parquet"),
    ],
}


@pytest.mark.parametrize("kind", SPLIT)
def test_layouts_with_two_splits(tmp_path: Path, kind: str) -> None:
    source = opened(layout(tmp_path, *SPLIT[kind]))
    for place, split in enumerate(("train", "test")):
        x, y = rows(place * 6, 6)
        assert source.splits[split].features.tolist() == x.tolist()
        assert source.splits[split].labels.tolist() == y.tolist()
    first, second = (Path(features).as_posix() for features, _ in SPLIT[kind])
    assert source.notes[0].startswith(f"train: {first}")
    assert f"; test: {second}" in source.notes[0]
    assert source.passed_over == {}


PARTS = {
    "arrays": [("features_000.npy", "labels_0.npy"), ("features_002.npy", "labels_2.npy")],
    "more than nine": [(f"x-{n}.npy", f"y-{n:03d}.txt") for n in (2, 9, 10, 11)],
    "npz": [both(f"part_{n}.npz") for n in (1, 2, 10)],
    "npz of train": [both(f"train_{n:03d}.npz") for n in (0, 1)],
    "parquet": [both(f"x-{n}.parquet") for n in (0, 1)],
    "by name": [("img_emb/a.npy", "metadata/a.parquet"), ("img_emb/b.npy", "metadata/b.parquet")],
}


@pytest.mark.parametrize("kind", PARTS)
def test_parts_come_in_the_order_of_their_numbers_with_their_own_labels(tmp_path: Path, kind: str) -> None:
    source = opened(layout(tmp_path, *PARTS[kind]), test=0.25)
    x, y = rows(0, 6 * len(PARTS[kind]))
    ids = [*source.splits["train"].ids, *source.splits["test"].ids]
    features = np.concatenate([source.splits[split].features for split in ("train", "test")])
    labels = np.concatenate([source.splits[split].labels for split in ("train", "test")])
    order = np.argsort([int(id) for id in ids])
    assert features[order].tolist() == x.tolist()
    assert labels[order].tolist() == y.tolist()
    assert f"({len(PARTS[kind])} files)" in source.notes[0]


def test_a_list_of_classes_names_them(tmp_path: Path) -> None:
    layout(tmp_path, *SPLIT["names"])
    (tmp_path / "classes.txt").write_text("zebra\nant\n", encoding="utf-8")
    source = opened(tmp_path)
    assert source.classes == ["zebra", "ant"]
    assert source.notes[0].endswith("; class names: classes.txt")
    fingerprint = source.fingerprint
    for name in ("y_train.npy", "y_test.npy"):
        np.save(tmp_path / name, np.array(["zebra", "ant"])[np.load(tmp_path / name)])
    named = opened(tmp_path)
    assert (named.classes, named.splits["train"].labels.tolist()) == (["zebra", "ant"], [0, 1] * 3)
    assert named.fingerprint != fingerprint
    (tmp_path / "classes.txt").write_text("zebra\ncow\n", encoding="utf-8")
    refused(DkvbError, "labels that are not among the listed classes: ant", "features", tmp_path)


def test_what_is_not_used_is_counted_by_reason(tmp_path: Path) -> None:
    layout(tmp_path, *SPLIT["names"], ("X_val.npy", "y_val.npy"))
    for name in ("readme.md", "notes.md", "log.txt", ".DS_Store"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    np.save(tmp_path / "permutation.npy", np.arange(9))
    (tmp_path / "old").mkdir()
    over = opened(tmp_path).passed_over
    assert {reason: (of.count, of.example) for reason, of in over.items()} == {
        "in a folder of another name": (1, "old/"),
        "left by the operating system": (1, ".DS_Store"),
        "no features or labels (.md)": (2, "notes.md"),
        "neither features nor labels by name (.txt)": (1, "log.txt"),
        "neither features nor labels by name (.npy)": (1, "permutation.npy"),
        "of a held-out set beside test": (2, "X_val.npy"),
    }


def test_train_and_test_may_be_named(tmp_path: Path) -> None:
    root = layout(tmp_path / "d", ("clip_features.npy", "labels.npy"), ("other_features.npy", "labels.npy"))
    refused(DkvbError, "has no labels|has no features", "features", root)
    source = opened(root, train="clip_features.npy", test=0.5)
    assert sorted(source.splits["train"].features[:, 0].tolist() + source.splits["test"].features[:, 0].tolist()) == [
        *range(6)
    ]
    elsewhere = layout(tmp_path / "e", ("f.npz", "f.npz"), ("g.npz", "g.npz"))
    source = opened(root, train=str(elsewhere / "g.npz"), test=str(elsewhere / "f.npz"))
    assert source.splits["train"].features[:, 0].tolist() == [*range(6, 12)]
    assert source.splits["test"].features[:, 0].tolist() == [*range(6)]
    folders = layout(tmp_path / "f", ("one/x.npy", "one/y.npy"), ("two/x.npy", "two/y.npy"))
    source = opened(folders, train="two", test="one")
    assert source.splits["train"].features[0, 0] == 6
    refused(UsageError, "data.train three does not exist", "features", folders, train="three")
    refused(UsageError, "y.npy is no file of features", "features", folders, train="one/y.npy")


UNCLEAR = {
    "two sets": ([both("clip.npz"), both("dino.npz")], "as one set of clip.npz, dino.npz, or as one of them alone"),
    "whole and numbered": ([both("train.npz"), both("train_0.npz")], "one set of train.npz, train_0.npz"),
    "npz and arrays": ([both("all.npz"), ("x.npy", "y.npy")], "can be read as all.npz, .*or as x.npy with labels"),
    "npz and img_emb": (
        [both("train.npz"), ("img_emb/img_emb_0.npy", "metadata/metadata_0.parquet")],
        "can be read as train.npz or as img_emb with metadata",
    ),
    "two held-out sets": (
        [("x_train.npy", "y_train.npy"), ("x_val.npy", "y_val.npy"), ("x_eval.npy", "y_eval.npy")],
        "which of eval, val is the test set",
    ),
    "no train": ([("x_test.npy", "y_test.npy")], "features of a test set .x_test.npy. and none to train on"),
}


@pytest.mark.parametrize("kind", UNCLEAR)
def test_an_unclear_folder_is_refused_with_its_readings(tmp_path: Path, kind: str) -> None:
    pairs, says = UNCLEAR[kind]
    refused(UsageError, says, "features", layout(tmp_path, *pairs))


def test_labels_of_another_length_or_missing_are_named_with_both_files(tmp_path: Path) -> None:
    layout(tmp_path, *SPLIT["names"])
    np.save(tmp_path / "y_test.npy", np.zeros(5, int))
    refused(DkvbError, "X_test.npy has 6 rows and .*y_test.npy has 5 labels", "features", tmp_path)
    (tmp_path / "y_test.npy").unlink()
    refused(DkvbError, r"X_test.npy in .* has no labels: .*such as labels.npy", "features", tmp_path)
    for name in ("X_test.npy", "X_train.npy"):
        (tmp_path / name).unlink()
    refused(DkvbError, r"has labels \(y_train.npy\) and no features", "features", tmp_path)
    np.save(tmp_path / "X_train.npy", np.array([[{}]], object))
    refused(
        DkvbError,
        "X_train.npy cannot be read .*names as np.array.names, dtype=str.",
        "features",
        tmp_path,
    )
