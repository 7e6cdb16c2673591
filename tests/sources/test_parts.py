"""What names of files say, and pairing by number or name, never by rank."""

from __future__ import annotations

from pathlib import Path

import pytest

from dkvb.errors import DkvbError
from dkvb.sources.parts import check_whole, named, pair, tells, words


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("X_train-007", ["x", "train", 7]),
        ("xtrain", ["x", "train"]),
        ("testY", ["test", "y"]),
        ("TrainFeatures", ["train", "features"]),
        ("img_emb_0", ["emb", 0]),
        ("ViT-B-32.part 3", ["vi", "b", 32, "part", 3]),
        ("bären_2", ["bären", 2]),
    ],
)
def test_words_of_a_name(name: str, found: list) -> None:
    assert [word for word in words(name) if word != "t"] == found


@pytest.mark.parametrize(
    ("path", "split", "role", "key"),
    [
        ("X_train.npy", "train", "features", ()),
        ("y_test.txt", "test", "labels", ()),
        ("Validation/Labels_007.npy", "validation", "labels", (7,)),
        ("train/img_emb/img_emb_3.npy", "train", "features", (3,)),
        ("train_000.npz", "train", None, (0,)),
        ("class_names.txt", None, "names", ()),
        ("train/classes.json", "train", "names", ()),
        ("features_labels.npz", None, None, ()),
        ("readme.txt", None, None, ("readme",)),
    ],
)
def test_what_a_name_says(path: str, split: str | None, role: str | None, key: tuple) -> None:
    file = named(Path("/d", path), Path("/d"))
    assert (file.split, file.role, file.key) == (split, role, key)


def paired(features: list[str], labels: list[str]) -> list[tuple[str, str]]:
    sides = [[named(Path("/d", name), Path("/d")) for name in side] for side in (features, labels)]
    return [(x.path.as_posix()[3:], y.path.as_posix()[3:]) for x, y in pair(*sides)]


@pytest.mark.parametrize(
    ("features", "labels", "pairs"),
    [
        (["f_0.npy"], ["whatever.txt"], [0]),
        # padding, gaps, and an order in which rank would pair otherwise
        (["x_10.npy", "x_2.npy", "x_1.npy"], ["y_001.npy", "y_010.npy", "y_002.npy"], [2, 1, 0]),
        (["x_7.npy", "x_3.npy"], ["y_03.npy", "y_07.npy"], [1, 0]),
        (["emb/dogs.npy", "emb/cats.npy"], ["meta/cats.parquet", "meta/dogs.parquet"], [1, 0]),
        (["clip32_x_0.npy", "clip32_x_1.npy"], ["y_1.npy", "y_0.npy"], [0, 1]),
        (["x_a_1.npy", "x_b_1.npy"], ["b_y_1.npy", "a_y_1.npy"], [0, 1]),
    ],
)
def test_pairs(features: list[str], labels: list[str], pairs: list[int]) -> None:
    def key(name: str) -> list:
        return [word for word in words(Path(name).stem) if word not in ("x", "y", "clip", 32)]

    found = paired(features, labels)
    assert [x for x, _ in found] == [features[place] for place in pairs]
    assert len(found) == len(labels)
    assert len(found) == 1 or all(key(x) == key(y) for x, y in found)


@pytest.mark.parametrize(
    ("features", "labels", "says"),
    [
        (["x_0.npy", "x_1.npy"], ["y_0.npy", "y_2.npy"], "x_1.npy has no labels .*files of labels: y_0.npy, y_2.npy"),
        (["x_0.npy"], ["y_0.npy", "y_1.npy"], "y_1.npy has no features .*1 of features and 2 of labels"),
        (["x_7.npy"], ["y_8.npy"], "x_7.npy has no labels of its number"),
        (["x_cats.npy", "x_dogs.npy"], ["y_cats.npy", "y_cows.npy"], "x_dogs.npy has no labels"),
        (["x_1.npy", "x_01.npy"], ["y_1.npy", "y_2.npy"], "x_1.npy and .*x_01.npy have the same number or name"),
    ],
)
def test_parts_without_a_partner_are_named(features: list[str], labels: list[str], says: str) -> None:
    with pytest.raises(DkvbError, match=says):
        paired(features, labels)


def test_parts_that_say_how_many_there_are() -> None:
    def parts(*numbers: int) -> list:
        return [named(Path(f"/d/train-{number:05d}-of-00003.parquet"), Path("/d")) for number in numbers]

    check_whole(parts(0, 1, 2))
    check_whole(parts(1, 2, 3))
    with pytest.raises(DkvbError, match="lacks part 1 of 3 .it has 0, 2"):
        check_whole(parts(2, 0))
    with pytest.raises(DkvbError, match="lacks part 1 of 3 .it has 2, 3"):
        check_whole(parts(2, 3))


def test_folders_that_tell() -> None:
    assert [name for name in ("train", "Val_set", "img_emb", "0007", "data", "x2y", "cache") if tells(name)] == [
        *("train", "Val_set", "img_emb", "0007", "x2y")
    ]
