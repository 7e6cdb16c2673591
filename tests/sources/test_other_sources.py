"""Every other source through `dkvb embed`, from the recipe that `dkvb init` writes; hub names; borrowed settings."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import dask
import datasets
import numpy as np
import polars as pl
import pytest
import webdataset
from PIL import Image
from typer.testing import CliRunner

from conftest import artifact_bytes
from dkvb import recipe as recipes
from dkvb import registry
from dkvb.cli import app
from dkvb.recipe import load
from dkvb.workspace import arrays

SPLITS = {"train": 60, "test": 20}
RNG = np.random.default_rng(0)
PIXELS = {split: RNG.integers(0, 255, (count, 4, 4, 3), np.uint8) for split, count in SPLITS.items()}
X = {split: pixels.reshape(len(pixels), -1)[:, :6].astype(np.float32) for split, pixels in PIXELS.items()}


def labels(split: str) -> list[str]:
    return ["ab"[i % 2] for i in range(SPLITS[split])]


def as_huggingface(folder: Path) -> None:
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    parts = {split: {"image": list(map(Image.fromarray, PIXELS[split])), "label": labels(split)} for split in SPLITS}
    made = {split: datasets.Dataset.from_dict(part, kinds) for split, part in parts.items()}
    datasets.DatasetDict(made).save_to_disk(folder / "dataset")


def as_huggingface_features(folder: Path) -> None:
    made = {split: datasets.Dataset.from_dict({"x": X[split].tolist(), "y": labels(split)}) for split in SPLITS}
    datasets.DatasetDict(made).save_to_disk(folder / "dataset")


def as_webdataset(folder: Path) -> None:
    (folder / "tars").mkdir()
    for split in SPLITS:
        with webdataset.TarWriter(str(folder / f"tars/{split}.tar")) as writer:
            for i, (pixels, name) in enumerate(zip(PIXELS[split], labels(split), strict=True)):
                writer.write({"__key__": f"{i:05d}", "png": Image.fromarray(pixels), "txt": name})


def as_table(folder: Path) -> None:
    (folder / "table").mkdir()
    for split in SPLITS:
        pl.DataFrame({"embedding": X[split], "label": labels(split)}).write_parquet(folder / f"table/{split}.parquet")


def as_list(folder: Path) -> None:
    rows = []
    for split in SPLITS:
        for i, (pixels, name) in enumerate(zip(PIXELS[split], labels(split), strict=True)):
            Image.fromarray(pixels).save(folder / f"{split}{i}.png")
            rows.append({"path": f"{split}{i}.png", "label": name, "split": split})
    pl.DataFrame(rows).write_csv(folder / "images.csv")


WRITERS: dict[str, Callable[[Path], None]] = {
    "huggingface": as_huggingface,
    "huggingface-features": as_huggingface_features,
    "webdataset": as_webdataset,
    "table": as_table,
    "list": as_list,
}


def written(source: str, folder: Path) -> None:
    """The data where the recipe of `dkvb init` looks for them, and that recipe with an encoder that is at hand."""
    WRITERS[source](folder)
    assert CliRunner().invoke(app, ["init", source]).exit_code == 0
    text = Path("dkvb.toml").read_text(encoding="utf-8")
    text = text.replace('name = "clip-vit-b32"', 'name = "pixels"').replace('weights = "openai"', "")
    Path("dkvb.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("source", WRITERS)
def test_embeds_the_data_that_its_recipe_names(source: str, tmp_path: Path) -> None:
    written(source, tmp_path)
    result = CliRunner().invoke(app, ["embed", "--json", "--strict"])
    assert result.exit_code == 0, result.stderr
    (entry,) = json.loads(result.stdout)["embed"]
    features = registry.source(source).features
    assert (entry["source"], entry["encoder"]) == (source, None if features else "pixels")
    assert (entry["train"], entry["test"], entry["classes"], entry["passed_over"]) == (60, 20, ["a", "b"], {})
    for split in SPLITS:
        stored = arrays.plain(Path(entry["artifact"]), f"{split}/features")
        if features:
            np.testing.assert_array_equal(stored, X[split])
        else:  # the encoder's features: pixels (channels, H, W), each image standardised
            pixels = PIXELS[split].transpose(0, 3, 1, 2).reshape(len(stored), -1).astype(np.float64)
            expected = (pixels - pixels.mean(1, keepdims=True)) / pixels.std(1, keepdims=True)
            np.testing.assert_allclose(stored, expected, rtol=0, atol=1e-3)
        assert arrays.plain(Path(entry["artifact"]), f"{split}/labels").tolist() == [i % 2 for i in range(len(stored))]


@pytest.mark.slow  # stages/test_embed_processes.py has the same of folders
@pytest.mark.usefixtures("forked_workers")
def test_two_workers_write_the_bits_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written("webdataset", tmp_path)
    for name in ("CHUNK", "SHARD"):
        monkeypatch.setattr(arrays, name, 16)
    as_here = "from dkvb.workspace import arrays; arrays.CHUNK = arrays.SHARD = 16"
    with dask.config.set({"distributed.worker.preload": [as_here]}):
        for words in (["--data-dir", "one"], ["--data-dir", "two", "--workers", "2"]):
            result = CliRunner().invoke(app, ["embed", *words])
            assert result.exit_code == 0, result.stderr
    one, two = (artifact_bytes(tmp_path / data) for data in ("one", "two"))
    assert one == two
    assert len([name for name in one if "/done/" in name]) == 6, "60 and 20 rows in shards of 16"


def test_a_name_on_the_hub_stays_as_it_is_where_nothing_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def path(source: str, named: str) -> str | None:
        Path("r.toml").write_text(f'[data]\nsource = "{source}"\npath = "{named}"\n')
        return load("r.toml").data.path

    assert path("huggingface", "user/name") == "user/name"
    assert path("huggingface-features", "user/name:config") == "user/name:config"
    assert path("huggingface", "./user/name") == str(tmp_path / "user/name")
    assert path("huggingface", "a/b/c") == str(tmp_path / "a/b/c")
    assert path("webdataset", "user/name") == str(tmp_path / "user/name")
    (tmp_path / "user/name").mkdir(parents=True)
    assert path("huggingface", "user/name") == str(tmp_path / "user/name")
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config: (_ for _ in ()).throw(ConnectionError(name)))
    Path("r.toml").write_text('[data]\nsource = "huggingface"\n')
    result = CliRunner().invoke(app, ["embed", "--recipe", "r.toml", "--data-root", "nobody/flowers"])
    assert result.exit_code == 1
    assert "nobody/flowers is neither a path nor in the cache of datasets" in result.stderr
    result = CliRunner().invoke(app, ["embed", "--recipe", "r.toml", "--data-root", "../flowers"])
    assert f"data.path {tmp_path.parent / 'flowers'} does not exist" in result.stderr


@pytest.mark.parametrize("name", [*WRITERS, "arrays", "image-arrays"])
def test_a_recipe_has_the_settings_of_own_data(name: str) -> None:
    entry = registry.source(name)
    recipe, other = load(name), load("features" if entry.features else "folder")
    for section in ("keys", "train", "linear", "scrub", "unlearn", "run", *(() if entry.features else ("encoder",))):
        assert getattr(recipe, section) == getattr(other, section), section
    assert recipe.data.source == recipe.name == name
    assert recipe.data.exif_rotate == (name in ("huggingface", "webdataset", "list"))
    text = recipes.builtin_text(name)
    assert text.count("[data]") == text.count("[keys]") == 1
    assert tomllib.loads(text)["data"]["validation"] == 0.1
    Path("mine.toml").write_text(f'[data]\nsource = "{name}"\n[train]\nlr = 0.2\nlabel_smoothing = 0.1\n')
    assert load("mine.toml").train == recipe.train.model_copy(update={"lr": 0.2})
