from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from conftest import artifact_bytes, blobs
from dkvb.errors import DamagedArtifact, DkvbError, MissingStage
from dkvb.recipe import Recipe, load
from dkvb.stages import embed
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "CHUNK", 32)
    monkeypatch.setattr(arrays, "SHARD", 64)


def pictures(folder: Path, count: int = 40) -> Recipe:
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)).save(
                    folder / split / name / f"{i:03}.png"
                )
    text = f'[data]\nsource = "folder"\npath = "{folder.name}"\n[encoder]\nname = "pixels"\nbatch_size = 7\n'
    (folder.parent / "pictures.toml").write_text(text)
    return load(str(folder.parent / "pictures.toml"))


def test_features_are_stored_as_sharded_zarr_v3_with_checksums(own_recipe: Recipe, workspace: Workspace) -> None:
    entry = embed.run(own_recipe, workspace)[0]
    assert (entry.train, entry.test, entry.dim, entry.skipped) == (320, 120, 12, False)
    group = zarr.open_group(entry.artifact + "/train", mode="r")
    features = group["features"]
    assert features.metadata.zarr_format == 3
    assert (features.shape, features.chunks, features.shards, features.dtype) == (
        (320, 12),
        (32, 12),
        (64, 12),
        np.float32,
    )
    assert "crc32c" in str(features.metadata.to_dict())
    given = np.load("tiny-data/train.npz")
    np.testing.assert_array_equal(features[:], given["x"])
    np.testing.assert_array_equal(group["labels"][:], given["y"])
    assert group["ids"].shape == (320,)
    assert group.attrs["classes"] == given["classes"].tolist()


def test_finished_work_is_skipped_and_changed_data_make_a_new_artifact(
    own_recipe: Recipe, workspace: Workspace, tmp_path: Path
) -> None:
    first = embed.run(own_recipe, workspace)[0]
    assert embed.run(own_recipe, workspace)[0] == first.model_copy(update={"skipped": True})
    blobs(tmp_path / "tiny-data", seed=1)
    second = embed.run(own_recipe, workspace)[0]
    assert second.artifact != first.artifact
    assert str(need_features(own_recipe, workspace).path) == second.artifact


def test_nothing_embedded_is_a_missing_stage(recipe: Recipe, workspace: Workspace) -> None:
    with pytest.raises(MissingStage, match="dkvb embed"):
        need_features(recipe, workspace)


def test_only_missing_shards_are_made(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = pictures(tmp_path / "pics")
    whole = Workspace(tmp_path / "whole", tmp_path / "reports")
    embed.run(recipe, whole)
    made: list[str] = []
    original = embed.embed_shard

    def failing(job: object, shard: embed.Shard, *args: object) -> list[str]:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(shard.name)
        return original(job, shard, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(embed, "embed_shard", failing)
    with pytest.raises(KeyboardInterrupt):
        embed.run(recipe, workspace)
    assert workspace.all("embed") == []
    done, made = made, []
    monkeypatch.setattr(
        embed, "embed_shard", lambda job, shard, *args: made.append(shard.name) or original(job, shard, *args)
    )
    embed.run(recipe, workspace)
    assert done == ["train-00000", "train-00001"]
    assert made == ["test-00000", "test-00001"]
    assert artifact_bytes(workspace.root) == artifact_bytes(whole.root)


@pytest.mark.parametrize("array", ["features", "labels", "ids"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_shard_is_found_and_only_it_is_made_again(
    workspace: Workspace, tmp_path: Path, array: str, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = pictures(tmp_path / "pics")
    path = Path(embed.run(recipe, workspace)[0].artifact)
    before = artifact_bytes(workspace.root)
    chunk = path / "train" / array / ("c/1/0" if array == "features" else "c/1")
    content = bytearray(chunk.read_bytes())
    if damage == "remove":
        chunk.unlink()
    else:
        content[len(content) // 3] ^= 4
        chunk.write_bytes(content if damage == "flip" else content[:-5])
    if damage == "flip":
        artifact = need_features(recipe, workspace)
        with pytest.raises(DamagedArtifact, match=f"train/{array}.*`dkvb embed` makes it again"):
            arrays.read(artifact, f"train/{array}")
    else:
        with pytest.raises(DamagedArtifact, match=f"train/{array}"):
            need_features(recipe, workspace)
    made: list[str] = []
    original = embed.embed_shard
    monkeypatch.setattr(
        embed, "embed_shard", lambda job, shard, *args: made.append(shard.name) or original(job, shard, *args)
    )
    embed.run(recipe, workspace)
    assert made == ["train-00001"]
    assert artifact_bytes(workspace.root) == before


def test_damage_that_belongs_to_no_shard_needs_force(recipe: Recipe, workspace: Workspace) -> None:
    path = Path(embed.run(recipe, workspace)[0].artifact)
    (path / "train" / "features" / "zarr.json").write_text("{")
    with pytest.raises(DamagedArtifact, match="`dkvb embed --force`"):
        embed.run(recipe, workspace)
    assert embed.run(recipe, workspace, force=True)[0].skipped is False


def spoil(folder: Path) -> tuple[list[Path], list[bytes]]:
    bad = [folder / "train/bee/001.png", folder / "test/ant/002.png"]
    contents = [path.read_bytes() for path in bad]
    bad[0].write_bytes(b"")
    bad[1].write_bytes(contents[1][:40])
    return bad, contents


def test_unreadable_images_are_all_named_and_the_rest_is_kept(workspace: Workspace, tmp_path: Path) -> None:
    recipe = pictures(tmp_path / "pics")
    spoil(tmp_path / "pics")
    with pytest.raises(DkvbError, match=r"2 of 160 images.*001\.png.*002\.png.*--on-bad skip"):
        embed.run(recipe, workspace)
    assert workspace.all("embed") == []
    marks = sorted(path.name for path in workspace.root.glob("embed/*/done/*"))
    assert marks == ["test-00001.json", "train-00001.json"], "a failed shard is not a done shard"


def test_unreadable_images_can_be_left_out_and_are_recorded(workspace: Workspace, tmp_path: Path) -> None:
    recipe = pictures(tmp_path / "pics")
    whole = Workspace(tmp_path / "whole", tmp_path / "reports")
    embed.run(recipe, whole)
    spoil(tmp_path / "pics")
    skipping = recipe.with_(data={"on_bad": "skip"})
    entry = embed.run(skipping, workspace)[0]
    assert (entry.train, entry.test) == (79, 79)
    assert "001.png" in entry.unreadable["train"][0]
    assert "002.png" in entry.unreadable["test"][0]
    found, every = need_features(recipe, workspace), need_features(recipe, whole)
    for split, gone in (("train", "bee/001.png"), ("test", "ant/002.png")):
        ids, all_ids = ([str(name) for name in arrays.read(artifact, f"{split}/ids")] for artifact in (found, every))
        kept = np.array([not name.endswith(gone) for name in all_ids])
        all_ids = np.array(all_ids)
        np.testing.assert_array_equal(ids, all_ids[kept])
        for name in ("features", "labels", "hashes"):
            np.testing.assert_array_equal(
                arrays.read(found, f"{split}/{name}"), arrays.read(every, f"{split}/{name}")[kept]
            )
    before = artifact_bytes(workspace.root)
    chunk = Path(entry.artifact) / "train/features/c/1/0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    assert embed.run(skipping, workspace)[0].unreadable == entry.unreadable
    assert artifact_bytes(workspace.root).keys() == before.keys()
    np.testing.assert_array_equal(
        arrays.read(need_features(recipe, workspace), "train/features"), arrays.read(found, "train/features")
    )


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_swap_cut_short_is_completed(
    workspace: Workspace, tmp_path: Path, stop_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = pictures(tmp_path / "pics").with_(data={"on_bad": "skip"})
    spoil(tmp_path / "pics")
    whole = Workspace(tmp_path / "whole", tmp_path / "reports")
    embed.run(recipe, whole)
    renamed: list[Path] = []
    original = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if len(renamed) == stop_after:
            raise KeyboardInterrupt
        renamed.append(self)
        return original(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(KeyboardInterrupt):
        embed.run(recipe, workspace)
    monkeypatch.setattr(Path, "rename", original)
    embed.run(recipe, workspace)
    assert artifact_bytes(workspace.root) == artifact_bytes(whole.root)


def test_a_class_without_readable_images_is_an_error(workspace: Workspace, tmp_path: Path) -> None:
    recipe = pictures(tmp_path / "pics", count=2).with_(data={"on_bad": "skip"})
    for path in (tmp_path / "pics/train/bee").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DkvbError, match="Class 'bee' has no readable image in train"):
        embed.run(recipe, workspace)


def test_leaks_are_counted_warned_of_and_fail_where_strict(workspace: Workspace, tmp_path: Path) -> None:
    recipe = pictures(tmp_path / "pics")
    (tmp_path / "pics/test/ant/000.png").write_bytes((tmp_path / "pics/train/ant/005.png").read_bytes())
    (tmp_path / "pics/train/bee/007.png").write_bytes((tmp_path / "pics/train/ant/006.png").read_bytes())
    entry = embed.run(recipe, workspace)[0]
    assert entry.leaks.shared == 1
    assert entry.leaks.across_classes == 1
    assert "test/ant/000.png" in entry.leaks_in_words
    with pytest.raises(DkvbError, match="--strict"):
        embed.run(recipe.with_(data={"strict": True}), workspace)
