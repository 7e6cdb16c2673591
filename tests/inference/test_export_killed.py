"""Exports and reports that are killed at one of their writes leave nothing that the next run does not take away."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dkvb
import forked
from conftest import prepare
from dkvb.errors import UsageError
from dkvb.inference import export
from dkvb.recipe import Recipe
from dkvb.recipe import load as load_recipe
from dkvb.runtime import progress
from dkvb.stages import report
from dkvb.workspace.artifacts import Workspace
from dying import die_at

FILES = ["README.md", "config.json", "labels.json", "model.safetensors"]


def _export(data: Path, folder: Path, last: int, force: bool) -> None:
    model, workspace = dkvb.load(data), Workspace(data, data / "reports")
    die_at(last)
    export.run(model, folder, workspace, force)


def _report(data: Path, reports: Path, recipe: Path, last: int) -> None:
    progress.silence()
    die_at(last)
    report.run(load_recipe(str(recipe)), Workspace(data, reports))


def killed(function: Callable[..., Any], *arguments: Any, folder: Path) -> bool:
    """Run it in a process of its own; whether that was killed, rather than ending."""
    process = forked.call(function, *arguments, folder=folder)
    ended = process.end()
    assert ended in (0, -signal.SIGKILL), process.said
    return ended != 0


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "there",
    [pytest.param(there, marks=pytest.mark.slow) for there in ("nothing", "an empty folder", "an export")],
)
def test_an_export_goes_on_without_force(recipe: Recipe, workspace: Workspace, tmp_path: Path, there: str) -> None:
    prepare(recipe, workspace)
    model, out = dkvb.load(workspace.root), tmp_path / "to/out"
    out.parent.mkdir()
    if there != "nothing":
        out.mkdir()
    if there == "an export":
        export.run(model, out, workspace)
    # each file is put in place, then all of them get their names
    for last in (1, 3, 6, 7, 8, 9, 10, 11):
        if not killed(_export, workspace.root, out, last, there == "an export", folder=tmp_path):
            break
        export.run(model, out, workspace)  # no --force
        assert names(out) == FILES
        assert names(out.parent) == ["out"]
        assert dkvb.load(out).classes == model.classes
        if there != "an export":
            for path in out.iterdir():
                path.unlink()
            if there == "nothing":
                out.rmdir()
    assert last > 6, "it was killed while names were given"


def test_files_of_others_are_still_refused(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    prepare(recipe, workspace)
    model, out = dkvb.load(workspace.root), tmp_path / "out"
    (out / ".tmp-export").mkdir(parents=True)
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        export.run(model, out, workspace)
    export.run(model, out, workspace, force=True)
    assert names(out) == sorted([*FILES, "mine.txt"])


@pytest.mark.slow
def test_a_report_leaves_no_stray_file(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    prepare(recipe, workspace)
    whole = tmp_path / "whole"
    report.run(recipe, Workspace(workspace.root, whole))
    expected = sorted(path.relative_to(whole) for path in whole.rglob("*"))
    strays = 0
    for last in (1, 2, 4, 6, 9):
        assert killed(_report, workspace.root, workspace.reports, tmp_path / "tiny.toml", last, folder=tmp_path)
        strays += len(list(workspace.reports.rglob(".tmp-*")))
    assert strays, "it was killed while it wrote"
    (entry,) = report.run(recipe, workspace)  # no --force
    assert sorted(path.relative_to(workspace.reports) for path in workspace.reports.rglob("*")) == expected
    assert Path(entry.index).read_text() == (whole / "index.html").read_text()


def test_a_full_disk_is_named_and_leaves_nothing(
    recipe: Recipe, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    def full(*args: Any, **named: Any) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    prepare(recipe, workspace)
    monkeypatch.setattr(export, "save_file", full)
    with pytest.raises(OSError, match="No space left") as error:
        export.run(dkvb.load(workspace.root), tmp_path / "out", workspace)
    assert (error.value.errno, Path(error.value.filename).name) == (28, "model.safetensors")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".tmp-*"))
    assert os.path.isdir(workspace.root)
