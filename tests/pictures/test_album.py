"""Pictures of rows: made from the images, kept, and never of what is not the image that was embedded."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dkvb
from dkvb.errors import DamagedArtifact
from dkvb.pictures import index
from dkvb.pictures.album import Album
from dkvb.pictures.thumbnail import SIDE, size, thumbnail
from dkvb.recipe import Recipe, load
from dkvb.stages import embed
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.requests import need_features
from pictured import COLOURS, RECIPE, TEST, animal, draw
from read_only import on_a_read_only_disk

ROWS = [("test", 0), ("test", TEST), ("train", 25)]


@pytest.fixture
def place(zoo: tuple[Recipe, Workspace]) -> tuple[Recipe, Workspace, Artifact]:
    """Recipe, workspace and features, without any picture."""
    recipe, workspace = zoo
    shutil.rmtree(workspace.root / "pictures")
    return recipe, workspace, need_features(recipe, workspace)


def test_pictures_show_the_rows_asked_for_and_are_kept(place: tuple[Recipe, Workspace, Artifact]) -> None:
    recipe, workspace, features = place
    found = Album(workspace, recipe.data).of(features, ROWS)
    labels = {split: arrays.read(features, f"{split}/labels") for split in ("train", "test")}
    assert {row: animal(picture) for row, picture in found.items()} == {
        (split, at): list(COLOURS)[labels[split][at]] for split, at in ROWS
    }
    kept = index.kept(workspace, features)
    assert kept is not None
    assert sorted(index.rows_in(kept)) == sorted(ROWS)
    assert kept.result == {"pictures": 3}
    assert kept.wrong_files() == {}
    assert set(kept.manifest["files"]) == {"test/0.webp", f"test/{TEST}.webp", "train/25.webp"}


def test_what_is_kept_needs_no_image(place: tuple[Recipe, Workspace, Artifact], tmp_path: Path) -> None:
    recipe, workspace, features = place
    found = Album(workspace, recipe.data).of(features, ROWS[:2])
    moved = recipe.with_(data={"path": str(tmp_path / "nowhere")})
    gone = features.manifest["settings"]["data"] | {"path": str(tmp_path / "nowhere")}
    elsewhere = Artifact(features.path, features.manifest | {"settings": features.settings | {"data": gone}})
    album = Album(workspace, moved.data)
    assert album.state(elsewhere) == "index"
    assert album.of(elsewhere, ROWS) == found  # the third was never made


def test_an_image_that_was_replaced_is_not_shown(tmp_path: Path) -> None:
    draw(tmp_path / "animals")
    (tmp_path / "own.toml").write_text(RECIPE, encoding="utf-8")
    recipe, workspace = load(str(tmp_path / "own.toml")), Workspace(tmp_path / "data", tmp_path / "reports")
    embed.run(recipe, workspace)
    features = need_features(recipe, workspace)
    ids = arrays.read(features, "test/ids")
    Image.new("RGB", (20, 20), "yellow").save(next((tmp_path / "animals").rglob(Path(str(ids[0])).name)))
    assert set(Album(workspace, recipe.data).of(features, [("test", 0), ("test", 1)])) == {("test", 1)}


def test_a_picture_that_was_altered_is_made_again(place: tuple[Recipe, Workspace, Artifact]) -> None:
    recipe, workspace, features = place
    found = Album(workspace, recipe.data).of(features, ROWS)
    kept = index.kept(workspace, features)
    assert kept is not None
    (kept.path / "test/0.webp").write_bytes(found["train", 25])
    assert Album(workspace, recipe.data).of(features, ROWS) == found
    assert (kept.path / "test/0.webp").read_bytes() == found["test", 0]


def test_a_damaged_manifest_names_the_command_that_makes_them_again(place: tuple[Recipe, Workspace, Artifact]) -> None:
    recipe, workspace, features = place
    album = Album(workspace, recipe.data)
    album.of(features, ROWS)
    (workspace.path(index.pictures_spec(features)) / "manifest.json").write_text("{}")
    with pytest.raises(DamagedArtifact, match="delete that folder, then run `dkvb report` to make it again"):
        album.of(features, ROWS)


def test_none_where_they_are_not_wanted_or_there_are_no_images(
    place: tuple[Recipe, Workspace, Artifact], embedded: Recipe, tmp_path: Path
) -> None:
    recipe, workspace, features = place
    off = Album(workspace, recipe.data, on=False)
    assert (off.state(features), off.of(features, ROWS)) == (None, {})
    vectors = need_features(embedded, workspace)
    assert (Album(workspace, embedded.data).state(vectors), Album(workspace, embedded.data).of(vectors, ROWS)) == (
        None,
        {},
    )
    assert not (workspace.root / "pictures").exists()


def test_a_workspace_that_cannot_be_written_gets_none(
    place: tuple[Recipe, Workspace, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, workspace, features = place
    on_a_read_only_disk(workspace.root, monkeypatch)
    assert Album(workspace, recipe.data).of(features, ROWS) == {}


def test_images_given_from_python(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8)
    source = dkvb.from_arrays(pixels, np.arange(20) % 2)
    recipe = load("image-arrays").with_(encoder={"name": "pixels", "size": 4})
    workspace = Workspace(tmp_path / "data", tmp_path / "reports")
    embed.run(recipe, workspace, source=source)
    features = workspace.all("embed")[0]
    assert Album(workspace, recipe.data).state(features) is None
    assert Album(workspace, recipe.data, source).state(features) == "images"
    found = Album(workspace, recipe.data, source).of(features, [("train", 1)])
    assert size(found["train", 1]) == (8, 8)


def test_a_picture_is_small_and_holds_no_exif() -> None:
    photo = Image.effect_noise((900, 600), 60).convert("RGB")
    photo.info["exif"] = b"Exif\0\0 taken at home"
    made = thumbnail(photo)
    assert size(made) == (SIDE, SIDE * 600 // 900)
    assert b"home" not in made
    assert len(made) < 5_000
