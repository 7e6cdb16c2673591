"""Listings of class folders: remembered until a directory changes, and shown while they are made."""

from __future__ import annotations

import pytest

from dkvb.recipe import Data
from dkvb.sources import listing
from dkvb.sources.opening import open_source
from source_files import imagenet, settle


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
