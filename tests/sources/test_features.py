"""Features from npz files: rows, labels and names, and every refusal."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from conftest import SHARED, needs_shared
from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources.base import FeatureSource, digest
from dkvb.sources.npz import UnreadableFeatures
from dkvb.sources.opening import open_source
from source_files import refused


def arrays(n=40, d=6, classes=4, seed=0, dtype=np.float32):
    return {"x": np.random.default_rng(seed).normal(size=(n, d)).astype(dtype), "y": np.arange(n) % classes}


def features(root: Path, train=None, test=None, share=0.2) -> FeatureSource:
    root.mkdir(exist_ok=True)
    np.savez(root / "train.npz", **(train or arrays()))
    if test is not False:
        np.savez(root / "test.npz", **(test or arrays(12, seed=1)))
    return open_source(Data(source="features", path=str(root), test=share))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_features(tmp_path, dtype):
    train = arrays(dtype=dtype)
    source = features(tmp_path, {**train, "classes": np.array(["ä", "b", "c", "d"])})
    assert source.classes == ["ä", "b", "c", "d"]
    assert source.dim == 6
    assert source.notes == []
    split = source.splits["train"]
    assert (split.features == train["x"]).all()
    assert split.features.dtype == dtype
    assert split.labels.dtype == np.int64
    assert split.ids[11] == "11"
    assert len(source.splits["test"]) == 12
    assert source.fingerprint != features(tmp_path, train).fingerprint
    assert features(tmp_path, train).classes == ["0", "1", "2", "3"]


def test_features_without_test_set_a_share_aside(tmp_path):
    train = arrays()
    source = features(tmp_path, train, False, share=0.3)
    kept, aside = source.splits["train"], source.splits["test"]
    assert np.bincount(aside.labels).tolist() == [3, 3, 3, 3]
    assert sorted(map(int, [*kept.ids, *aside.ids])) == list(range(40))
    assert all((train["x"][int(id)] == row).all() for id, row in zip(aside.ids, aside.features, strict=True))
    assert "split off 30% of every class (12 of 40 rows)" in source.notes[0]
    assert source.fingerprint != features(tmp_path, train, False, share=0.2).fingerprint


def test_fingerprints_are_those_of_version_0_1(tmp_path):
    features(tmp_path)
    hashes = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("train.npz", "test.npz")]
    data = Data(source="features", path=str(tmp_path))
    assert open_source(data).fingerprint == digest(["", *hashes])
    (tmp_path / "test.npz").unlink()
    assert open_source(data).fingerprint == digest(["0.2", hashes[0]])
    np.savez(tmp_path / "train.npz", **{**arrays(), "y": np.arange(40) % 4 + 1})
    refused(DkvbError, 'no training samples for class 0, .*set data.labels to "from-1"', "features", tmp_path)
    read = [open_source(data.model_copy(update={"labels": how})) for how in ("from-1", "sparse")]
    assert [source.classes for source in read] == [["0", "1", "2", "3"], ["1", "2", "3", "4"]]
    assert read[0].splits["train"].labels.tolist() == read[1].splits["train"].labels.tolist()
    assert len({source.fingerprint for source in read} | {digest(["0.2", hashes[0]])}) == 3


def test_labels_of_train_and_test_are_of_one_list(tmp_path):
    names = np.array(["b", "c", "a", "d"])
    x = arrays()["x"]
    y = names[np.arange(40) % 4]
    source = features(tmp_path / "n", {"x": x, "y": y}, {"x": x[:3], "y": np.array(["d", "b", "b"])})
    assert source.classes == ["a", "b", "c", "d"]
    assert source.splits["train"].labels[:4].tolist() == [1, 2, 0, 3]
    assert source.splits["test"].labels.tolist() == [3, 1, 1]
    listed = features(tmp_path / "l", {"x": x, "y": y, "classes": names}, {"x": x[:3], "y": np.array(["d", "b", "b"])})
    assert listed.classes == names.tolist()
    assert listed.splits["train"].labels[:4].tolist() == [0, 1, 2, 3]
    assert listed.splits["test"].labels.tolist() == [3, 0, 0]
    with pytest.raises(DkvbError, match="test.npz: no training samples for class 'e'"):
        features(tmp_path / "s", {"x": x, "y": y}, {"x": x[:1], "y": np.array(["e"])})
    with pytest.raises(DkvbError, match="Labels in .*test.npz are plain numbers, and others name their classes"):
        features(tmp_path / "m", {"x": x, "y": y}, {"x": x[:1], "y": np.array([0])})


def bad(**changes):
    return {**arrays(), **changes}


nan = arrays()["x"].copy()


nan[[3, 20], 2] = np.nan, np.inf


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ({"y": np.arange(4)}, None, "has no x"),
        ({"x": np.ones((4, 2))}, None, "has no y"),
        (bad(x=np.ones(40)), None, r"x has shape \(40,\)"),
        (bad(y=np.arange(39)), None, r"y has shape \(39,\)"),
        (bad(y=np.ones((40, 2), int)), None, r"40 rows are not one-hot \(row 0 has 2 ones among 2 values"),
        (bad(y=np.ones((40, 1, 1), int)), None, r"labels have shape \(40, 1, 1\)"),
        (
            bad(y=np.arange(40) % 4 / 2),
            None,
            r"20 rows hold no whole number \(row 1 has 0.5\); labels must",
        ),
        (bad(y=np.r_[-1, np.arange(39) % 4]), None, "train.npz: labels out of range in 1 rows"),
        (bad(classes=np.array(["a", "b", "c"])), None, r"labels out of range in 10 rows \(row 3 has 3\)"),
        (None, bad(y=np.full(40, 7)), "test.npz: no training samples for class 7"),
        (bad(y=np.arange(40) % 4 * 2), None, "no training samples for class 1"),
        (bad(classes=np.array(list("abcde"))), None, "no training samples for class e"),
        (bad(classes=np.array(list("abca"))), None, "the class name a stands for several classes"),
        (
            bad(classes=np.array(list("abcd"))),
            {**arrays(8), "classes": np.array(list("dcba"))},
            "list different classes",
        ),
        (None, arrays(12, d=5), "6 features a row and .* has 5"),
        (bad(x=nan), None, r"NaN or infinite features in 2 rows \(the first: 3, 20\)"),
        (None, bad(x=nan), "test.npz: NaN or infinite"),
        (bad(x=np.ones((40, 6), int)), None, "features are int64"),
        (bad(y=np.zeros(40, int)), bad(y=np.zeros(40, int)), "only 1 class"),
        (bad(x=np.ones((0, 6)), y=np.ones(0, int)), None, "has no rows"),
        (bad(y=np.array([None] * 40)), None, "dtype=object"),
    ],
)
def test_bad_features(tmp_path, train, test, message):
    with pytest.raises(DkvbError, match=message) as caught:
        features(tmp_path, train, test)
    assert caught.value.exit_code == 1


def test_broken_feature_files_and_paths(tmp_path):
    features(tmp_path / "f")
    whole = (tmp_path / "f" / "train.npz").read_bytes()
    for content in (b"", b"junk" * 99, whole[: len(whole) // 2], whole[:200] + b"\0" * 300 + whole[500:]):
        (tmp_path / "f" / "train.npz").write_bytes(content)
        refused(UnreadableFeatures, r"train\.npz", "features", tmp_path / "f")
    refused(UsageError, "is a file", "features", tmp_path / "f" / "test.npz")
    refused(UsageError, "needs data.path", "features", None)
    refused(UsageError, "does not exist", "features", tmp_path / "gone")
    (tmp_path / "e").mkdir()
    refused(UsageError, "is empty", "features", tmp_path / "e")
    (tmp_path / "e" / "x.txt").write_text("x")
    refused(UsageError, "neither train.npz nor img_emb", "features", tmp_path / "e")


@needs_shared
def test_real_features():
    source = open_source(Data(source="features", path=str(SHARED / "data" / "clip-food10")))
    assert source.dim == 512
    assert len(source.classes) == 10
    assert (len(source.splits["train"]), len(source.splits["test"])) == (2000, 500)
