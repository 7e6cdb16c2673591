"""Listings of class folders: remembered until a directory changes, and shown while they are made."""

from __future__ import annotations

import os

import pytest

from dkvb.recipe import Data
from dkvb.sources import listing
from dkvb.sources.opening import open_source
from source_files import imagenet, plant, save, settle


@pytest.fixture
def walked(monkeypatch):
    """Names of the class folders that were read from disk."""
    names = []

    def walk(folder, fences, original=listing.walk):
        names.append(folder.name)
        return original(folder, fences)

    monkeypatch.setattr(listing, "walk", walk)
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

    for damage in (b"", b"junk", b"[]", b'{"format": 1}', b'{"format": 2}'):
        for file in cache.glob("listings/*.json"):
            file.write_bytes(damage)
        assert opened()[1].splits["train"].ids == third.splits["train"].ids
    (root / "train" / wnids[9] / "000.JPEG").rename(root / "train" / wnids[9] / "zzz.JPEG")
    assert opened()[1].splits["train"].ids != third.splits["train"].ids


def test_what_is_passed_over_is_remembered_and_what_may_change_is_not(tmp_path, cache, walked):
    root = imagenet(tmp_path / "i")
    first, second, third = (root / "train" / wnid for wnid in ("n01440764", "n02012849", "n03126707"))
    plant(first, "notes.txt", "more.txt", "odd.dat")
    plant(tmp_path / "pool", "0.png", "1.png")
    (second / "pool").symlink_to(tmp_path / "pool", target_is_directory=True)
    (third / "gone.JPEG").symlink_to(tmp_path / "gone.JPEG")
    settle(root)
    settle(tmp_path / "pool")
    os.utime(first / "odd.dat", (1e9, 1e9))

    def opened():
        walked.clear()
        source = open_source(Data(source="imagenet1k", path=str(root)))
        return {reason: (of.count, of.example) for reason, of in source.passed_over.items()}

    counted = {
        "no image (.txt)": (2, "train/n01440764/more.txt"),
        "no image (.dat)": (1, "train/n01440764/odd.dat"),
        "a link to nowhere": (1, "train/n03126707/gone.JPEG"),
    }
    assert opened() == counted
    assert len(walked) == 6
    # a link to nowhere may come to lead somewhere without its folder's time changing
    assert opened() == counted
    assert walked == ["n03126707"]
    # a file that was looked into may become an image likewise
    save(tmp_path / "one.png").rename(first / "odd.dat")
    os.utime(first / "odd.dat", (1e9, 1e9))
    settle(root)
    assert "no image (.dat)" not in opened()
    assert walked == ["n01440764", "n03126707"]
    # what lies behind a link is read according to where other classes are
    (root / "train" / "n99999999").symlink_to(tmp_path / "pool", target_is_directory=True)
    settle(root)
    assert opened()["a link into another class's folder, not followed"] == (1, "train/n02012849/pool")
    assert walked == ["n02012849", "n03126707", "n99999999"]


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
