"""Images turned as their EXIF orientation says: the stage counts them, and prediction follows the recipe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from typer.testing import CliRunner

import dkvb
from conftest import artifact_bytes
from dkvb.cli import app
from dkvb.errors import DkvbError
from dkvb.inference import export, predict
from dkvb.recipe import Recipe, load
from dkvb.runtime import progress
from dkvb.stages import embed, train
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features
from source_files import photo

TEXT = """
[data]
source = "folder"
path = "photos"
exif_rotate = {rotate}
[encoder]
name = "pixels"
size = 8
[keys]
codebooks = 4
pairs = 8
dim = 4
epochs = 1
[train]
epochs = 1
[linear]
epochs = 1
"""


def recipe_of(folder: Path, rotate: bool) -> Recipe:
    path = folder / f"{'turned' if rotate else 'stored'}.toml"
    path.write_text(TEXT.format(rotate=str(rotate).lower()), encoding="utf-8")
    return load(str(path))


@pytest.fixture
def rotated(tmp_path: Path) -> Path:
    """40 training and 12 test images of two classes, a quarter of them of orientation 6."""
    for split, count, base in (("train", 20, 0), ("test", 6, 50)):
        for place, name in enumerate(("ant", "bee")):
            for i in range(count):
                photo(tmp_path / "photos" / split / name / f"{i:02}.png", 1 if i % 4 else 6, 100 * place + base + i)
    return tmp_path


def test_the_images_turned_are_counted(
    rotated: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(arrays, "CHUNK", 8)
    monkeypatch.setattr(arrays, "SHARD", 16)
    recipe = recipe_of(rotated, True)
    whole = Workspace(rotated / "whole", rotated / "reports")
    progress.silence(False)
    entry = embed.run(recipe, whole)[0]
    assert entry.turned == 2 * 5 + 2 * 2
    assert "14 of 52 images were turned as their EXIF orientation says" in capsys.readouterr().err
    assert embed.run(recipe, whole)[0].turned == 14
    # of a run that was cut short, what it had done is counted too
    original, done = embed.embed_shard, []

    def failing(job: embed.Job, shard: embed.Shard, *args: object) -> list[str]:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(shard.name)
        return original(job, shard, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(embed, "embed_shard", failing)
    with pytest.raises(KeyboardInterrupt):
        embed.run(recipe, workspace)
    monkeypatch.setattr(embed, "embed_shard", original)
    assert embed.run(recipe, workspace)[0].turned == 14
    assert artifact_bytes(workspace.root) == artifact_bytes(whole.root)


def test_images_are_as_stored_where_the_recipe_says_nothing(rotated: Path, workspace: Workspace) -> None:
    stored, turned = (embed.run(recipe_of(rotated, rotate), workspace)[0] for rotate in (False, True))
    assert stored.turned is None
    assert stored.artifact != turned.artifact
    marks = [json.loads(path.read_text()) for path in Path(stored.artifact).glob("done/*.json")]
    assert [sorted(mark) for mark in marks] == [["bad", "rows"]] * 2
    a, b = (
        arrays.read(need_features(recipe_of(rotated, rotate), workspace), "train/features") for rotate in (False, True)
    )
    differ = (a != b).any(1)
    assert differ.tolist() == [i % 4 == 0 for i in range(20)] * 2


def test_prediction_turns_images_as_training_did(rotated: Path, workspace: Workspace) -> None:
    recipe = recipe_of(rotated, True)
    embed.run(recipe, workspace)
    train.run(recipe, workspace)
    model = dkvb.load(workspace.root)
    expected = model(arrays.read(need_features(recipe, workspace), "test/features"))
    export.run(model, rotated / "out", workspace)
    files = [rotated / "photos" / "test" / name / f"{i:02}.png" for name in ("ant", "bee") for i in range(6)]
    assert json.loads((rotated / "out" / "config.json").read_text())["exif_rotate"] is True
    for one in (model, dkvb.load(rotated / "out")):
        probabilities = [entry.probability for entry in predict.run(one, files).predict]
        np.testing.assert_allclose(probabilities, np.exp(expected).max(1) / np.exp(expected).sum(1), rtol=1e-5)
        images = [Image.open(file) for file in files]
        np.testing.assert_array_equal(one.images(images).numpy(), expected)
        np.testing.assert_array_equal(
            one.images([ImageOps.exif_transpose(image) for image in images]).numpy(), expected
        )


def test_predicting_a_folder_says_what_it_passes_over(rotated: Path, workspace: Workspace) -> None:
    recipe = recipe_of(rotated, False)
    embed.run(recipe, workspace)
    train.run(recipe, workspace)
    (rotated / "photos" / "test" / "notes.txt").write_text("no image")
    words = ["predict", "photos/test", "--recipe", "stored.toml", "--data-dir", str(workspace.root), "--json"]
    progress.silence(False)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["predict"]) == 12
    assert "predict: 1 file passed over: no image (.txt) (photos/test/notes.txt)" in result.stderr


def test_what_is_passed_over_is_said_recorded_and_refused_where_strict(
    rotated: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_of(rotated, True)
    (rotated / "photos" / ".DS_Store").write_bytes(b"x")
    strict = recipe.with_(data={"strict": True})
    progress.silence(False)
    assert embed.run(strict, workspace)[0].passed_over == {"left by the operating system": 1}
    for name in ("a.txt", "b.txt"):
        (rotated / "photos" / "train" / name).write_text("no image")
    capsys.readouterr()
    with pytest.raises(DkvbError, match=r"2 files passed over: no image \(.txt\) \(such as train/a.txt\)"):
        embed.run(strict, workspace)
    entry = embed.run(recipe, workspace)[0]
    assert "embed turned: train/ trains, test/ tests" in capsys.readouterr().err
    assert entry.skipped  # no image is another: what was made stays
