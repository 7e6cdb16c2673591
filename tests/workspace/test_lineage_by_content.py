"""Keys, codes, values and masks are used together only where each was made from what is there now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from conftest import once, prepare
from dkvb.deletion import forget, purge, restore
from dkvb.errors import DamagedArtifact, DkvbError, SettingsClash
from dkvb.inference.load import load_seed
from dkvb.recipe import Recipe
from dkvb.stages import embed, quantize, report, train, unlearn
from dkvb.workspace import arrays, manifest, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import canonical_hash, sha256
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import MANIFEST, VALUES

REQUEST = "r0001-cat"


def forget_cat(recipe: Recipe, workspace: Workspace) -> str:
    return forget.run(recipe.with_(unlearn={"method": "votes"}), workspace, ["cat"])[0].request


@pytest.fixture
def asked(recipe: Recipe, workspace: Workspace) -> Recipe:
    """The recipe, with its models and the request `REQUEST` in the workspace."""
    once("cat, by votes", workspace, lambda place: forget_cat(prepare(recipe, place), place))
    return recipe


@pytest.fixture
def purged(recipe: Recipe, workspace: Workspace) -> Recipe:
    """The same, once the request was purged."""
    once("cat, purged", workspace, lambda place: purge.run(recipe, place, forget_cat(prepare(recipe, place), place)))
    return recipe


def only(workspace: Workspace, stage: str, name: str = "") -> Artifact:
    [artifact] = [one for one in workspace.all(stage) if name in one.path.name]
    return artifact


def edit(folder: Path, **fields: Any) -> None:
    """Change a manifest, and its checksum with it, as whoever knows the format can."""
    held = json.loads((folder / MANIFEST).read_text())
    held.pop("checksum")
    held.update(fields)
    (folder / MANIFEST).write_text(json.dumps({**held, "checksum": canonical_hash(held)}))


def other_values(artifact: Artifact) -> None:
    """Other values, with a manifest that knows them: as if trained again on another machine."""
    held = load_file(artifact.path / VALUES)
    save_file({"values": held["values"] + np.float32(1)}, artifact.path / VALUES)
    artifact.reseal()


def test_manifests_hold_what_each_was_made_from(asked: Recipe, workspace: Workspace) -> None:
    features, codes = only(workspace, "embed"), only(workspace, "quantize")
    model, head = only(workspace, "train", "dkvb"), only(workspace, "train", "linear")
    assert codes.inputs_content == head.inputs_content == {"embed": features.content}
    assert model.inputs_content == {"quantize": codes.content}
    assert all(of["sha256"] == sha256(codes.path / name) for name, of in codes.manifest["files"].items())
    request = requests.find(workspace, REQUEST)
    assert request.record.made_on == requests.made_on(model)
    assert request.record.made_on is not None
    assert request.record.made_on.keys == codes.content


def test_made_again_to_the_same_bits_it_is_the_same(asked: Recipe, workspace: Workspace) -> None:
    before = {one.path.name: one.content for stage in ("quantize", "train") for one in workspace.all(stage)}
    quantize.run(asked, workspace, force=True)
    train.run(asked, workspace, force=True)
    assert {one.path.name: one.content for stage in ("quantize", "train") for one in workspace.all(stage)} == before
    load_seed(asked, workspace, 0, "cpu")


def test_after_a_purge_deleted_keys_are_not_fitted_to_fewer_rows(purged: Recipe, workspace: Workspace) -> None:
    shutil.rmtree(only(workspace, "quantize").path)
    for stage in (quantize, train):
        with pytest.raises(SettingsClash, match=r"purged.*keys.*made before.*backup.*--seed") as error:
            stage.run(purged, workspace)
        assert error.value.exit_code == 4
    assert not list(workspace.all("quantize"))
    with pytest.raises(DkvbError):
        load_seed(purged, workspace, 0, "cpu")
    other = purged.with_(run={"seeds": [5]})
    assert not quantize.run(other, workspace)[0].skipped
    assert [entry.skipped for entry in train.run(other, workspace)] == [False, False]
    load_seed(other, workspace, 5, "cpu")


def test_after_a_purge_nothing_is_forced_or_brought_back(purged: Recipe, workspace: Workspace) -> None:
    for force in (quantize, train):
        with pytest.raises(SettingsClash, match="were made before"):
            force.run(purged, workspace, force=True)
    shutil.rmtree(only(workspace, "train", "dkvb").path)
    with pytest.raises(SettingsClash, match=f"values.*made before.*request {REQUEST}"):
        train.run(purged, workspace)
    shutil.rmtree(only(workspace, "embed").path)
    with pytest.raises(SettingsClash, match="bring them back"):
        embed.run(purged, workspace)


def test_damage_after_a_purge_names_the_backup(purged: Recipe, workspace: Workspace) -> None:
    (only(workspace, "quantize").path / "keys/c/3/0/0").unlink()
    with pytest.raises(DamagedArtifact, match=r"purged from it.*cannot be made again.*backup"):
        quantize.run(purged, workspace)


def test_a_purge_refuses_what_was_altered_before(asked: Recipe, workspace: Workspace) -> None:
    codes = only(workspace, "quantize").path
    one, other = codes / "train/codes/c/0/3/0", codes / "train/codes/c/0/7/0"
    held = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(held)
    with pytest.raises(DamagedArtifact, match="train/codes/c/0/3/0 has changed"):
        purge.run(asked, workspace, REQUEST)
    assert requests.find(workspace, REQUEST).record.purging is None
    assert not quantize.run(asked, workspace)[0].skipped
    assert purge.run(asked, workspace, REQUEST).state == "purged"


def test_a_purge_carries_the_chain_on_but_mends_none(trained: Recipe, workspace: Workspace) -> None:
    chosen = {"forget": ["dog"], "method": ["activations", "logit-mask"]}
    unlearn.run(trained.with_(unlearn=chosen), workspace)
    stale = only(workspace, "unlearn", "activations").path
    edit(stale, inputs_content={"train": "0" * 64})
    purge.run(trained, workspace, forget_cat(trained, workspace))
    for stage in ("quantize", "train"):
        for artifact in workspace.all(stage):
            workspace.check(artifact)
    workspace.check(only(workspace, "unlearn", "logit-mask"))
    with pytest.raises(DamagedArtifact, match="was not made from"):
        workspace.check(only(workspace, "unlearn", "activations"))
    load_seed(trained, workspace, 0, "cpu")


@pytest.mark.parametrize("use", ["train", "predict"])
def test_values_of_other_keys_are_refused(use: str, trained: Recipe, workspace: Workspace) -> None:
    codes = only(workspace, "quantize")
    held = load_file(codes.path / "projection.safetensors")
    save_file({"projection": held["projection"] * 2}, codes.path / "projection.safetensors")
    codes.reseal()
    with pytest.raises(DamagedArtifact, match=r"dkvb-seed0.*was not made from.*quantize.*`dkvb train --force`"):
        train.run(trained, workspace) if use == "train" else load_seed(trained, workspace, 0, "cpu")


def test_masks_of_other_values_are_refused_and_can_be_taken_back(asked: Recipe, workspace: Workspace) -> None:
    unlearn.run(asked.with_(unlearn={"forget": ["dog"], "method": ["activations"]}), workspace)
    other_values(only(workspace, "train", "dkvb"))
    with pytest.raises(DamagedArtifact, match=f"{REQUEST} was made on other values.*`dkvb restore {REQUEST}`"):
        load_seed(asked, workspace, 0, "cpu")
    with pytest.raises(DamagedArtifact, match=r"activations-dog.*was not made from.*`dkvb unlearn --force`"):
        unlearn.run(asked.with_(unlearn={"forget": ["dog"], "method": ["activations"]}), workspace)
    report.run(asked, workspace)
    assert "1 artifact was left out" in " ".join((workspace.reports / "index.html").read_text().split())
    assert restore.run(asked, workspace, REQUEST).state == "restored"
    load_seed(asked, workspace, 0, "cpu")


def test_a_manifest_edited_with_its_checksum_is_found_by_what_was_made_from_it(
    trained: Recipe, workspace: Workspace
) -> None:
    codes = only(workspace, "quantize")
    chunk = codes.path / "keys/c/3/0/0"
    chunk.write_bytes((codes.path / "keys/c/7/0/0").read_bytes())
    files = codes.manifest["files"]
    edit(codes.path, files=files | {"keys/c/3/0/0": files["keys/c/7/0/0"]})
    only(workspace, "quantize").check(chunks=True)  # by itself it cannot be told
    with pytest.raises(DamagedArtifact, match="was not made from"):
        load_seed(trained, workspace, 0, "cpu")


def test_what_was_begun_from_something_else_is_begun_again(embedded: Recipe, workspace: Workspace) -> None:
    spec = manifest.Spec("train", "x", {}, {"embed": only(workspace, "embed").fingerprint})
    with workspace.claim(spec) as claim:
        (claim.path / "half").write_text("of the work")
    with workspace.claim(spec) as claim:
        assert (claim.path / "half").is_file()
    (only(workspace, "embed").path / "more").write_text("x")
    only(workspace, "embed").reseal()
    with workspace.claim(spec) as claim:
        assert not (claim.path / "half").exists()


def test_what_an_earlier_version_wrote_is_read_and_not_called_unchanged(trained: Recipe, workspace: Workspace) -> None:
    for stage in ("embed", "quantize", "train"):
        for artifact in workspace.all(stage):
            bare = {
                name: {"bytes": of["bytes"]} if "/c/" in name else of for name, of in artifact.manifest["files"].items()
            }
            edit(artifact.path, files=bare, inputs_content={})
    assert only(workspace, "quantize").content is None
    assert all(entry.skipped for entry in train.run(trained, workspace))
    request = requests.find(workspace, forget_cat(trained, workspace))
    assert request.record.made_on is None
    assert purge.run(trained, workspace, request.id).state == "purged"
    assert only(workspace, "quantize").content is not None  # what is written gets hashes
    shutil.rmtree(only(workspace, "quantize").path)
    with pytest.raises(SettingsClash, match="were made before"):
        quantize.run(trained, workspace)


def test_whoever_reads_what_another_command_has_rewritten_is_told_to_run_again(
    asked: Recipe, workspace: Workspace
) -> None:
    before = only(workspace, "embed")
    purge.run(asked, workspace, REQUEST)
    with pytest.raises(DamagedArtifact, match="written by another command meanwhile: run this one again"):
        arrays.read(before, "train/labels")


def test_prepared_copies_fit(recipe: Recipe, workspace: Workspace) -> None:
    prepare(recipe, workspace)
    for stage in ("embed", "quantize", "train"):
        for artifact in workspace.all(stage):
            workspace.check(artifact)
            assert artifact.wrong_files(chunks=True, afresh=True) == {}
