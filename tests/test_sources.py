"""Sources: rows, labels and ids in a fixed order, every image form, and every refusal."""

from __future__ import annotations

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
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources import FeatureSource, ImageSource, UnreadableImage, lacuna100, open_source
from dkvb.sources.download import download
from dkvb.sources.folder import list_images, read_image
from dkvb.sources.pickles import load_arrays

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="shared data are not here")


def save(path: Path, shade: int = 0, size: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (shade, 0, 0)).save(path)
    return path


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


def test_imagenet_classes_are_wnids_unless_a_file_names_them(tmp_path):
    root = imagenet(tmp_path)
    source = open_source(Data(source="imagenet1k", path=str(root)))
    assert source.classes == ["n01440764", "n02012849", "n03126707"]
    assert source.splits["test"].labels.tolist() == [0, 1, 2]
    assert source.splits["test"].ids[0] == "val/n01440764/ILSVRC2012_val_1.JPEG"
    index = {"0": ["n01440764", "tench"], "1": ["n02012849", "crane"], "2": ["n03126707", "crane"]}
    (root / "imagenet_class_index.json").write_text(json.dumps(index))
    named = ["tench", "crane (n02012849)", "crane (n03126707)"]
    assert open_source(Data(source="imagenet1k", path=str(root))).classes == named
    (root / "LOC_synset_mapping.txt").write_text("n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane\n")
    assert open_source(Data(source="imagenet1k", path=str(root))).classes == named
    (root / "LOC_synset_mapping.txt").write_text("n01440764\n")
    refused(DkvbError, "LOC_synset_mapping.txt cannot be read", "imagenet1k", root)


def test_imagenet_refusals(tmp_path):
    import shutil

    root = imagenet(tmp_path / "i")
    shutil.rmtree(root / "val")
    refused(UsageError, "no val/ folder", "imagenet1k", root)
    save(root / "val" / "flat.JPEG")
    refused(UsageError, "sort its images into val/<wnid>", "imagenet1k", root)
    refused(UsageError, "needs data.path", "imagenet1k", None)


# lacuna100


@pytest.mark.parametrize("layout", ["train", "VGG-Face2/data/train", "vggface2/train", "train_mtcnnpy_182"])
def test_lacuna_draws_without_replacement(layout, tmp_path):
    for number, count in enumerate((6, 5, 7, 4, 9)):
        for i in range(count):
            save(tmp_path / layout / f"n{number:06d}" / f"{i:04d}_01.jpg", number)
    found = lacuna100.find_identities(tmp_path)
    assert found == tmp_path / layout
    source = lacuna100.draw(found, identities=3, images=5, train=4)
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
    refused(DkvbError, "0 identities with 500 images or more .of 5.; LACUNA-100 needs 100", "lacuna100", tmp_path)


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
    sources = [open_source(Data(source="cifar10", path=str(path))) for path in (base, tmp_path, archive, tmp_path / "holder")]
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
    for hostile in (b"cos\nsystem\n(S'true'\ntR.", b"cnumpy\nload\n(S'x'\ntR.", b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR."):
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
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    where = tmp_path / "cache" / "dkvb" / "cifar100" if path is None else tmp_path / path
    text = refused(DkvbError, "network is down", "cifar100", None if path is None else where)
    for part in ("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", str(where), "--data-root"):
        assert part in text


class Ranged(http.server.BaseHTTPRequestHandler):
    content = bytes(range(256)) * 4000
    cut: int | None = None
    asked: ClassVar[list[str | None]] = []

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(self.content):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start : self.cut])

    def log_message(self, *args):
        pass


def test_a_download_goes_on_where_it_broke(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranged)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url, target = f"http://127.0.0.1:{server.server_port}/a.tar.gz", tmp_path / "sub" / "a.tar.gz"
        md5 = hashlib.md5(Ranged.content).hexdigest()
        Ranged.cut = 300_000
        with pytest.raises(OSError, match="broke after 300,000 of 1,024,000 bytes"):
            download(url, target, md5)
        assert not target.exists()
        Ranged.cut = None
        download(url, target, md5)
        assert target.read_bytes() == Ranged.content
        assert Ranged.asked == [None, "bytes=300000-"]
        download(url, target, md5)
        assert len(Ranged.asked) == 2
        # a finished part that was not renamed before a kill
        target.rename(target.with_name("a.tar.gz.part"))
        download(url, target, md5)
        target.unlink()
        with pytest.raises(OSError, match="md5 differs"):
            download(url, target, "0" * 32)
        assert not target.exists()
        assert not target.with_name("a.tar.gz.part").exists()
        with pytest.raises(OSError, match="refused"):
            download("http://127.0.0.1:9/a", tmp_path / "b", md5)
    finally:
        server.shutdown()
        server.server_close()


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
        (bad(classes=np.array(list("abcd"))), {**arrays(8), "classes": np.array(list("dcba"))}, "list different classes"),
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
        pl.DataFrame({"image_path": [f"{row}.jpg" for row in rows], column: [labels(row) for row in rows]}).write_parquet(
            root / "metadata" / f"metadata_{number}.parquet"
        )
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
