"""Which folders of a tree train and which test: told by their names, else by the user, and refused where unclear."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dkvb.commands.declare import there
from dkvb.errors import UsageError
from dkvb.sources.remarks import PassedOver
from dkvb.sources.roles import role_of
from source_files import folder, plant, refused


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("train", "train Train TRAIN training trainset train2017 cifar10_train train_images ImagesTrain imagestrain"),
        ("train", "training_set seg_train trainval train_val TrainingData asl_alphabet_train"),
        ("test", "test Testing test2017 cifar10_test tst PublicTest test-images testdata Test_Set"),
        ("eval", "eval evaluation EVAL eval_set"),
        ("val", "val valid validation VAL val2017 val_images ILSVRC2012_img_val validationSet"),
        ("dev", "dev Dev devset"),
        (None, "cat trainer latest contest valley devkit testimony bus images strain 2017 train_test"),
    ],
)
def test_roles_are_told_by_names(role, names):
    assert {name: role_of(name) for name in names.split()} == dict.fromkeys(names.split(), role)


SPLITS = {
    "train and test": ("train/{cat,dog}/{0,1}.png test/{cat,dog}/2.png", "train", "test"),
    "in capitals": ("Train/{cat,dog}/{0,1}.png TEST/{cat,dog}/2.png", "Train", "TEST"),
    "val tests": ("train/{cat,dog}/{0,1}.png val/{cat,dog}/2.png", "train", "val"),
    "valid tests": ("train/{cat,dog}/{0,1}.png valid/{cat,dog}/2.png", "train", "valid"),
    "validation tests": ("training/{cat,dog}/{0,1}.png validation/{cat,dog}/2.png", "training", "validation"),
    "dev tests": ("train/{cat,dog}/{0,1}.png dev/{cat,dog}/2.png", "train", "dev"),
    "eval tests": ("train/{cat,dog}/{0,1}.png eval/{cat,dog}/2.png", "train", "eval"),
    "after a name": ("cifar10_train/{cat,dog}/{0,1}.png cifar10_test/{cat,dog}/2.png", "cifar10_train", "cifar10_test"),
    "before a year": ("train2017/{cat,dog}/{0,1}.png val2017/{cat,dog}/2.png", "train2017", "val2017"),
    "in camel case": ("ImagesTrain/{cat,dog}/{0,1}.png ImagesTest/{cat,dog}/2.png", "ImagesTrain", "ImagesTest"),
    "before images": ("train_images/{cat,dog}/{0,1}.png val_images/{cat,dog}/2.png", "train_images", "val_images"),
    "a level deeper": ("pets/train/{cat,dog}/{0,1}.png pets/test/{cat,dog}/2.png", "pets/train", "pets/test"),
    "two levels deeper": ("a/b/train/{cat,dog}/{0,1}.png a/b/val/{cat,dog}/2.png", "a/b/train", "a/b/val"),
    "beside annotations": (
        "images/train/{cat,dog}/{0,1}.png images/val/{cat,dog}/2.png labels/train/0.txt",
        "images/train",
        "images/val",
    ),
    "twice, as Kaggle has it": (
        "train/train/{cat,dog}/{0,1}.png test/test/{cat,dog}/2.png",
        "train/train",
        "test/test",
    ),
    "twice, under two names": (
        "training_set/training_set/{cat,dog}/{0,1}.png test_set/test_set/{cat,dog}/2.png",
        "training_set/training_set",
        "test_set/test_set",
    ),
}


@pytest.mark.parametrize("case", SPLITS)
def test_splits_are_never_classes(tmp_path, case):
    paths, train, test = SPLITS[case]
    source = folder(plant(tmp_path / "data", *paths.split()))
    assert source.classes == ["cat", "dog"]
    assert source.splits["train"].ids == [f"{train}/{c}/{i}.png" for c in ("cat", "dog") for i in range(2)]
    assert source.splits["test"].ids == [f"{test}/cat/2.png", f"{test}/dog/2.png"]
    assert source.splits["test"].labels.tolist() == [0, 1]
    assert source.notes == [f"{train}/ trains, {test}/ tests"]
    assert source.splits["test"].read(1).size == (4, 4)
    texts = {"no image (.txt)": PassedOver(1, "labels/train/0.txt")} if "annotations" in case else {}
    assert source.passed_over == texts


@pytest.mark.parametrize(
    ("others", "test"),
    [
        (["val", "test"], "test"),
        (["validation", "testing"], "testing"),
        (["dev", "val", "eval"], "eval"),
        (["dev", "valid"], "valid"),
    ],
)
def test_of_several_test_sets_one_tests_and_the_others_are_counted(tmp_path, others, test):
    root = plant(tmp_path / "data", "train/{cat,dog}/{0,1,2}.png", *(f"{name}/{{cat,dog}}/3.png" for name in others))
    source = folder(root, validation=0.1)
    left = [name for name in others if name != test]
    assert {id.split("/")[0] for id in source.splits["test"].ids} == {test}
    listed, are = " and ".join(f"{name}/ (2 images)" for name in sorted(left)), "is" if len(left) == 1 else "are"
    kept = "a share of train is kept out for choosing N"
    assert source.notes == [f"train/ trains, {test}/ tests, {listed} {are} not read: {kept}"]
    assert folder(root).notes == [f"train/ trains, {test}/ tests, {listed} {are} not read"]
    for name in left:
        of = source.passed_over[f"an image in {name}/, which is not read"]
        assert (of.count, of.example) == (2, f"{name}/cat/3.png")
    # whoever names the folders knows of the others
    named = folder(root, train="train", test=left[0])
    assert named.passed_over == {}
    assert named.notes == [f"train/ trains, {left[0]}/ tests"]


FLAT = {
    "class folders": "{cat,dog}/{0,1,2,3}.png",
    "a train folder": "train/{cat,dog}/{0,1,2,3}.png",
    "a folder around": "pets/{cat,dog}/{0,1,2,3}.png",
    "classes called like splits": "{train,test,bus,car}/{0,1,2,3}.png",
    "kinds of trains": "{bullet_train,train}/{0,1,2,3}.png",
    "folders in one class": "{bus,train}/{0,1,2,3}.png bus/red/4.png bus/blue/5.png",
    "class folders beside annotations": "images/{cat,dog}/{0,1,2,3}.png notes/{a,b}.xml",
}


@pytest.mark.parametrize(
    ("case", "classes"),
    zip(FLAT, ["cat dog"] * 3 + ["bus car test train", "bullet_train train", "bus train", "cat dog"], strict=True),
)
def test_without_a_test_folder_a_share_is_set_aside(tmp_path, case, classes):
    source = folder(plant(tmp_path / "data", *FLAT[case].split()), test=0.25)
    assert source.classes == classes.split()
    assert source.notes[-1].startswith("no test/ folder: split off 25% of every class")
    assert sorted(set(source.splits["test"].labels.tolist())) == list(range(len(source.classes)))
    noted = {"no image (.xml)": PassedOver(2, "notes/a.xml")} if "annotations" in case else {}
    assert source.passed_over == noted
    assert {int(Path(id).stem) for split in source.splits.values() for id in split.ids} >= set(range(4))


UNCLEAR = {
    "classes, or splits of the same classes": ("{A,B}/{cat,dog}/{0,1,2}.png", ["--train .", "--train A --test B"]),
    "one of them has more": (
        "A/{cat,dog,eel}/{0,1,2}.png B/{cat,dog}/{0,1,2}.png",
        ["--train .", "--train A --test B"],
    ),
    "beside other folders": ("{A,B}/{cat,dog}/{0,1,2}.png C/{0,1,2}.png", ["--train .", "--train A --test B"]),
    "train beside classes": (
        "train/{cat,dog}/{0,1,2}.png eel/{0,1,2}.png",
        ["--train train", "--train ."],
    ),
    "train beside a test set of another name": (
        "train/{cat,dog}/{0,1,2}.png holdout/{cat,dog}/{3,4,5}.png",
        ["--train train", "--train train --test holdout", "--train ."],
    ),
    "splits without class folders": ("train/{0,1,2}.jpg test/{3,4,5}.jpg", ["--train ."]),
    "the same, twice": ("train/train/{0,1,2}.jpg test/test/{3,4,5}.jpg", ["--train ."]),
    "two training sets": (
        "train_a/{cat,dog}/{0,1,2}.png train_b/{cat,dog}/{3,4,5}.png",
        ["--train train_a", "--train train_b"],
    ),
    "two test sets": (
        "train/{cat,dog}/{0,1,2}.png {test,test2}/{cat,dog}/{3,4,5}.png",
        ["--test test", "--test test2"],
    ),
    "a test set alone": ("test/{cat,dog}/{0,1,2}.png", ["--train test", "--train DIR --test test"]),
    "two without a training set": (
        "{val,test}/{cat,dog}/{0,1,2}.png",
        ["--train val --test test", "--train test --test val"],
    ),
    "class folders beside a test set": (
        "{cat,dog,test}/{0,1,2}.png test/{cat,dog}/{3,4,5}.png",
        ["--train .", "--train . --test test"],
    ),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_is_unclear_is_refused_with_its_readings(tmp_path, case):
    paths, commands = UNCLEAR[case]
    root = plant(tmp_path / "my data", *paths.split())
    message = refused(UsageError, "is unclear", "folder", root)
    places = {"DIR": "DIR"}
    given = [
        [places.get(word, str(root / word) if not word.startswith("--") else word) for word in command.split()]
        for command in commands
    ]
    assert [shlex.split(command) for command in re.findall("`dkvb run (.*?)`", message)] == given
    assert "data.train and data.test" in message
    if "DIR" in commands[-1]:
        given.pop()
    for words in given:  # each of them settles it
        told = {name.removeprefix("--"): path for name, path in zip(words[::2], words[1::2], strict=True)}
        assert len(folder(root, **told).classes) > 1


def test_a_train_folder_without_class_folders_is_named(tmp_path):
    root = plant(tmp_path / "data", "train/{0,1}.png")
    assert str(root / "train") in refused(UsageError, "holds no class folders", "folder", root)


@pytest.mark.parametrize("where", ["test", "test/test", "test/images", "test/unknown"])
def test_a_test_set_without_class_folders_is_counted(tmp_path, where):
    # as Kaggle and Tiny ImageNet have them
    root = plant(tmp_path / "data", "train/{cat,dog}/images/{0,1,2,3}.png", where + "/{4,5,6}.jpg", "test/boxes.txt")
    source = folder(root, test=0.25)
    of = source.passed_over["an image in test/, which holds images in no class folder"]
    assert (of.count, of.example) == (3, f"{where}/4.jpg")
    assert source.notes[0] == "train/ trains, test/ (3 images) is not read"
    assert len(source.splits["test"]) == 2


def test_folders_beside_both_splits_are_counted(tmp_path):
    source = folder(plant(tmp_path / "data", "{train,test}/{cat,dog}/0.png", "unlabelled/{1,2}.png", "masks/a.txt"))
    of = source.passed_over["an image in unlabelled/, which is neither training nor test set"]
    assert (of.count, of.example) == (2, "unlabelled/1.png")
    assert source.passed_over["no image (.txt)"] == PassedOver(1, "masks/a.txt")
    assert source.notes == ["train/ trains, test/ tests, unlabelled/ (2 images) is not read"]


def test_the_user_names_folders(tmp_path, monkeypatch):
    root = plant(tmp_path / "data", "A/{cat,dog}/{0,1}.png", "B/{cat,dog}/2.png", "C/{cat,dog}/3.png")
    for train, test in (("A", "B"), (str(root / "A"), str(root / "B"))):
        source = folder(root, train=train, test=test)
        assert source.splits["train"].ids == [f"A/{c}/{i}.png" for c in ("cat", "dog") for i in range(2)]
        assert source.splits["test"].ids == ["B/cat/2.png", "B/dog/2.png"]
    ids = source.splits["train"].ids
    # data.path need not be there, nor hold them
    for path in (None, tmp_path / "gone", plant(tmp_path / "elsewhere", "x/0.png")):
        source = folder(path, train=str(root / "A"), test=str(root / "B"))
        assert source.splits["train"].ids == ids
        assert source.splits["test"].read(0).size == (4, 4)
    # one alone: the other one is a share, or all other folders
    assert len(folder(root, train="A", test=0.5).splits["test"]) == 2
    assert folder(tmp_path / "gone", train=str(root / "A"), test=0.5).classes == ["cat", "dog"]
    here = plant(tmp_path / "here", "{cat,dog}/{0,1}.png", "holdout/{cat,dog}/2.png")
    source = folder(here, test="holdout")
    assert source.splits["train"].ids == [f"{c}/{i}.png" for c in ("cat", "dog") for i in range(2)]
    assert source.splits["test"].ids == ["holdout/cat/2.png", "holdout/dog/2.png"]
    # the root itself: class folders are directly there, whatever their names
    named = plant(tmp_path / "named", "train/{a,b}/{0,1,2}.png", "test/{a,b}/{3,4,5}.png")
    assert folder(named, train=str(named)).classes == ["test", "train"]
    monkeypatch.chdir(tmp_path)
    assert there("named/train") == str(named / "train")
    assert there("train") == "train"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"train": "gone"}, "data.train: .*gone does not exist.*relative to data.path"),
        ({"test": "A/cat/0.png"}, "data.test: .* is a file"),
        ({"train": "A", "test": "A"}, "are one folder"),
        ({"train": ".", "test": "A/cat"}, "lies deep in"),
    ],
)
def test_folders_that_cannot_be_named(tmp_path, options, match):
    root = plant(tmp_path / "data", "{A,B}/{cat,dog}/0.png")
    refused(UsageError, match, "folder", root, **options)


def test_one_named_folder_needs_the_data(tmp_path):
    plant(Path("data"), "{A,B}/{cat,dog}/0.png")
    refused(UsageError, "needs data.path", "folder", None, test="data/A")
