"""`dkvb export --check`, `status --check` and a purge, of ONNX files: one that has been overtaken is named."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from test_export_check import run

from conftest import prepare
from dkvb.recipe import Recipe
from dkvb.workspace.artifacts import Workspace


@pytest.fixture
def root(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> Path:
    prepare(recipe, workspace)
    run(tmp_path, "export", "before", "--format", "onnx")
    run(tmp_path, "forget", "cat", "--method", "activations", "--na", "150")
    run(tmp_path, "export", "after", "--format", "onnx")
    return tmp_path


def check(root: Path, name: str, code: int = 0) -> dict[str, Any]:
    return dict(json.loads(run(root, "export", "--check", str(root / name), "--json", code=code).stdout)["export"][0])


def test_an_onnx_file_of_before_a_purge_is_named(root: Path) -> None:
    now = check(root, "after")
    assert (now["format"], now["verdict"], now["problems"], now["exported"]) == ("onnx", "current", [], now["now"])
    assert any("README.md" in one for one in now["not_checked"])
    shutil.copy(root / "before/model.onnx", root / "deployed.onnx")  # the file alone, under another name
    assert check(root, "deployed.onnx", code=1)["since"] == [
        {"request": "r0001-cat", "names": ["cat"], "events": ["masked"]}
    ]
    shutil.copytree(root / "before", root / "data/exported")
    shutil.copytree(root / "after", root / "data/exported-after")
    said = run(root, "purge", "r0001", "--yes", code=1).stderr
    assert f"of the purged rows in {root / 'data/exported/model.onnx'}: delete that" in said
    shutil.rmtree(root / "data/exported")
    run(root, "purge", "r0001", "--yes")  # that of after the request holds nothing of it
    for name in ("before", "after"):
        (since,) = check(root, name, code=1)["since"]
        assert since["events"][-1] == "purged"
    said = " ".join(run(root, "export", "--check", "before", code=1).stderr.split())
    assert f"`dkvb export {root / 'before'} --format onnx --force` renews it" in said


@pytest.mark.parametrize("form", ["safetensors", "onnx"])
def test_an_export_without_columns_of_classes_forgotten_before_is_found(root: Path, form: str) -> None:
    run(root, "export", "data/exported", "--format", form)  # without a column for cat
    run(root, "forget", "dog", "--method", "activations", "--na", "150")
    said = run(root, "purge", "r0002", "--yes", code=1).stderr
    assert f"of the purged rows in {root / 'data/exported'}" in said
    shutil.rmtree(root / "data/exported")
    run(root, "purge", "r0002", "--yes")


def test_damage_is_told(root: Path) -> None:
    (root / "after/labels.json").write_text('{"0": "cat"}')
    assert "labels.json has other names than model.onnx" in check(root, "after", code=5)["problems"][0]
    shutil.copytree(root / "after", root / "data/exported")
    (problem,) = json.loads(run(root, "status", "--check", "--json", code=5).stdout)["check"]["problems"]
    assert (problem["stage"], problem["where"]) == ("export", str(root / "data/exported/labels.json"))
    file = root / "data/exported/model.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    assert check(root, "data/exported", code=5)["verdict"] == "damaged"
    (problem,) = json.loads(run(root, "status", "--check", "--json", code=5).stdout)["check"]["problems"]
    assert problem["where"] == str(file)


def test_without_onnx_nothing_is_called_intact(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(root / "after", root / "data/exported")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "pip install dkvb[onnx]" in run(root, "export", "--check", "after", code=2).stderr
    told = json.loads(run(root, "status", "--check", "--json").stdout)["check"]
    (unchecked,) = told["unchecked"]
    assert unchecked["where"] == str(root / "data/exported/model.onnx")
