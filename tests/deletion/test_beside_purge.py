"""Readers beside a purge wait for it, and a purge waits for its readers: nobody takes half-erased files for damage."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import dkvb
import forked
from conftest import prepare
from dkvb.deletion import forget, purge
from dkvb.errors import DamagedArtifact, MissingStage
from dkvb.recipe import Recipe
from dkvb.workspace import beside_purge, locks, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features
from dying import purge_killed, purge_paused

READERS = {
    "verify --quick": (0, 1),
    "predict new.npz": (0,),
    "export out": (0,),
    "report": (0,),
    "status": (0,),
    "forget dog --plan": (0,),
    "forget dog --exact --plan": (0,),
    "forget dog": (0,),
}


@pytest.fixture
def requested(recipe: Recipe, workspace: Workspace) -> Workspace:
    """A trained workspace with a request for cat, r0001-cat."""
    prepare(recipe, workspace)
    masked = {"method": "activations", "counts": "last-epoch", "na": 150}
    forget.run(recipe.with_(unlearn=masked), workspace, ["cat"])
    return workspace


def start(words: str, workspace: Workspace) -> forked.Forked:
    places = ["--recipe", "tiny.toml", "--data-dir", str(workspace.root), "--reports-dir", str(workspace.reports)]
    return forked.dkvb(*words.split(), *places, folder=workspace.root.parent)


@pytest.mark.slow  # many processes; the next test is the quick one
def test_readers_wait_for_a_purge_that_is_half_done(requested: Workspace, tmp_path: Path, tiny_data: Path) -> None:
    (tmp_path / "new.npz").symlink_to(tiny_data / "test.npz")
    process, go = purge_paused(requested, tmp_path / "tiny.toml", "r0001", 40)
    (request,) = requests.all_requests(requested)
    assert request.record.purging is not None
    assert request.record.purging.stage == "erase", "it was stopped while it erased"
    told = start("ledger", requested)  # says what has been recorded, and need not wait
    readers = {words: start(words, requested) for words in READERS}
    assert told.end() == 0, told.said
    for words, reader in readers.items():
        reader.wait_for("waiting: ")
        assert "is working on" in reader.said, f"{words}: {reader.said}"
        assert reader.process.is_alive(), f"{words} must not go on: {reader.said}"
    go.touch()
    assert process.end() == 0, process.said
    for words, reader in readers.items():
        assert reader.end() in READERS[words], f"{words}: {reader.said}"
        assert "damaged" not in reader.said
        assert "did not come to its end" not in reader.said
    assert requests.find(requested, "r0001").state == "purged"
    assert {one.id: one.state for one in requests.all_requests(requested)}["r0002-dog"] == "masked"


def test_a_purge_waits_for_who_reads(requested: Workspace, recipe: Recipe, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in requested.root.rglob("*.safetensors")}
    with beside_purge.reading(requested):
        process = forked.call(_purge, requested.root, tmp_path / "tiny.toml", folder=tmp_path)
        process.wait_for("waiting: ")
        assert "what is to be erased" in process.said
        features = need_features(recipe, requested)  # the mark is there, and nothing is erased yet
        features.check()
        assert {path: path.read_bytes() for path in before} == before
        assert process.process.is_alive()
    assert process.end() == 0, process.said
    assert requests.find(requested, "r0001").state == "purged"


def _purge(data: Path, recipe: Path) -> None:
    purge.run(dkvb.load_recipe(str(recipe)), Workspace(data, data / "reports"), "r0001")


def test_a_killed_purge_is_named_and_not_waited_for(requested: Workspace, recipe: Recipe, tmp_path: Path) -> None:
    purge_killed(requested, tmp_path / "tiny.toml", "r0001", 40)
    started = time.monotonic()
    with pytest.raises(
        DamagedArtifact, match="purge of request r0001-cat did not come to its end: `dkvb purge"
    ) as error:
        dkvb.load(requested.root)
    assert "damaged" not in str(error.value)
    process = start("status", requested)  # tells of it
    assert process.end() == 0, process.said
    assert "dkvb purge r0001-cat --yes" in process.said
    assert time.monotonic() - started < 60
    assert purge.run(recipe, requested, "r0001").state == "purged"
    assert dkvb.load(requested.root).about.forgotten == [2]


def test_many_read_at_a_time(requested: Workspace) -> None:
    with (
        locks.share(requested.locks, "artifacts", "a purge"),
        locks.share(requested.locks, "artifacts", "a purge"),
        beside_purge.reading(requested),
        beside_purge.reading(requested),  # within itself
    ):
        dkvb.load(requested.root)
    with requests.held(requested), beside_purge.erasing(requested), beside_purge.erasing(requested):
        assert locks.held(requested.locks, "artifacts")
        dkvb.load(requested.root)  # what erases reads as well
    assert not locks.held(requested.locks, "artifacts")


def test_a_folder_that_is_no_workspace_gets_no_lock(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(MissingStage):
        dkvb.load(tmp_path / "photos")
    assert list((tmp_path / "photos").iterdir()) == []
