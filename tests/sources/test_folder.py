"""Image folders: rows, labels and ids in a fixed order, the odd files that users keep, and every refusal."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from conftest import SHARED, needs_shared
from dkvb.errors import DkvbError, UsageError
from dkvb.sources.base import ImageSource, UnreadableImage
from dkvb.sources.folder import list_images
from dkvb.sources.remarks import PassedOver
from source_files import RAMP, folder, refused, save


def test_folder_rows_ids_and_labels(photos):
    source = folder(photos)
    assert isinstance(source, ImageSource)
    assert source.classes == ["cat", "dog"]
    assert source.mode == "RGB"
    assert source.notes == ["train/ trains, test/ tests"]
    assert source.passed_over == {}
    assert source.doubts == []
    train, test = source.splits["train"], source.splits["test"]
    assert train.ids == [f"train/{name}/{i}.png" for name in ("cat", "dog") for i in range(5)]
    assert train.labels.tolist() == [0] * 5 + [1] * 5
    assert test.labels.tolist() == [0, 0, 1, 1]
    assert [train.read(i).getpixel((0, 0))[0] for i in (0, 4, 7)] == [0, 4, 12]
    assert test.read(3).getpixel((0, 0)) == (111, 0, 0)
    assert pickle.loads(pickle.dumps(train)).read(7).getpixel((0, 0)) == (12, 0, 0)


@pytest.mark.parametrize("flat", [False, True])
def test_folder_without_test_sets_a_share_aside(photos, flat):
    shutil.rmtree(photos / "test")
    root = photos / "train" if flat else photos
    source = folder(root, test=0.4)
    train, test = source.splits["train"], source.splits["test"]
    assert np.bincount(test.labels).tolist() == [2, 2]
    assert np.bincount(train.labels).tolist() == [3, 3]
    assert not set(train.ids) & set(test.ids)
    assert test.ids == folder(root, test=0.4).splits["test"].ids
    assert any("no test/ folder: split off 40% of every class (4 of 10 images)" in note for note in source.notes)
    assert source.fingerprint != folder(root, test=0.2).fingerprint
    assert train.read(0).size == (4, 4)


def test_folder_fingerprint_follows_the_files(photos):
    before = folder(photos).fingerprint
    assert before == folder(photos).fingerprint
    image = photos / "train" / "cat" / "0.png"
    os.utime(image, ns=(1, 1))
    touched = folder(photos).fingerprint
    image.rename(image.with_name("9.png"))
    assert len({before, touched, folder(photos).fingerprint}) == 3


def test_folder_finds_images_as_people_keep_them(photos, tmp_path):
    elsewhere = save(tmp_path / "elsewhere" / "deep" / "b.JPG").parent.parent
    cat = photos / "train" / "cat"
    (cat / "linked").symlink_to(elsewhere, target_is_directory=True)
    save(cat / "ein Ordner" / "größe 1.Jpeg")
    save(photos / "train" / "loose.png")
    source = folder(photos)
    names = [path.relative_to(cat).as_posix() for path in list_images(cat)]
    assert names == ["0.png", "1.png", "2.png", "3.png", "4.png", "ein Ordner/größe 1.Jpeg", "linked/deep/b.JPG"]
    assert source.splits["train"].ids[:7] == [f"train/cat/{name}" for name in names]
    assert source.classes == ["cat", "dog"]
    assert source.passed_over == {"an image in no class folder": PassedOver(1, "train/loose.png")}
    assert source.splits["train"].read(5).mode == "RGB"


def test_folder_names_with_spaces_and_unicode(tmp_path):
    root = tmp_path / "meine Bilder ä"
    for name in ("Ærø 1", "猫 und Hund", "it's #2 [x] 100%"):
        for split in ("train", "test"):
            save(root / split / name / "größe 1 (Kopie).png", 50)
            save(root / split / name / "tiefer ordner" / "😀.png", 60)
    source = folder(root)
    assert source.classes == sorted(("Ærø 1", "猫 und Hund", "it's #2 [x] 100%"))
    assert "train/猫 und Hund/größe 1 (Kopie).png" in source.splits["train"].ids
    assert "test/Ærø 1/tiefer ordner/😀.png" in source.splits["test"].ids
    assert len(source.fingerprint) == 64
    assert {source.splits["test"].read(row).getpixel((0, 0))[0] for row in range(6)} == {50, 60}


def test_a_file_that_goes_missing_before_it_is_hashed_is_named(photos):
    source = folder(photos)
    (photos / "test" / "dog" / "1.png").unlink()
    with pytest.raises(DkvbError, match=r"test/dog/1\.png went missing"):
        _ = source.fingerprint


def test_folder_whose_splits_have_other_classes(photos, tmp_path):
    # an empty class folder, or one of leftovers, in test only is no class
    (photos / "test" / "empty").mkdir()
    (photos / "test" / "leftovers").mkdir()
    (photos / "test" / "leftovers" / ".DS_Store").write_bytes(b"x")
    save(photos / "train" / "zebra" / "0.png", 9)
    source = folder(photos)
    assert source.classes == ["cat", "dog", "zebra"]
    assert source.notes[1:] == ["no test samples for class zebra: its test accuracy is undefined"]
    # a class that only train has comes first: labels of test still mean the same classes
    save(photos / "train" / "ant" / "0.png", 9)
    test = folder(photos).splits["test"]
    assert [id.split("/")[1] for id in test.ids] == ["cat", "cat", "dog", "dog"]
    assert test.labels.tolist() == [1, 1, 2, 2]
    save(photos / "test" / "newt" / "0.png")
    refused(DkvbError, "class with no training images: newt", "folder", photos)
    shutil.rmtree(photos / "test")
    (photos / "test").mkdir()
    (photos / "test" / ".DS_Store").write_bytes(b"x")
    refused(DkvbError, "No images below .*test", "folder", photos)


def test_folder_with_every_odd_file_a_user_has(photos):
    cat = photos / "train" / "cat"
    Image.new("CMYK", (4, 4), (5, 235, 235, 0)).save(cat / "0.jpg")
    (cat / "0.png").unlink()
    Image.fromarray(RAMP).save(cat / "1.png")
    frames = [Image.new("RGB", (4, 4), shade) for shade in ("red", "blue", "lime")]
    frames[0].save(cat / "2.gif", save_all=True, append_images=frames[1:], duration=50)
    (cat / "2.png").unlink()
    (cat / "3.png").write_bytes(b"")
    (cat / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    train = folder(photos).splits["train"]
    assert train.ids[:5] == [f"train/cat/{name}" for name in ("0.jpg", "1.png", "2.gif", "3.png", "4.png")]
    read = {row: train.read(row) for row in (0, 1, 2, 4)}
    assert {image.mode for image in read.values()} == {"RGB"}
    assert np.abs(np.subtract(read[0].getpixel((1, 1)), (250, 20, 20))).max() <= 8
    assert read[1].getpixel((3, 3)) == (255, 255, 255)
    assert read[2].getpixel((0, 0))[0] > 250
    with pytest.raises(UnreadableImage, match=r"train/cat/3\.png .* the file is empty"):
        train.read(3)


def test_folder_refusals(photos, tmp_path):
    assert "--data-root" in refused(UsageError, "needs data.path", "folder", None)
    refused(UsageError, "does not exist", "folder", tmp_path / "gone")
    refused(UsageError, "is a file", "folder", save(tmp_path / "one.png"))
    (tmp_path / "empty").mkdir()
    refused(UsageError, "is empty", "folder", tmp_path / "empty")
    (tmp_path / "bare" / "a").mkdir(parents=True)
    refused(UsageError, "No images below", "folder", tmp_path / "bare")
    save(tmp_path / "single" / "cat" / "0.png")
    refused(DkvbError, r"only 1 class \('cat'\)", "folder", tmp_path / "single")
    save(photos / "test" / "bird" / "0.png")
    refused(DkvbError, "class with no training images: bird", "folder", photos)
    shutil.rmtree(photos / "test" / "bird")
    (photos / "train" / "ant").mkdir()
    refused(DkvbError, "no images in the class folder ant", "folder", photos)
    shutil.rmtree(photos / "train" / "ant")
    shutil.rmtree(photos / "test" / "dog")
    source = folder(photos)
    assert source.notes[1:] == ["no test samples for class dog: its test accuracy is undefined"]
    assert source.splits["test"].labels.tolist() == [0, 0]
    shutil.rmtree(photos / "train")
    refused(UsageError, "no train/ with class folders", "folder", photos)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that keeps any bytes as names")
def test_a_name_that_is_no_utf8_is_refused(photos):
    try:
        (photos / "train" / "cat" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system refuses such names")
    refused(UsageError, "not valid UTF-8", "folder", photos)
    (photos / "train" / "cat" / os.fsdecode(b"\xff.png")).unlink()
    (photos / "train" / os.fsdecode(b"caf\xe9")).mkdir()
    refused(UsageError, r"caf\\xe9.*not valid UTF-8", "folder", photos)


def test_sources_that_draw_nothing_have_no_manifest(photos, tmp_path):
    assert folder(photos).manifest is None
    assert not folder(photos).write_manifest(tmp_path / "m.parquet")
    assert not (tmp_path / "m.parquet").exists()


@needs_shared
def test_real_image_folder(tmp_path):
    script = SHARED / "data" / "unpack_cifar10.py"
    subprocess.run([sys.executable, script, "folder", tmp_path, "--train", "500", "--test", "100"], check=True)
    source = folder(tmp_path)
    assert len(source.classes) == 10
    assert len(source.splits["train"]) == 500
    assert np.asarray(source.splits["test"].read(99)).shape == (32, 32, 3)
