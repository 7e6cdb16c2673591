"""What a purge says that it did: the same whether or not it was killed on the way, and nothing of what it erased is
left to be found by id or file name."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import TOML, blobs
from dkvb.cli import app
from dkvb.deletion import erase_artifacts, forget, made_from, purge, receipt
from dkvb.deletion.reinit import Reinit
from dkvb.errors import DkvbError
from dkvb.recipe import Recipe, load
from dkvb.runtime import progress
from dkvb.stages import embed, train, unlearn
from dkvb.workspace import arrays, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features
from dying import purge_killed
from source_files import save

BY_COUNTS: dict[str, Any] = {"method": ["activations"], "counts": "last-epoch", "na": 60}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two seeds, students of both, a retrained model and a request for one class."""
    progress.silence()
    root = tmp_path_factory.mktemp("recorded")
    blobs(root / "tiny-data")
    (root / "tiny.toml").write_text(TOML + "[run]\nseeds = [0, 1]\n", encoding="utf-8")
    recipe, workspace = load(str(root / "tiny.toml")), Workspace(root / "data", root / "reports")
    for stage in (embed, train):
        stage.run(recipe, workspace)
    unlearn.run(recipe.with_(unlearn={"forget": ["cat"], "method": ["scrub"]}), workspace)
    unlearn.run(recipe.with_(unlearn={"forget": ["dog"], "method": ["retrain"]}, run={"seeds": [0]}), workspace)
    forget.run(recipe.with_(unlearn=BY_COUNTS), workspace, ["cat"])
    return root


@pytest.fixture
def recipe(made: Path) -> Recipe:
    return load(str(made / "tiny.toml"))


def a_copy(made: Path, folder: Path) -> Workspace:
    shutil.copytree(made / "data", folder / "data")
    return Workspace(folder / "data", folder / "reports")


def told(workspace: Workspace) -> dict[str, Any]:
    """What the request's record says of its purge, without times and sizes of files that hold times."""
    record = requests.find(workspace, "r0001").record.purge
    assert record is not None
    fields = record.model_dump(mode="json")
    for name in ("started", "finished", "seconds"):
        del fields[name]
    del fields["scan"]["bytes"]
    return fields


@pytest.fixture(scope="module")
def whole(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a purge says that was not interrupted."""
    workspace = a_copy(made, tmp_path_factory.mktemp("whole"))
    purge.run(load(str(made / "tiny.toml")), workspace, "r0001")
    return told(workspace)


def test_the_record_lists_all_that_is_gone(whole: dict[str, Any], made: Path) -> None:
    there = {path.name for stage in ("train", "unlearn", "retrained") for path in (made / "data" / stage).iterdir()}
    gone = {name for name in there if "dkvb-seed1" in name or "scrub-cat" in name or "retrain-3" in name}
    assert len(gone) == 4
    assert {*whole["deleted"], *whole["done"]["artifacts"]} == gone
    assert len([*whole["deleted"], *whole["done"]["artifacts"]]) == 4, "none is listed twice"


SLOW = [4, 25, 33, 41, 500, *(int(n) for n in np.random.default_rng(11).integers(2, 640, 25))]


@pytest.mark.parametrize("call", [60, 200, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_killed_anywhere_the_record_is_the_same(
    call: int, made: Path, recipe: Recipe, whole: dict[str, Any], tmp_path: Path
) -> None:
    workspace = a_copy(made, tmp_path)
    purge_killed(workspace, made / "tiny.toml", "r0001", call)
    purge.run(recipe, workspace, "r0001")
    assert told(workspace) == whole


@pytest.mark.parametrize(
    "step",
    [
        "dkvb.workspace.shredding.shred",
        "dkvb.deletion.erase.replace",
        "dkvb.deletion.purge.scan",
        "dkvb.deletion.purge._close",
    ],
)
def test_stopped_twice_at_a_step_the_record_is_the_same(
    step: str, made: Path, recipe: Recipe, whole: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = a_copy(made, tmp_path)
    module, name = step.rsplit(".", 1)
    real = getattr(__import__(module, fromlist=[name]), name)
    for allowed in (3, 5) if name in ("shred", "replace") else (0, 0):
        calls = iter(range(allowed))

        def stopping(*given: Any, calls: Any = calls, **more: Any) -> Any:
            if next(calls, None) is None:
                raise KeyboardInterrupt
            return real(*given, **more)

        with monkeypatch.context() as patched:
            patched.setattr(step, stopping)
            with pytest.raises(KeyboardInterrupt):
                purge.run(recipe, workspace, "r0001")
    purge.run(recipe, workspace, "r0001")
    assert told(workspace) == whole


def test_models_of_former_keys_are_in_the_record(made: Path, tmp_path: Path) -> None:
    workspace = a_copy(made, tmp_path)
    recipe = load(str(made / "tiny.toml"))
    purge.run(recipe, workspace, "r0001", Reinit(recipe, workspace))
    fields = told(workspace)
    assert any("retrain" in name for name in fields["done"]["artifacts"])
    assert len(fields["deleted"]) == 1


def test_masks_for_former_keys_go_and_are_in_the_record(made: Path, tmp_path: Path) -> None:
    workspace, recipe = a_copy(made, tmp_path), load(str(made / "tiny.toml"))
    unlearn.run(recipe.with_(unlearn={**BY_COUNTS, "forget": ["dog"]}, run={"seeds": [0]}), workspace)
    (mask,) = [one for one in workspace.all("unlearn") if "activations" in one.path.name]
    purge.run(recipe, workspace, "r0001", Reinit(recipe, workspace))
    assert not mask.path.exists()
    assert mask.path.name in told(workspace)["done"]["artifacts"]
    assert made_from.unfit(workspace) == []


def test_the_marks_go_at_the_end(made: Path, recipe: Recipe, tmp_path: Path) -> None:
    workspace = a_copy(made, tmp_path)
    purge.run(recipe, workspace, "r0001")
    (request,) = requests.all_requests(workspace)
    left = request.path / purge.NEEDLES
    assert not left.exists()
    left.write_bytes(b"of a purge by an earlier version")
    assert purge.run(recipe, workspace, "r0001").skipped
    assert not left.exists()


FOLDER = """
name = "photos"
[data]
source = "folder"
path = "photos"
[encoder]
name = "pixels"
size = 4
[keys]
codebooks = 8
pairs = 8
dim = 4
epochs = 2
[train]
epochs = 4
[linear]
epochs = 2
[unlearn]
na = 20
"""


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Recipe, Workspace]:
    """Two classes of images, of which one image lies in both splits, and a request for one class."""
    for place, name in enumerate(("cat", "dog")):
        for split, count in (("train", 12), ("test", 4)):
            for i in range(count):
                shade = 100 * place + 3 * i + 50 * (split == "test")
                save(tmp_path / "photos" / split / name / f"{name}-portrait-{split}-{i}.png", 1 if i == 0 else shade)
    (tmp_path / "photos.toml").write_text(FOLDER, encoding="utf-8")
    recipe, workspace = load("photos.toml"), Workspace(tmp_path / "data", tmp_path / "reports")
    for stage in (embed, train):
        stage.run(recipe, workspace)
    forget.run(recipe.with_(unlearn={"counts": "last-epoch", "method": "activations"}), workspace, ["cat"])
    return recipe, workspace


def test_predictions_that_name_purged_samples_are_found(pictures: tuple[Recipe, Workspace]) -> None:
    recipe, workspace = pictures
    told = workspace.root / "predictions.csv"
    asked = [
        "predict",
        "photos/train/cat",
        "photos/train/dog",
        "--csv",
        str(told),
        "--recipe",
        "photos.toml",
        "--data-dir",
        str(workspace.root),
    ]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.stderr
    assert "cat-portrait-train-7.png" in told.read_text(encoding="utf-8")
    with pytest.raises(DkvbError, match=r"file names of 12 purged samples in .*predictions\.csv") as stopped:
        purge.run(recipe, workspace, "r0001")
    assert stopped.value.exit_code == 1
    rows = list(csv.reader(io.StringIO(told.read_text(encoding="utf-8"))))
    kept = [row for row in rows if "cat-portrait" not in "".join(row)]
    assert len(kept) == len(rows) - 12
    with open(told, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(kept)
    done = purge.run(recipe, workspace, "r0001").purge
    assert done is not None
    assert (done.scan.names, done.unnamed_rows, done.scan.named) == (16, 0, {})
    assert any("file names of 16 erased samples" in line for line in receipt.run(workspace, "r0001").done)


def test_the_features_name_no_purged_sample_any_more(pictures: tuple[Recipe, Workspace]) -> None:
    recipe, workspace = pictures
    before = need_features(recipe, workspace).result
    assert "cat-portrait-train-0.png" in before["leaks_in_words"]
    purge.run(recipe, workspace, "r0001")
    features = need_features(recipe, workspace)
    assert "cat-portrait" not in str(features.manifest)
    assert features.result["leaks"]["shared"] == before["leaks"]["shared"], "counts stay"
    ids = [arrays.read(features, f"{split}/ids") for split in ("train", "test")]
    assert [sum(one != "" for one in part.tolist()) for part in ids] == [12, 4]
    raw = [path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()]
    assert not any(b"cat-portrait" in content for content in raw)


def test_killed_before_ids_go_examples_are_still_taken_out(
    pictures: tuple[Recipe, Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, workspace = pictures

    def stopped(self: Any, artifact: Any, **told: Any) -> None:
        if artifact.stage == "embed":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(erase_artifacts._Steps, "_reseal", stopped)
        with pytest.raises(KeyboardInterrupt):
            purge.run(recipe, workspace, "r0001")
    purge.run(recipe, workspace, "r0001")
    assert "cat-portrait" not in str(need_features(recipe, workspace).manifest)


def test_nothing_is_said_of_names_where_none_could_be_looked_for(made: Path, recipe: Recipe, tmp_path: Path) -> None:
    workspace = a_copy(made, tmp_path)
    scan = purge.run(recipe, workspace, "r0001").purge.scan  # type: ignore[union-attr]
    assert scan.names == 0, "rows of .npz files have no names"
    done = receipt.run(workspace, "r0001").done
    assert not any("ids and file names" in line for line in done)
    assert "The marks were overwritten afterwards." in done
