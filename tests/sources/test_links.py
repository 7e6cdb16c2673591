"""Links to folders: followed into pools, never around in circles nor to another class's images, and counted."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dkvb.errors import UsageError
from dkvb.sources.walk import ABOVE, AGAIN, ANOTHERS, list_images
from source_files import folder, plant, refused, save


def link(at: Path, to: Path) -> Path:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.symlink_to(to, target_is_directory=to.is_dir())
    return at


def counted(source):
    return {reason: (of.count, of.example) for reason, of in source.passed_over.items()}


def test_classes_and_files_may_be_links_into_a_pool(photos, tmp_path):
    pool = plant(tmp_path / "pool", "bird/{0,1,2}.png", "one.png")
    for split in ("train", "test"):
        link(photos / split / "bird", pool / "bird")
    link(photos / "train" / "cat" / "linked.png", pool / "one.png")
    link(photos / "train" / "cat" / "broken.png", pool / "gone")
    link(photos / "train" / "gone", pool / "gone")
    link(photos / "train" / "dog" / "self.png", photos / "train" / "dog" / "self.png")
    source = folder(photos)
    assert source.classes == ["bird", "cat", "dog"]
    assert np.bincount(source.splits["train"].labels).tolist() == [3, 6, 5]
    assert counted(source) == {"a link to nowhere": (3, "train/gone")}
    row = source.splits["train"].ids.index("train/cat/linked.png")
    assert source.splits["train"].read(row).size == (4, 4)
    assert len(source.fingerprint) == 64


LOOPS = {
    "to itself": ("train/dog/round", "train/dog", ABOVE),
    "to the split": ("train/dog/up", "train", ABOVE),
    "to the data set": ("train/dog/up", ".", ABOVE),
    "from deep below": ("train/dog/deep/up", "train/dog", ABOVE),
    "above the data set": ("train/dog/up", "..", ABOVE),
    "to another class": ("train/dog/other", "train/cat", ANOTHERS),
    "into another class": ("train/dog/other", "train/cat/deep", ANOTHERS),
    "into the test set": ("train/dog/other", "test/dog", ANOTHERS),
    "into the training set": ("test/dog/other", "train/dog", ANOTHERS),
    "within the class": ("train/dog/again", "train/dog/deep", AGAIN),
    "among the classes, above": ("train/up", ".", ABOVE),
    "among the classes, to one": ("train/kitty", "train/cat", "a link into a folder beside it, not followed"),
    "among the classes, into one": ("train/kitty", "train/cat/deep", "a link into a folder beside it, not followed"),
    "of a test class to another class": ("test/cow", "train/cat", ANOTHERS),
}


@pytest.mark.parametrize("case", LOOPS)
def test_links_never_file_images_twice_or_under_another_class(photos, tmp_path, case):
    at, to, reason = LOOPS[case]
    plant(photos, "train/{cat,dog}/deep/{8,9}.png")
    plain = folder(photos)
    link(photos / at, photos / to)
    source = folder(photos)
    assert counted(source) == {reason: (1, at)}
    assert source.classes == ["cat", "dog"]
    for split in ("train", "test"):
        assert source.splits[split].ids == plain.splits[split].ids
    assert not any("/" + at.split("/")[-1] + "/" in id for id in source.splits["train"].ids)


def test_a_loop_beside_class_folders_is_no_class(tmp_path):
    root = plant(tmp_path / "data", "{cat,dog}/{0,1,2}.png")
    link(root / "loop", root)
    source = folder(root)
    assert source.classes == ["cat", "dog"]
    assert counted(source) == {ABOVE: (1, "loop")}
    assert folder(plant(tmp_path / "one", "pets/{cat,dog}/{0,1,2}.png")).classes == ["cat", "dog"]


def test_a_class_in_a_pool_stays_within_its_own(tmp_path):
    pool = plant(tmp_path / "pool", "cat/{0,1}.png", "dog/{2,3}.png", "more/{4,5}.png")
    for name in ("cat", "dog"):
        link(tmp_path / "data" / name, pool / name)
    link(pool / "cat" / "all", pool)  # above cat, and so above dog
    link(pool / "cat" / "dogs", pool / "dog")
    link(pool / "cat" / "more", pool / "more")
    source = folder(tmp_path / "data", test=0.5)
    assert source.classes == ["cat", "dog"]
    ids = sorted(id for split in source.splits.values() for id in split.ids)
    assert ids == ["cat/0.png", "cat/1.png", "cat/more/4.png", "cat/more/5.png", "dog/2.png", "dog/3.png"]
    assert counted(source) == {ABOVE: (1, "cat/all"), ANOTHERS: (1, "cat/dogs")}
    # two names of one folder are one class
    link(tmp_path / "data" / "hound", pool / "dog")
    assert folder(tmp_path / "data").classes == ["cat", "dog"]


def test_a_pool_that_holds_another_class_is_read_without_it(tmp_path):
    pool = plant(tmp_path / "pool", "{0,1}.png", "eels/{2,3}.png")
    link(tmp_path / "data" / "animals", pool)
    link(tmp_path / "data" / "zeels", pool / "eels")
    plant(tmp_path / "data", "cat/{4,5}.png")
    source = folder(tmp_path / "data", test=0.5)
    assert source.classes == ["animals", "cat", "zeels"]
    assert np.bincount(np.concatenate([s.labels for s in source.splits.values()])).tolist() == [2, 2, 2]
    assert counted(source) == {"a folder that another class is read from": (1, "animals/eels/")}


@pytest.mark.parametrize("backwards", [False, True])
def test_what_is_found_does_not_depend_on_the_file_system(tmp_path, monkeypatch, backwards):
    pool = plant(tmp_path / "pool", "x/{0,1}.png", "x/y/2.png")
    cat = plant(tmp_path / "data" / "cat", "real/3.png", "a.txt", "b.txt")
    for name, to in (("first", pool / "x" / "y"), ("second", pool / "x"), ("again", cat / "real"), ("third", pool)):
        link(cat / name, to)
    original = os.scandir

    class Ordered:
        def __init__(self, path):
            with original(path) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=backwards)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *error):
            return None

    monkeypatch.setattr(os, "scandir", Ordered)
    names = [path.relative_to(cat).as_posix() for path in list_images(cat)]
    # a real folder wins over a link to it; of links, the first by name
    assert names == ["first/2.png", "real/3.png", "second/0.png", "second/1.png"]


def test_train_and_test_must_not_be_one_folder(tmp_path):
    root = plant(tmp_path / "data", "train/{cat,dog}/{0,1,2,3,4}.png")
    link(root / "test", root / "train")
    # the link is to a folder beside it: as if it were not there
    source = folder(root)
    assert counted(source) == {"a link into a folder beside it, not followed": (1, "test")}
    assert len(source.splits["test"]) == 2
    refused(UsageError, "are one folder", "folder", root, train="train", test="test")


def test_predicting_a_folder_follows_a_loop_once(tmp_path):
    save(tmp_path / "new" / "0.png")
    link(tmp_path / "new" / "sub" / "up", tmp_path / "new")
    assert list_images(tmp_path / "new") == [tmp_path / "new" / "0.png"]
