"""Sources: rows, labels and ids in a fixed order, every image form, and every refusal."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from dkvb.embedding.leaks import content_hashes, find_leaks
from dkvb.errors import DkvbError, NotHere, UsageError
from dkvb.recipe import Data
from dkvb.sources import download, lacuna100, listing, vggface2
from dkvb.sources.base import FeatureSource, ImageSource, UnreadableImage
from dkvb.sources.folder import list_images, read_image
from dkvb.sources.opening import open_source
from dkvb.sources.pickles import load_arrays

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="shared data are not here")


def save(path: Path, shade: int = 0, size: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (shade, 0, 0)).save(path)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of each test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dkvb"


@pytest.fixture
def tree(tmp_path):
    """Two classes, five training and two test images each."""
    root = tmp_path / "photos"
    for place, name in enumerate(("cat", "dog")):
        for i in range(5):
            save(root / "train" / name / f"{i}.png", 10 * place + i)
        for i in range(2):
            save(root / "test" / name / f"{i}.png", 100 + 10 * place + i)
    return root


def folder(path, **options):
    return open_source(Data(source="folder", path=None if path is None else str(path), **options))


def refused(kind, match, source, path, **options):
    with pytest.raises(DkvbError, match=match) as caught:
        open_source(Data(source=source, path=None if path is None else str(path), **options))
    assert type(caught.value) is kind
    return str(caught.value)


# digits


def test_digits():
    source = open_source(Data(source="digits", test=0.2))
    train, test = source.splits["train"], source.splits["test"]
    assert source.mode == "L"
    assert source.classes == list("0123456789")
    assert len(train) + len(test) == 1797
    assert sorted(map(int, [*train.ids, *test.ids])) == list(range(1797))
    assert abs(np.bincount(test.labels) / np.bincount(np.r_[train.labels, test.labels]) - 0.2).max() < 0.01
    from sklearn.datasets import load_digits

    bunch = load_digits()
    row = int(test.ids[7])
    assert test.labels[7] == bunch.target[row]
    assert test.labels.dtype == np.int64
    image = test.read(7)
    assert image.mode == "L"
    assert (np.asarray(image) == np.round(bunch.images[row] * 255 / 16)).all()
    again = open_source(Data(source="digits", test=0.2))
    assert again.fingerprint == source.fingerprint
    assert again.splits["test"].ids == test.ids
    assert open_source(Data(source="digits", test=0.3)).fingerprint != source.fingerprint


# folder


def test_folder_rows_ids_and_labels(tree):
    source = folder(tree)
    assert isinstance(source, ImageSource)
    assert source.classes == ["cat", "dog"]
    assert source.mode == "RGB"
    assert source.notes == []
    train, test = source.splits["train"], source.splits["test"]
    assert train.ids == [f"train/{name}/{i}.png" for name in ("cat", "dog") for i in range(5)]
    assert train.labels.tolist() == [0] * 5 + [1] * 5
    assert test.labels.tolist() == [0, 0, 1, 1]
    assert [train.read(i).getpixel((0, 0))[0] for i in (0, 4, 7)] == [0, 4, 12]
    assert test.read(3).getpixel((0, 0)) == (111, 0, 0)
    assert pickle.loads(pickle.dumps(train)).read(7).getpixel((0, 0)) == (12, 0, 0)


@pytest.mark.parametrize("flat", [False, True])
def test_folder_without_test_sets_a_share_aside(tree, flat):
    import shutil

    shutil.rmtree(tree / "test")
    root = tree / "train" if flat else tree
    source = folder(root, test=0.4)
    train, test = source.splits["train"], source.splits["test"]
    assert np.bincount(test.labels).tolist() == [2, 2]
    assert np.bincount(train.labels).tolist() == [3, 3]
    assert not set(train.ids) & set(test.ids)
    assert test.ids == folder(root, test=0.4).splits["test"].ids
    assert any("no test/ folder: split off 40% of every class (4 of 10 images)" in note for note in source.notes)
    assert source.fingerprint != folder(root, test=0.2).fingerprint
    assert train.read(0).size == (4, 4)


def test_folder_fingerprint_follows_the_files(tree):
    before = folder(tree).fingerprint
    assert before == folder(tree).fingerprint
    image = tree / "train" / "cat" / "0.png"
    os.utime(image, ns=(1, 1))
    touched = folder(tree).fingerprint
    image.rename(image.with_name("9.png"))
    assert len({before, touched, folder(tree).fingerprint}) == 3


def test_folder_finds_images_as_people_keep_them(tree, tmp_path):
    elsewhere = save(tmp_path / "elsewhere" / "deep" / "b.JPG").parent.parent
    cat = tree / "train" / "cat"
    (cat / "linked").symlink_to(elsewhere, target_is_directory=True)
    (cat / "loop").symlink_to(cat, target_is_directory=True)
    save(cat / "ein Ordner" / "größe 1.Jpeg")
    for junk in (".DS_Store", "._0.png", "notes.txt", "Thumbs.db", "__MACOSX/x.png", ".hidden/y.png"):
        (cat / junk).parent.mkdir(exist_ok=True)
        (cat / junk).write_bytes(b"junk")
    (tree / "train" / "__MACOSX").mkdir()
    (tree / ".DS_Store").write_bytes(b"")
    save(tree / "train" / "loose.png")
    source = folder(tree)
    names = [path.relative_to(cat).as_posix() for path in list_images(cat)]
    assert names == ["0.png", "1.png", "2.png", "3.png", "4.png", "ein Ordner/größe 1.Jpeg", "linked/deep/b.JPG"]
    assert source.splits["train"].ids[:7] == [f"train/cat/{name}" for name in names]
    assert source.classes == ["cat", "dog"]
    assert source.notes == ["1 images lie directly in train/, in no class folder: not read"]
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


def test_folder_of_symlinks_to_files_classes_and_parents(tree, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    for i in range(3):
        save(elsewhere / "bird" / f"{i}.png", 200 + i)
    for split in ("train", "test"):
        (tree / split / "bird").symlink_to(elsewhere / "bird", target_is_directory=True)
    (tree / "train" / "cat" / "linked.png").symlink_to(save(elsewhere / "one.png", 77))
    (tree / "train" / "cat" / "broken.png").symlink_to(elsewhere / "gone.png")
    (tree / "train" / "gone").symlink_to(elsewhere / "gone", target_is_directory=True)
    (tree / "train" / "dog" / "self.png").symlink_to(tree / "train" / "dog" / "self.png")
    (elsewhere / "bird" / "round").symlink_to(elsewhere / "bird", target_is_directory=True)
    source = folder(tree)
    assert source.classes == ["bird", "cat", "dog"]
    assert np.bincount(source.splits["train"].labels).tolist() == [3, 6, 5]
    assert len(source.notes) == 1
    assert "2 images below train/ are symlinks to nowhere: not read" in source.notes[0]
    assert "broken.png" in source.notes[0]
    row = source.splits["train"].ids.index("train/cat/linked.png")
    assert source.splits["train"].read(row).getpixel((0, 0))[0] == 77
    assert len(source.fingerprint) == 64
    (tree / "train" / "dog" / "up").symlink_to(tree / "train", target_is_directory=True)
    ids = folder(tree).splits["train"].ids
    assert "train/dog/up/cat/0.png" in ids
    assert not any("up/dog/" in id or "up/up" in id for id in ids)


def test_a_file_that_goes_missing_before_it_is_hashed_is_named(tree):
    source = folder(tree)
    (tree / "test" / "dog" / "1.png").unlink()
    with pytest.raises(DkvbError, match=r"test/dog/1\.png went missing"):
        _ = source.fingerprint


def test_folder_whose_splits_have_other_classes(tree, tmp_path):
    import shutil

    # an empty class folder, or one of leftovers, in test only is no class
    (tree / "test" / "empty").mkdir()
    (tree / "test" / "leftovers").mkdir()
    (tree / "test" / "leftovers" / ".DS_Store").write_bytes(b"x")
    save(tree / "train" / "zebra" / "0.png", 9)
    source = folder(tree)
    assert source.classes == ["cat", "dog", "zebra"]
    assert source.notes == ["no test samples for class zebra: its test accuracy is undefined"]
    # a class that only train has comes first: labels of test still mean the same classes
    save(tree / "train" / "ant" / "0.png", 9)
    test = folder(tree).splits["test"]
    assert [id.split("/")[1] for id in test.ids] == ["cat", "cat", "dog", "dog"]
    assert test.labels.tolist() == [1, 1, 2, 2]
    save(tree / "test" / "newt" / "0.png")
    refused(DkvbError, "class with no training images: newt", "folder", tree)
    shutil.rmtree(tree / "test")
    (tree / "test").mkdir()
    (tree / "test" / ".DS_Store").write_bytes(b"x")
    refused(DkvbError, "No images below .*test", "folder", tree)


def test_folder_with_every_odd_file_a_user_has(tree):
    cat = tree / "train" / "cat"
    Image.new("CMYK", (4, 4), (5, 235, 235, 0)).save(cat / "0.jpg")
    (cat / "0.png").unlink()
    Image.fromarray(RAMP).save(cat / "1.png")
    frames = [Image.new("RGB", (4, 4), shade) for shade in ("red", "blue", "lime")]
    frames[0].save(cat / "2.gif", save_all=True, append_images=frames[1:], duration=50)
    (cat / "2.png").unlink()
    (cat / "3.png").write_bytes(b"")
    (cat / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    train = folder(tree).splits["train"]
    assert train.ids[:5] == [f"train/cat/{name}" for name in ("0.jpg", "1.png", "2.gif", "3.png", "4.png")]
    read = {row: train.read(row) for row in (0, 1, 2, 4)}
    assert {image.mode for image in read.values()} == {"RGB"}
    assert np.abs(np.subtract(read[0].getpixel((1, 1)), (250, 20, 20))).max() <= 8
    assert read[1].getpixel((3, 3)) == (255, 255, 255)
    assert read[2].getpixel((0, 0))[0] > 250
    with pytest.raises(UnreadableImage, match=r"train/cat/3\.png .* the file is empty"):
        train.read(3)


def test_folder_refusals(tree, tmp_path):
    import shutil

    assert "--data-root" in refused(UsageError, "needs data.path", "folder", None)
    refused(UsageError, "does not exist", "folder", tmp_path / "gone")
    refused(UsageError, "is a file", "folder", save(tmp_path / "one.png"))
    (tmp_path / "empty").mkdir()
    refused(UsageError, "is empty", "folder", tmp_path / "empty")
    (tmp_path / "bare" / "a").mkdir(parents=True)
    refused(UsageError, "No images below", "folder", tmp_path / "bare")
    save(tmp_path / "single" / "cat" / "0.png")
    refused(DkvbError, r"only 1 class \('cat'\)", "folder", tmp_path / "single")
    save(tree / "test" / "bird" / "0.png")
    refused(DkvbError, "class with no training images: bird", "folder", tree)
    shutil.rmtree(tree / "test" / "bird")
    (tree / "train" / "ant").mkdir()
    refused(DkvbError, "no images in the class folder ant", "folder", tree)
    shutil.rmtree(tree / "train" / "ant")
    shutil.rmtree(tree / "test" / "dog")
    source = folder(tree)
    assert source.notes == ["no test samples for class dog: its test accuracy is undefined"]
    assert source.splits["test"].labels.tolist() == [
        0,
        0,
    ]
    shutil.rmtree(tree / "train")
    refused(UsageError, "no train/ with class folders", "folder", tree)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that keeps any bytes as names")
def test_a_name_that_is_no_utf8_is_refused(tree):
    try:
        (tree / "train" / "cat" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system refuses such names")
    refused(UsageError, "not valid UTF-8", "folder", tree)
    (tree / "train" / "cat" / os.fsdecode(b"\xff.png")).unlink()
    (tree / "train" / os.fsdecode(b"caf\xe9")).mkdir()
    refused(UsageError, r"caf\\xe9.*not valid UTF-8", "folder", tree)


# reading images

RAMP = np.linspace(0, 65535, 16).astype(np.uint16).reshape(4, 4)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    Image.fromarray(RAMP.astype(np.int32)).save(tmp_path / "a.tif")
    for name in ("a.png", "a.tif"):
        image = read_image(tmp_path / name)
        assert image.mode == "RGB", name
        assert (np.asarray(image)[..., 0] == np.round(RAMP / 257)).all(), name
    assert (np.asarray(read_image(tmp_path / "a.png", "L")) == np.round(RAMP / 257)).all()


def test_every_mode_becomes_rgb(tmp_path, recwarn):
    red = Image.new("RGB", (4, 4), (250, 20, 20))
    palette = red.quantize(4)
    palette.save(tmp_path / "p.png", transparency=bytes([0, 255]))
    red.convert("CMYK").save(tmp_path / "cmyk.jpg")
    red.convert("RGBA").save(tmp_path / "rgba.png")
    Image.new("LA", (4, 4), (90, 10)).save(tmp_path / "la.png")
    Image.new("1", (4, 4), 1).save(tmp_path / "bit.png")
    red.save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", (4, 4), "blue")])
    red.save(tmp_path / "a.webp", lossless=True)
    expected = {
        "p.png": (250, 20, 20),
        "cmyk.jpg": (250, 20, 20),
        "rgba.png": (250, 20, 20),
        "a.gif": (250, 20, 20),
        "a.webp": (250, 20, 20),
    }
    expected |= {"la.png": (90, 90, 90), "bit.png": (255, 255, 255)}
    for name, color in expected.items():
        image = read_image(tmp_path / name)
        assert image.mode == "RGB", name
        assert image.size == (4, 4), name
        assert np.abs(np.subtract(image.getpixel((1, 1)), color)).max() <= 6, (name, image.getpixel((1, 1)))
    assert not [str(warning.message) for warning in recwarn]


def test_unreadable_images_carry_id_and_reason(tree):
    cat = tree / "train" / "cat"
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(noise, "JPEG")
    (cat / "0.png").write_bytes(noise.getvalue()[: len(noise.getvalue()) // 2])
    (cat / "1.png").write_bytes(b"")
    (cat / "2.png").write_text("<html>not found</html>")
    (cat / "3.png").write_bytes((cat / "4.png").read_bytes()[:50])
    Image.fromarray(np.ones((4, 4), np.float32)).save(cat / "4.tif")
    (cat / "4.png").unlink()
    source = folder(tree)
    train = source.splits["train"]
    (tree / "train" / "dog" / "0.png").unlink()
    for row, reason in enumerate(("truncated", "empty", "no image", ".", "floating point", "missing")):
        with pytest.raises(UnreadableImage, match=reason) as caught:
            train.read(row)
        assert caught.value.id == train.ids[row]
        assert caught.value.reason
        assert train.ids[row] in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).reason == caught.value.reason
    with pytest.raises(UnreadableImage, match="empty"):
        read_image(cat / "1.png")


# imagenet1k


def imagenet(root: Path) -> Path:
    for wnid in ("n03126707", "n02012849", "n01440764"):
        save(root / "train" / wnid / f"{wnid}_1.JPEG")
        save(root / "val" / wnid / "ILSVRC2012_val_1.JPEG")
    return root


def test_imagenet_classes_bear_human_names(tmp_path):
    root = imagenet(tmp_path)
    source = open_source(Data(source="imagenet1k", path=str(root)))
    named = ["tench", "crane (n02012849)", "crane (n03126707)"]
    assert source.classes == named
    assert source.splits["test"].labels.tolist() == [0, 1, 2]
    assert source.splits["test"].ids[0] == "val/n01440764/ILSVRC2012_val_1.JPEG"
    index = {"0": ["n01440764", "a_fish"], "1": ["n02012849", "crane"], "2": ["n03126707", "lifter"]}
    (root / "imagenet_class_index.json").write_text(json.dumps(index))
    assert open_source(Data(source="imagenet1k", path=str(root))).classes == ["a fish", "crane", "lifter"]
    (root / "LOC_synset_mapping.txt").write_text("n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane\n")
    assert open_source(Data(source="imagenet1k", path=str(root))).classes == named
    (root / "LOC_synset_mapping.txt").write_text("n01440764\n")
    refused(DkvbError, "LOC_synset_mapping.txt cannot be read", "imagenet1k", root)
    (root / "LOC_synset_mapping.txt").unlink()
    (root / "imagenet_class_index.json").unlink()
    save(root / "train" / "n99999999" / "0.JPEG")
    assert open_source(Data(source="imagenet1k", path=str(root))).classes == [*named, "n99999999"]


def settle(root: Path) -> None:
    """Date every directory back, so that listings of it are kept."""
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        os.utime(folder, (1e9, 1e9))


@pytest.fixture
def walked(monkeypatch):
    """Names of the class folders that were read from disk."""
    names = []

    def walk(folder, original=listing.walk_images):
        names.append(folder.name)
        return original(folder)

    monkeypatch.setattr(listing, "walk_images", walk)
    return names


def test_imagenet_listing_is_remembered_until_a_directory_changes(tmp_path, cache, walked, monkeypatch):
    monkeypatch.setattr(listing, "SETTLED", 3600.0)
    root = tmp_path / "imagenet"
    wnids = [f"n{i:08d}" for i in range(60)]
    for wnid in wnids:
        for split, count in (("train", 60), ("val", 3)):
            (root / split / wnid).mkdir(parents=True)
            for i in range(count):
                (root / split / wnid / f"{i:03d}.JPEG").write_bytes(b"x")
    (root / "train" / wnids[5] / "deep").mkdir()
    (root / "train" / wnids[5] / "deep" / "ä.JPEG").write_bytes(b"x")

    def opened():
        walked.clear()
        source = open_source(Data(source="imagenet1k", path=str(root)))
        return list(walked), source

    # fresh directories may still change within the clock's grain: nothing is kept of them
    read, first = opened()
    assert len(read) == 120
    assert not list(cache.glob("listings/*"))
    settle(root)
    opened()
    assert len(list(cache.glob("listings/*.json"))) == 2
    read, second = opened()
    assert read == []
    for split in ("train", "test"):
        assert second.splits[split].ids == first.splits[split].ids
        assert (second.splits[split].labels == first.splits[split].labels).all()
    assert len(second.splits["train"]) == 3601
    assert second.fingerprint == first.fingerprint

    (root / "train" / wnids[7] / "new.JPEG").write_bytes(b"x")
    (root / "train" / wnids[5] / "deep" / "ä.JPEG").unlink()
    read, third = opened()
    assert sorted(read) == [wnids[5], wnids[7]]
    assert len(third.splits["train"]) == 3601
    assert f"train/{wnids[7]}/new.JPEG" in third.splits["train"].ids
    assert third.fingerprint != first.fingerprint
    # the same listing, another content: the fingerprint still looks at every file
    (root / "val" / wnids[0] / "000.JPEG").write_bytes(b"xy")
    settle(root)
    assert opened()[1].fingerprint != third.fingerprint

    for damage in (b"", b"junk", b"[]", b'{"format": 1}'):
        for file in cache.glob("listings/*.json"):
            file.write_bytes(damage)
        assert opened()[1].splits["train"].ids == third.splits["train"].ids
    (root / "train" / wnids[9] / "000.JPEG").rename(root / "train" / wnids[9] / "zzz.JPEG")
    assert opened()[1].splits["train"].ids != third.splits["train"].ids


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, cache, walked):
    root = imagenet(tmp_path / "i")
    settle(root)
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file, no folder")
    for _ in range(2):
        assert len(open_source(Data(source="imagenet1k", path=str(root))).splits["train"]) == 3
    assert len(walked) == 12


def test_listing_shows_progress(tmp_path, monkeypatch, capsys):
    from dkvb.runtime import progress

    progress.silence(False)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    for i in range(120):
        (tmp_path / "t" / f"c{i:03d}").mkdir(parents=True)
        (tmp_path / "t" / f"c{i:03d}" / "0.png").write_bytes(b"")
    listed = listing.list_classes(tmp_path / "t", [f"c{i:03d}" for i in range(120)])
    assert listed == [["0.png"]] * 120
    shown = capsys.readouterr().err
    assert "list t: 60/120 class folders" in shown
    assert "60 images" in shown


def test_imagenet_refusals(tmp_path):
    import shutil

    root = imagenet(tmp_path / "i")
    shutil.rmtree(root / "val")
    refused(UsageError, "no val/ folder", "imagenet1k", root)
    save(root / "val" / "flat.JPEG")
    refused(UsageError, "sort its images into val/<wnid>", "imagenet1k", root)
    refused(UsageError, "needs data.path", "imagenet1k", None)


# lacuna100, lacuna10


def faces(tree: Path, counts, start: int = 1) -> Path:
    """Identity folders n000001, … with so many files each; the content of each file is its own."""
    for number, count in enumerate(counts, start):
        folder = tree / f"n{number:06d}"
        folder.mkdir(parents=True)
        for i in range(count):
            (folder / f"{i:04d}_01.jpg").write_bytes(b"%d %d" % (number, i))
    return tree


LAYOUTS = [
    "",
    "train",
    "VGG-Face2/data/train",
    "vggface2/train",
    "train_mtcnnpy_182",
    "data/vggface2_train/train_align_160",
    "VGGFace2",
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_lacuna_draws_without_replacement(layout, tmp_path):
    for number, count in enumerate((6, 5, 7, 4, 9)):
        for i in range(count):
            save(tmp_path / "v" / layout / f"n{number:06d}" / f"{i:04d}_01.jpg", number)
    faces(tmp_path / "v" / "test", [9] * 3, 900)
    found = vggface2.find_identities(tmp_path / "v")
    assert found == tmp_path / "v" / layout
    source = lacuna100.draw(found, 3, images=5, train=4)
    train, test = source.splits["train"], source.splits["test"]
    assert len(source.classes) == 3
    assert "n000003" not in source.classes
    assert source.classes == sorted(source.classes)
    assert np.bincount(train.labels).tolist() == [4, 4, 4]
    assert np.bincount(test.labels).tolist() == [1, 1, 1]
    assert len({*train.ids, *test.ids}) == 15
    assert all(id.startswith(source.classes[label]) for id, label in zip(train.ids, train.labels, strict=True))
    assert lacuna100.draw(found, 3, 5, 4).splits["train"].ids == train.ids
    assert train.read(0).mode == "RGB"
    assert source.notes == []
    refused(DkvbError, "0 identities with 500 images or more .of 5.; LACUNA-100 needs 100", "lacuna100", tmp_path / "v")


def test_lacuna10_is_a_part_of_lacuna100(tmp_path):
    tree = faces(tmp_path / "train", [8] * 30)
    small, large = (lacuna100.draw(tree, count, 6, 4) for count in (10, 25))
    assert set(small.classes) < set(large.classes)
    for split in ("train", "test"):
        assert set(small.splits[split].ids) < set(large.splits[split].ids)
    assert small.fingerprint != large.fingerprint
    assert len({id.split("/")[0] for id in small.splits["train"].ids}) == 10


def test_the_whole_of_lacuna10(tmp_path, cache):
    tree = faces(tmp_path / "vggface2" / "train", [500] * 9 + [499, 501, 520])
    settle(tree)
    (tmp_path / "vggface2" / "identity_meta.csv").write_text(
        'Class_ID, Name, Sample_Num, Flag, Gender\nn000001, "Jr., Robert", 500, 1, m\n', encoding="utf-8"
    )
    source = open_source(Data(source="lacuna10", path=str(tmp_path)))
    train, test = source.splits["train"], source.splits["test"]
    assert (len(train), len(test), len(source.classes)) == (4000, 1000, 10)
    assert np.bincount(train.labels).tolist() == [400] * 10
    assert len({*train.ids, *test.ids}) == 5000
    assert not any(id.startswith("n000010/") for id in train.ids)
    assert len(list(cache.glob("listings/*.json"))) == 1
    assert source.manifest is not None
    assert source.write_manifest(tmp_path / "manifest.parquet")
    import polars as pl

    table = pl.read_parquet(tmp_path / "manifest.parquet")
    assert table.columns == ["split", "id", "label", "sha256"]
    assert table["id"].to_list() == [*train.ids, *test.ids]
    assert table["label"].to_list() == [*train.labels.tolist(), *test.labels.tolist()]
    assert table["split"].to_list() == ["train"] * 4000 + ["test"] * 1000
    for row in (0, 4999):
        assert table["sha256"][row] == hashlib.sha256((tree / table["id"][row]).read_bytes()).hexdigest()
    (tree / test.ids[3]).unlink()
    with pytest.raises(DkvbError, match="was drawn for the data set"):
        source.manifest()


def test_sources_that_draw_nothing_have_no_manifest(tree, tmp_path):
    assert folder(tree).manifest is None
    assert not folder(tree).write_manifest(tmp_path / "m.parquet")
    assert not (tmp_path / "m.parquet").exists()


def test_lacuna_as_scrub_draws_it_leaks_and_says_so(tmp_path):
    tree = faces(tmp_path / "train", [40] * 6)
    source = lacuna100.draw(tree, 6, 40, 32, compat=True)
    clean = lacuna100.draw(tree, 6, 40, 32)
    train, test = source.splits["train"], source.splits["test"]
    assert np.bincount(train.labels).tolist() == [32] * 6
    assert np.bincount(test.labels).tolist() == [8] * 6
    assert train.ids == lacuna100.draw(tree, 6, 40, 32, compat=True).splits["train"].ids
    assert len(set(train.ids)) < len(train)
    rows = source.manifest()
    hashes = {
        split: content_hashes(np.array([[float(int(row["sha256"][:6], 16))] for row in rows if row["split"] == split]))
        for split in ("train", "test")
    }
    labels = {split: found.labels for split, found in source.splits.items()}
    leaks = find_leaks(hashes, labels, source.classes)
    assert leaks.shared == sum(id in set(train.ids) for id in test.ids) > 10
    assert f"{leaks.shared} of 48 test images ({leaks.shared / 48:.0%}) are training images too" in source.notes[0]
    drawn = [train.ids[row].split("/")[0] for row in range(0, 192, 32)]
    assert len(set(drawn)) < 6
    assert f"{6 - len(set(drawn))} of 6 classes are an identity that already is one" in source.notes[0]
    assert any("#2" in name for name in source.classes)
    assert leaks.across_classes > 0
    assert source.fingerprint != clean.fingerprint
    assert clean.notes == []
    assert not set(clean.splits["train"].ids) & set(clean.splits["test"].ids)


def test_compat_reaches_the_draw(tmp_path):
    faces(tmp_path / "train", [500] * 10)
    plain, leaky = (
        open_source(Data(source="lacuna10", path=str(tmp_path), compat=compat)) for compat in ("none", "scrub")
    )
    assert plain.notes == []
    assert 'compat = "scrub" draws with replacement' in leaky.notes[0]
    share = np.mean([id in set(leaky.splits["train"].ids) for id in leaky.splits["test"].ids])
    assert 0.45 < share < 0.85
    refused(DkvbError, "LACUNA-100 needs 100", "lacuna100", tmp_path, compat="scrub")


META = """Class_ID, Name, Sample_Num, Flag, Gender
n000001, "14th_Dalai_Lama", 424, 0, m
n000002, "Downey,_Robert,_Jr.", 315, 1, m
n000003,"Alphonse ""Scarface"" Capone", 205, 1, m
n000004, Smith, John, 387, 1, m
n000005, Smith, John, 100, 1, m
n000006, "Sinéad_O'Connor", 12, 1, f
"""


@pytest.mark.parametrize("place", ["identity_meta.csv", "meta/identity_meta.csv", "VGG-Face2/meta/identity_meta.csv"])
def test_identities_bear_the_names_of_the_metadata(place, tmp_path):
    tree = faces(tmp_path / "VGG-Face2" / "data" / "train", [5] * 7)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("\ufeff" + META, encoding="utf-8")
    source = lacuna100.draw(tree, 7, 5, 4)
    assert source.classes == [
        "14th_Dalai_Lama",
        "Downey,_Robert,_Jr.",
        'Alphonse "Scarface" Capone',
        "Smith, John (n000004)",
        "Smith, John (n000005)",
        "Sinéad_O'Connor",
        "n000007",
    ]
    assert source.splits["train"].ids[0].startswith("n000001/")
    (tmp_path / place).write_text("nothing\nof use\n", encoding="utf-8")
    source = lacuna100.draw(tree, 7, 5, 4)
    assert source.classes[0] == "n000001"
    assert "no readable columns Class_ID and Name" in source.notes[0]


def test_lacuna_arrays(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
    for split, data in (("train", pixels), ("test", pixels.transpose(0, 2, 3, 1))):
        (tmp_path / "lacuna100" / split).mkdir(parents=True)
        np.save(tmp_path / "lacuna100" / split / "data.npy", data)
        np.save(tmp_path / "lacuna100" / split / "label.npy", np.arange(6) % 2)
    source = open_source(Data(source="lacuna100", path=str(tmp_path)))
    assert source.classes == ["0", "1"]
    assert source.splits["train"].labels.tolist() == [0, 1, 0, 1, 0, 1]
    for split in ("train", "test"):
        assert (np.asarray(source.splits[split].read(4)) == pixels[4].transpose(1, 2, 0)).all()
    np.save(tmp_path / "lacuna100" / "test" / "data.npy", pixels.astype(np.float32))
    refused(DkvbError, "float32.*must be uint8", "lacuna100", tmp_path)
    np.save(tmp_path / "lacuna100" / "test" / "label.npy", np.arange(5))
    np.save(tmp_path / "lacuna100" / "test" / "data.npy", pixels)
    refused(DkvbError, "one integer", "lacuna100", tmp_path)
    refused(UsageError, "no identity folders", "lacuna100", save(tmp_path / "other" / "x.png").parent)
    (tmp_path / "lacuna100").rename(tmp_path / "lacuna10")
    np.save(tmp_path / "lacuna10" / "test" / "label.npy", np.arange(6) % 2)
    for place in (tmp_path, tmp_path / "lacuna10"):
        assert len(open_source(Data(source="lacuna10", path=str(place))).splits["test"]) == 6


# cifar


def cifar10(root: Path, protocol: int = 2) -> Path:
    """Tiny batches in the official layout: image i of every batch is of class i."""
    base = root / "cifar-10-batches-py"
    base.mkdir(parents=True)
    for b, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        data = np.zeros((10, 3072), np.uint8)
        data[:, 0], data[:, 1], data[:, 1024], data[:, 2048] = np.arange(10), b, 7, 9
        (base / name).write_bytes(pickle.dumps({b"data": data, b"labels": list(range(10))}, protocol))
    (base / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"c%d" % i for i in range(10)]}, protocol))
    return base


def packed(base: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(base, arcname=base.name)
    return archive


def test_cifar10_in_official_order_from_folder_parent_and_archive(tmp_path):
    base = cifar10(tmp_path)
    archive = packed(base, tmp_path / "elsewhere.tar.gz")
    (tmp_path / "holder").mkdir()
    packed(base, tmp_path / "holder" / "cifar-10-python.tar.gz")
    sources = [
        open_source(Data(source="cifar10", path=str(path))) for path in (base, tmp_path, archive, tmp_path / "holder")
    ]
    assert len({source.fingerprint for source in sources}) == 1
    source = sources[0]
    train, test = source.splits["train"], source.splits["test"]
    assert source.classes[3] == "c3"
    assert list(train.ids[:2]) == ["0", "1"]
    assert len(train) == 50
    assert test.ids[-1] == "9"
    assert train.labels.tolist() == list(range(10)) * 5
    assert train.labels.dtype == np.int64
    image = train.read(23)
    # plane by plane, row by row: red of the first two pixels, green and blue of the first
    assert image.size == (32, 32)
    assert image.getpixel((0, 0)) == (3, 7, 9)
    assert image.getpixel((1, 0)) == (2, 0, 0)
    assert len(source.notes) == 1
    assert "md5 of data_batch_1, " in source.notes[0]
    assert "read with a restricted reader" in source.notes[0]
    assert not list(tmp_path.glob("holder/*batches*"))


def test_cifar100_has_fine_labels(tmp_path):
    base = tmp_path / "cifar-100-python"
    base.mkdir()
    data = np.zeros((100, 3072), np.uint8)
    for name in ("train", "test"):
        entry = {b"data": data, b"fine_labels": list(range(100)), b"coarse_labels": [0] * 100}
        (base / name).write_bytes(pickle.dumps(entry, 2))
    names = {b"fine_label_names": [b"f%d" % i for i in range(100)], b"coarse_label_names": [b"x"] * 20}
    (base / "meta").write_bytes(pickle.dumps(names, 2))
    source = open_source(Data(source="cifar100", path=str(tmp_path)))
    assert source.classes[99] == "f99"
    assert source.splits["test"].labels.tolist() == list(range(100))


class Evil:
    def __reduce__(self):
        return (print, ("unpickled code ran",))


def test_cifar_never_runs_what_a_pickle_asks_for(tmp_path, capsys):
    base = cifar10(tmp_path)
    (base / "data_batch_3").write_bytes(pickle.dumps({b"data": Evil()}, 2))
    refused(DkvbError, r"data_batch_3.*builtins\.print|data_batch_3.*__builtin__\.print", "cifar10", tmp_path)
    assert capsys.readouterr().out == ""
    for hostile in (
        b"cos\nsystem\n(S'true'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.",
    ):
        with pytest.raises(ValueError, match=r"posix|os\.system|numpy\.load|rot13"):
            load_arrays(hostile)
    assert load_arrays(pickle.dumps({"a": np.float32(1.5), "b": b"\xff"}, 2))["b"] == b"\xff"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        "half",
        pickle.dumps({b"labels": []}, 2),
        pickle.dumps({b"data": np.zeros((2, 5), np.uint8), b"labels": [0, 1]}, 2),
        "labels",
    ],
)
def test_damaged_cifar_batches_are_named(content, tmp_path):
    base = cifar10(tmp_path)
    if content == "half":
        content = (base / "data_batch_2").read_bytes()[:9000]
    if content == "labels":
        content = pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]}, 2)
    (base / "data_batch_2").write_bytes(content)
    refused(DkvbError, "data_batch_2 in .* is (damaged|not a CIFAR batch)", "cifar10", base)


def test_incomplete_cifar(tmp_path, monkeypatch):
    base = cifar10(tmp_path)
    archive = packed(base, tmp_path / "a.tar.gz")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    refused(DkvbError, "a.tar.gz cannot be read", "cifar10", archive)
    (base / "batches.meta").unlink()
    refused(DkvbError, "lacks batches.meta", "cifar10", base)
    (tmp_path / "x.txt").write_text("x")
    refused(UsageError, "not a tar archive", "cifar10", tmp_path / "x.txt")
    refused(UsageError, "does not exist", "cifar10", tmp_path / "gone.tar.gz")


@pytest.mark.parametrize("path", [None, "here"])
def test_failed_cifar_download_says_what_to_do(path, tmp_path, monkeypatch):
    def fail(*args, **options):
        raise OSError("network is down")

    monkeypatch.setattr("urllib.request.urlopen", fail)
    monkeypatch.setattr(download, "PAUSE", 0.0)
    where = tmp_path / "cache" / "dkvb" / "cifar100" if path is None else tmp_path / path
    text = refused(NotHere, "network is down", "cifar100", None if path is None else where)
    for part in ("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", str(where), "--data-root"):
        assert part in text


class Ranged(http.server.BaseHTTPRequestHandler):
    """Sends `content`; the n-th answer breaks off at the n-th of `cuts`, or is that status where it is one below
    600."""

    content = bytes(range(256)) * 4000
    cuts: ClassVar[list[int]] = []
    asked: ClassVar[list[str | None]] = []
    ranges = True
    pause = 0.0

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        cut = self.cuts.pop(0) if self.cuts else len(self.content)
        if cut < 600:
            self.send_error(cut)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if wanted and self.ranges else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        with contextlib.suppress(OSError):
            for place in range(start, cut, 100_000):
                self.wfile.write(self.content[place : min(cut, place + 100_000)])
                time.sleep(self.pause)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """A handler class whose `url` serves its content, with no pauses between tries."""
    monkeypatch.setattr(download, "PAUSE", 0.0)
    handler = type("Handler", (Ranged,), {"cuts": [], "asked": []})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    handler.url = f"http://127.0.0.1:{running.server_port}/a.tar.gz"
    yield handler
    running.shutdown()
    running.server_close()


MD5 = hashlib.md5(Ranged.content).hexdigest()


def test_a_download_goes_on_where_it_broke(tmp_path, server):
    target = tmp_path / "sub" / "a.tar.gz"
    part = target.with_name("a.tar.gz.part")
    server.cuts[:] = [300_000, 500_000]
    with pytest.raises(OSError, match="broke after 500,000 of 1,024,000 bytes; tried 2 times"):
        download.download(server.url, target, MD5, tries=2)
    assert not target.exists()
    # what another process left is continued too
    download.download(server.url, target, MD5)
    assert target.read_bytes() == server.content
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]
    download.download(server.url, target, MD5)
    assert len(server.asked) == 3
    # a finished part that was not renamed before a kill
    target.rename(part)
    download.download(server.url, target, MD5)
    assert target.is_file()
    assert not part.exists()


def test_a_download_is_tried_several_times(tmp_path, server, monkeypatch):
    server.cuts[:] = [503, 200_000, 500, 700_000]
    download.download(server.url, tmp_path / "a", MD5)
    assert server.asked == [None, None, "bytes=200000-", "bytes=200000-", "bytes=700000-"]
    server.asked.clear()
    server.cuts[:] = [404]
    with pytest.raises(OSError, match="HTTP 404"):
        download.download(server.url, tmp_path / "b", MD5)
    assert len(server.asked) == 1
    with pytest.raises(OSError, match="refused; tried 5 times"):
        download.download("http://127.0.0.1:9/a", tmp_path / "c", MD5)
    server.pause = 0.05
    monkeypatch.setattr(download, "WINDOW", 0.02)
    monkeypatch.setattr(download, "SLOWEST", 1e9)
    with pytest.raises(OSError, match="sends only .* bytes a second; tried 2 times"):
        download.download(server.url, tmp_path / "d", MD5, tries=2)
    server.pause = 2.0
    with pytest.raises(OSError, match="timed out; tried 1 times"):
        download.download(server.url, tmp_path / "e", MD5, tries=1, timeout=0.2)


def test_a_download_of_another_content_is_thrown_away(tmp_path, server):
    target, part = tmp_path / "a", tmp_path / "a.part"
    with pytest.raises(OSError, match="md5 differs"):
        download.download(server.url, target, "0" * 32)
    assert not target.exists()
    assert not part.exists()
    assert len(server.asked) == 1
    # a part of something else: thrown away, and fetched anew
    part.write_bytes(b"something else")
    download.download(server.url, target, MD5)
    assert target.read_bytes() == server.content
    # a server that cannot resume
    target.unlink()
    server.ranges, server.cuts[:] = False, [400_000]
    download.download(server.url, target, MD5)
    assert target.read_bytes() == server.content


def test_cifar10_is_downloaded_in_pieces_and_opened(tmp_path, server, monkeypatch, cache):
    import torchvision.datasets

    archive = packed(cifar10(tmp_path), tmp_path / "made.tar.gz").read_bytes()
    server.content = archive + b"\0" * 300_000
    server.cuts[:] = [1_000, 503, 100_000]
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", server.url)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", hashlib.md5(server.content).hexdigest())
    assert len(open_source(Data(source="cifar10")).splits["train"]) == 50
    assert (cache / "cifar10" / "cifar-10-python.tar.gz").read_bytes() == server.content
    assert len(server.asked) == 4
    open_source(Data(source="cifar10"))
    assert len(server.asked) == 4
    server.cuts[:] = [1_000] * 9
    text = refused(NotHere, "tried 5 times", "cifar10", tmp_path / "new")
    for word in (
        "cifar-10-python.tar.gz",
        hashlib.md5(server.content).hexdigest(),
        f"put it in {tmp_path / 'new'}",
        "--data-root",
    ):
        assert word in text


# features


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
        (bad(y=np.ones((40, 1), int)), None, r"y has shape \(40, 1\)"),
        (bad(y=np.ones(40)), None, "labels must be integers"),
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
        refused(DkvbError, r"train\.npz", "features", tmp_path / "f")
    refused(UsageError, "is a file", "features", tmp_path / "f" / "test.npz")
    refused(UsageError, "needs data.path", "features", None)
    refused(UsageError, "does not exist", "features", tmp_path / "gone")
    (tmp_path / "e").mkdir()
    refused(UsageError, "is empty", "features", tmp_path / "e")
    (tmp_path / "e" / "x.txt").write_text("x")
    refused(UsageError, "neither train.npz nor img_emb", "features", tmp_path / "e")


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
    assert source.notes == ["no test samples for class cat: its test accuracy is undefined"]


def test_clip_retrieval_without_splits(tmp_path):
    clip_retrieval(tmp_path, {0: 10}, lambda row: row % 2, column="y")
    source = open_source(Data(source="features", path=str(tmp_path), test=0.2))
    assert source.classes == ["0", "1"]
    assert len(source.splits["test"]) == 2
    assert "no test features" in source.notes[0]


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
    refused(DkvbError, "one of each per shard", "features", tmp_path / "c")
    clip_retrieval(tmp_path / "d" / "train", {0: 4}, lambda row: "ab"[row % 2])
    clip_retrieval(tmp_path / "d" / "test", {0: 4}, lambda row: "c")
    refused(DkvbError, "no training samples for class 'c'", "features", tmp_path / "d")


# real data


@shared
def test_real_features():
    source = open_source(Data(source="features", path=str(SHARED / "clip-food10")))
    assert source.dim == 512
    assert len(source.classes) == 10
    assert (len(source.splits["train"]), len(source.splits["test"])) == (2000, 500)


@shared
def test_real_image_folder(tmp_path):
    script = SHARED / "unpack_cifar10.py"
    subprocess.run([sys.executable, script, "folder", tmp_path, "--train", "500", "--test", "100"], check=True)
    source = folder(tmp_path)
    assert len(source.classes) == 10
    assert len(source.splits["train"]) == 500
    assert np.asarray(source.splits["test"].read(99)).shape == (32, 32, 3)
