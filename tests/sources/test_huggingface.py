"""Hugging Face data sets, made by `datasets` itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from dkvb.errors import DkvbError, NotHere, UsageError
from dkvb.recipe import Data
from dkvb.sources.base import FeatureSource, ImageSource
from dkvb.sources.huggingface import open_features, open_images
from dkvb.sources.opening import open_source
from source_files import refused

SHADES = {"train": 0, "test": 100, "validation": 200}
Refusal = Callable[..., str]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache/datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def images(split: str, count: int, label: object = None) -> datasets.Dataset:
    """Image i is of shade i, and of class i % 3."""
    pictures = [Image.new("RGB", (4, 4), (SHADES[split] + i, 0, 0)) for i in range(count)]
    kinds = {"image": datasets.Image(), "label": label or datasets.ClassLabel(names=["cat", "ant", "bee"])}
    labels = [["cat", "ant", "bee"][i % 3] if label else i % 3 for i in range(count)]
    return datasets.Dataset.from_dict({"image": pictures, "label": labels}, datasets.Features(kinds))


def opened(path: object, **options: object) -> ImageSource:
    return open_images(Data(source="huggingface", path=str(path), **options))


def shades(source: ImageSource, split: str) -> list[int]:
    found = source.splits[split]
    return [found.read(row).getpixel((0, 0))[0] for row in range(len(found))]


def test_a_saved_dictionary_keeps_rows_names_and_splits(tmp_path: Path) -> None:
    datasets.DatasetDict(train=images("train", 9), test=images("test", 6)).save_to_disk(tmp_path / "saved")
    source = opened(tmp_path / "saved")
    assert source.classes == ["cat", "ant", "bee"]
    assert source.splits["test"].labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert (shades(source, "train"), shades(source, "test")) == (list(range(9)), list(range(100, 106)))
    assert source.splits["train"].ids == [str(row) for row in range(9)]
    assert source.notes == []
    assert opened(tmp_path / "saved").fingerprint == source.fingerprint


def test_one_saved_data_set_is_divided_and_other_rows_have_another_fingerprint(tmp_path: Path) -> None:
    for name, count in (("a", 30), ("b", 33)):
        images("train", count).select(range(count)).save_to_disk(tmp_path / name)
    source = opened(tmp_path / "a", test=0.2)
    assert (len(source.splits["train"]), len(source.splits["test"])) == (24, 6)
    held = [int(id) for id in source.splits["test"].ids]
    assert shades(source, "test") == held
    assert source.splits["test"].labels.tolist() == [row % 3 for row in held]
    assert "split off 20% of every class" in source.notes[0]
    assert source.fingerprint != opened(tmp_path / "a", test=0.4).fingerprint
    assert source.fingerprint != opened(tmp_path / "b", test=0.2).fingerprint


def test_parquet_files_are_read_with_their_splits_and_changed_ones_are_not_the_old(tmp_path: Path) -> None:
    for split, rows in (("train", images("train", 9)), ("test", images("test", 6))):
        rows.to_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet")
    first = opened(tmp_path / "data")
    assert shades(first, "test") == list(range(100, 106))
    assert first.fingerprint == opened(tmp_path / "data").fingerprint
    images("validation", 6).to_parquet(tmp_path / "data/test-00000-of-00001.parquet")
    assert shades(opened(tmp_path / "data"), "test") == list(range(200, 206))
    assert opened(tmp_path / "data").fingerprint != first.fingerprint


def test_parquet_of_another_library_and_text_labels(tmp_path: Path) -> None:
    rows = images("train", 12, datasets.Value("string")).cast_column("image", datasets.Image(decode=False))
    plain = {"picture": [cell["bytes"] for cell in rows["image"]], "kind": rows["label"][:]}
    datasets.Dataset.from_dict(plain).to_parquet(tmp_path / "one.parquet")
    source = opened(tmp_path / "one.parquet", x_column="picture", y_column="kind", test=0.25)
    assert source.classes == ["ant", "bee", "cat"]
    assert [(int(id) % 3 + 2) % 3 for id in source.splits["train"].ids] == source.splits["train"].labels.tolist()
    assert shades(source, "train") == [int(id) for id in source.splits["train"].ids]


def test_validation_stands_in_for_a_test_split_without_labels(tmp_path: Path) -> None:
    kept_back = images("test", 6).map(lambda row: {"label": -1})
    held = {"train": images("train", 9), "validation": images("validation", 3), "test": kept_back}
    datasets.DatasetDict(held).save_to_disk(tmp_path / "saved")
    source = opened(tmp_path / "saved")
    assert shades(source, "test") == [200, 201, 202]
    assert source.notes == ["split 'test' (6 rows) has no labels: not used", "split 'validation' is the test set"]
    with pytest.raises(DkvbError, match=r"labels out of range in 6 rows \(row 0 has -1\)"):
        opened(tmp_path / "saved", test="test")
    with pytest.raises(UsageError, match=r"There is no split 'tset' \(data.test\); there are train, validation, test"):
        opened(tmp_path / "saved", test="tset")


def test_a_damaged_image_is_named_and_exif_turns_where_asked(tmp_path: Path) -> None:
    turned = Image.new("RGB", (4, 2))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    cells = [(tmp_path / "turned.jpg").read_bytes(), b"no image"] * 4
    rows = {"image": [{"bytes": cell, "path": None} for cell in cells], "label": [0, 1] * 4}
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    datasets.Dataset.from_dict(rows, kinds).save_to_disk(tmp_path / "saved")
    for rotate, size in ((False, (4, 2)), (True, (2, 4))):
        split = opened(tmp_path / "saved", exif_rotate=rotate, test=0.25).splits["train"]
        for row, label in enumerate(split.labels.tolist()):
            if label:
                with pytest.raises(DkvbError, match=rf"train {split.ids[row]} cannot be read as an image: it is no"):
                    split.read(row)
            else:
                assert split.read(row).size == size


def test_embeddings(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((12, 5)).astype(np.float32)
    held = {"clip": x.tolist(), "label": ["u", "v", "w"] * 4}
    datasets.Dataset.from_dict(held).save_to_disk(tmp_path / "saved")
    data = Data(source="huggingface-features", path=str(tmp_path / "saved"), test=0.25)
    source = open_source(data)
    assert isinstance(source, FeatureSource)
    rows = [int(id) for id in source.splits["train"].ids]
    np.testing.assert_array_equal(source.splits["train"].features[:], x[rows])
    assert (source.classes, source.dim, len(rows)) == (["u", "v", "w"], 5, 9)
    assert open_features(data).fingerprint == source.fingerprint
    refused(UsageError, 'For embeddings, set source = "huggingface-features"', "huggingface", tmp_path / "saved")
    short = datasets.Dataset.from_dict({"clip": [*x.tolist()[:-1], [1.0]], "label": ["u", "v", "w"] * 4})
    short.save_to_disk(tmp_path / "short")
    refused(DkvbError, "row 11 has 1 numbers where others have 5", "huggingface-features", tmp_path / "short")


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images("train", 6).rename_column("label", "what").cast_column("what", datasets.Value("int64")).save_to_disk(
        tmp_path / "unnamed"
    )
    refused(UsageError, r"it has image, what\); say which one", "huggingface", tmp_path / "unnamed")
    refused(UsageError, "no column 'wat'.*did you mean 'what'", "huggingface", tmp_path / "unnamed", y_column="wat")
    (tmp_path / "empty").mkdir()
    refused(UsageError, "is empty", "huggingface", tmp_path / "empty")
    refused(UsageError, "does not exist", "huggingface", tmp_path / "nowhere")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no more")
    refused(DkvbError, "cannot be read with datasets", "huggingface", tmp_path / "broken.parquet")
    refused(NotHere, r"nobody/nothing.*cannot be had from the hub.*save_to_disk", "huggingface", "nobody/nothing")
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused(UsageError, r"pip install 'dkvb\[huggingface\]'", "huggingface", tmp_path / "unnamed")
