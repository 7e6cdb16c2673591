"""Tar files of samples, made by webdataset itself."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import webdataset
from PIL import Image

from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources import tars
from dkvb.sources.base import ImageSource
from dkvb.sources.webdataset import open_webdataset
from source_files import refused


def picture(shade: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (shade, 0, 0))


def write(path: Path, samples: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path)) as writer:
        for number, sample in enumerate(samples):
            writer.write({"__key__": f"{number:06d}", **sample})
    return path


def plain(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"png": picture(start + i), "cls": i % 2} for i in range(count)]


def opened(path: Path, **options: Any) -> ImageSource:
    return open_webdataset(Data(source="webdataset", path=str(path), **options))


def shades(source: ImageSource, split: str) -> list[int]:
    found = source.splits[split]
    return [found.read(row).getpixel((0, 0))[0] for row in range(len(found))]


def test_shards_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    with webdataset.ShardWriter(str(tmp_path / "tars/train-%d.tar"), maxcount=2, verbose=0) as writer:
        for i in range(22):
            writer.write({"__key__": f"{i:06d}", "png": picture(i), "cls": i % 2})
    write(tmp_path / "tars/test-0.tar", plain(4, 100))
    (tmp_path / "tars/classes.txt").write_text("cat\ndog\n")
    source = opened(tmp_path / "tars")
    assert shades(source, "train") == list(range(22))
    assert source.splits["train"].labels.tolist() == [0, 1] * 11
    assert source.splits["train"].ids[20:] == ["train-10/000020", "train-10/000021"]
    assert (shades(source, "test"), source.classes) == ([100, 101, 102, 103], ["cat", "dog"])
    assert (source.notes, source.doubts, source.passed_over) == ([], [], {})


def test_folders_tell_the_splits_and_validation_stands_in_for_test(tmp_path: Path) -> None:
    write(tmp_path / "train/000.tar", plain(4))
    write(tmp_path / "val/000.tar", plain(2, 50))
    source = opened(tmp_path)
    assert (shades(source, "train"), shades(source, "test")) == ([0, 1, 2, 3], [50, 51])
    assert source.notes == ["validation files are the test set (000.tar)"]
    write(tmp_path / "elsewhere/x.tar", plain(2, 70))
    again = opened(tmp_path, train="train", test="elsewhere/x.tar")
    assert (shades(again, "train"), shades(again, "test")) == ([0, 1, 2, 3], [70, 71])


def test_labels_as_text_and_in_json(tmp_path: Path) -> None:
    names = ["dog", "cat", "dog", "cat"]
    texts = [{"jpg": picture(10 * i), "txt": name} for i, name in enumerate(names)]
    source = opened(write(tmp_path / "a.tar", texts), test=0.5)
    assert source.classes == ["cat", "dog"]
    both = {id: label for split in source.splits.values() for id, label in zip(split.ids, split.labels, strict=True)}
    assert [both[f"a/{i:06d}"] for i in range(4)] == [1, 0, 1, 0]
    captions = [{"png": picture(i), "txt": f"photo {i}", "json": {"label": i % 2}} for i in range(4)]
    assert opened(write(tmp_path / "b.tar", captions), test=0.5).classes == ["0", "1"]
    kinds = [{"png": picture(i), "json": {"label": 5, "kind": names[i]}} for i in range(4)]
    assert opened(write(tmp_path / "c.tar", kinds), test=0.5, y_column="kind").classes == ["cat", "dog"]
    counted = [{"png": picture(i), "cls": 1 + i % 2} for i in range(4)]
    assert opened(write(tmp_path / "d.tar", counted), test=0.5, labels="from-1").classes == ["1", "2"]
    refused(DkvbError, 'no training samples for class 0.*"sparse"', "webdataset", tmp_path / "d.tar")


def test_what_is_no_part_of_a_sample_is_counted_by_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "train-0.tar", plain(4))
    with tarfile.open(path, "a") as archive:
        for name in ("README.md", "LICENSE", "._000000.png", "orphan.md"):
            archive.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "000000.png"
        archive.addfile(link)
    (tmp_path / "notes.md").write_text("no tar")
    source = opened(tmp_path)
    assert len(source.splits["train"]) + len(source.splits["test"]) == 4
    assert {reason: of.count for reason, of in source.passed_over.items()} == {
        "another kind of file (.md)": 1,
        "left by the operating system": 1,
        "no part of a sample (no extension)": 1,
        "no part of a sample (.md)": 2,
        "a link in a tar": 1,
    }


def test_a_sample_without_image_or_label_is_named_or_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", [*plain(4), {"png": picture(9)}, {"cls": 1}])
    refused(DkvbError, r"1 samples have no image \(a/000005\)", "webdataset", path)
    source = opened(path, on_bad="skip", test=0.5)
    assert len(source.splits["train"]) + len(source.splits["test"]) == 4
    assert source.passed_over["a sample without label"].example == "a/000004"
    assert source.passed_over["a sample without image"].count == 1


def test_a_sample_of_two_images_needs_to_know_which(tmp_path: Path) -> None:
    samples = [{"left.png": picture(i), "right.png": picture(100 + i), "cls": i % 2} for i in range(4)]
    path = write(tmp_path / "a.tar", samples)
    refused(DkvbError, "images of one sample; x_column", "webdataset", path)
    source = opened(path, x_column="right.png", test=0.5)
    assert sorted(shades(source, "train") + shades(source, "test")) == [100, 101, 102, 103]


def test_damage_and_compression_are_named_with_the_fix(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", plain(4))
    content = path.read_bytes()
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed/train.tar.gz").write_bytes(gzip.compress(content))
    refused(UsageError, r"is compressed.*`gzip -d` it first", "webdataset", tmp_path / "packed")
    (tmp_path / "cut.tar").write_bytes(content[:3000])
    refused(DkvbError, r"truncated", "webdataset", tmp_path / "cut.tar")
    (tmp_path / "text.tar").write_text("not a tar file")
    refused(DkvbError, r"cannot be read as a tar file", "webdataset", tmp_path / "text.tar")
    with tarfile.open(path, "a") as archive:
        archive.addfile(tarfile.TarInfo("000000.png"))
    refused(DkvbError, r"holds 000000.png more than once", "webdataset", path)
    refused(UsageError, r"has no training files", "webdataset", write(tmp_path / "b/test-0.tar", plain(2)).parent)
    unlabelled = write(tmp_path / "c.tar", [{"png": picture(0)}])
    refused(UsageError, r"no sample has a label in .cls.*its members end in .png", "webdataset", unlabelled)


def test_an_index_is_remembered_until_the_tar_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "tars/a.tar", plain(4))
    opened(path, test=0.5)
    assert not (cache / "tars").exists(), "it was written a moment ago, and may change again"
    monkeypatch.setattr(tars, "SETTLED", -60.0)
    first = opened(path, test=0.5)
    (kept,) = (cache / "tars").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(tars, "_read", lambda *_: pytest.fail("the headers are read again"))
        assert shades(opened(path, test=0.5), "train") == shades(first, "train")
    kept.write_bytes(b"damaged")
    assert shades(opened(path, test=0.5), "train") == shades(first, "train")
    write(path, plain(6, 40))
    changed = opened(path, test=0.5)
    assert sorted(shades(changed, "train") + shades(changed, "test")) == list(range(40, 46))
    assert changed.fingerprint != first.fingerprint


def test_long_names_and_paths_in_a_tar(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        for i in range(4):
            for extension, content in (("jpg", picture(i)), ("json", {"class": "ab"[i % 2]})):
                buffer = io.BytesIO()
                if isinstance(content, dict):
                    buffer.write(json.dumps(content).encode())
                else:
                    content.save(buffer, "png")
                member = tarfile.TarInfo(f"./{'deep/' * 40}{i}.{extension}")
                member.size = buffer.tell()
                buffer.seek(0)
                archive.addfile(member, buffer)
    source = opened(tmp_path / "a.tar", test=0.5)
    assert source.classes == ["a", "b"]
    assert sorted(shades(source, "train") + shades(source, "test")) == [0, 1, 2, 3]
    assert source.splits["train"].ids[0].startswith("a/deep/deep/")
