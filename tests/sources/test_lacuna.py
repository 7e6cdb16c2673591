"""LACUNA: identities drawn from VGGFace2 without leaks, or as SCRUB draws them, and its arrays."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from dkvb.embedding.leaks import find_leaks
from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources import lacuna100, vggface2
from dkvb.sources.contents import content_hash
from dkvb.sources.opening import open_source
from source_files import faces, refused, save, settle

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
        split: [content_hash(np.array([int(row["sha256"][:6], 16)])) for row in rows if row["split"] == split]
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
