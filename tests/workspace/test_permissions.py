"""Files of a workspace may be read by whom the user lets read; a file that may not be read is not called damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import dkvb
from conftest import prepare
from dkvb.cli import app
from dkvb.deletion import forget, purge
from dkvb.inference import export
from dkvb.recipe import Recipe
from dkvb.workspace import files, hashes
from dkvb.workspace.artifacts import Workspace


def modes(folder: Path) -> dict[str, int]:
    """Files that have other permissions than a process gives by itself."""
    every = [path for path in folder.rglob("*") if path.is_file() and ".locks" not in path.parts]
    found = {path.name: path.stat().st_mode & 0o777 for path in every}
    return {name: mode for name, mode in found.items() if mode != 0o666 & ~files.UMASK}


def test_all_files_have_the_permissions_of_any_other(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    prepare(recipe, workspace)
    forget.run(recipe.with_(unlearn={"method": "votes"}), workspace, ["cat"])
    export.run(dkvb.load(workspace.root), tmp_path / "out", workspace)
    assert (modes(workspace.root), modes(tmp_path / "out")) == ({}, {})
    purge.run(recipe, workspace, "r0001")
    assert modes(workspace.root) == {}


def test_what_may_not_be_read_is_not_called_damaged(
    recipe: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    prepare(recipe, workspace)
    monkeypatch.setattr(hashes, "sha256", refused)
    asked = ["train", "--recipe", "tiny.toml", "--data-dir", str(workspace.root), "--reports-dir", "reports"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 1
    assert "permission denied" in done.stderr
    assert "damaged" not in done.stderr
    assert "--force" not in done.stderr
