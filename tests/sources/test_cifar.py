"""CIFAR: batches in official order from a folder, its parent or an archive; pickles run nothing."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources.opening import open_source
from dkvb.sources.pickles import load_arrays
from source_files import cifar10, packed, refused


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
