"""Commands that only read work where the workspace cannot be written, and leave it to the byte as it was."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import forked
from conftest import TOML, blobs, prepare
from dkvb.cli import app
from dkvb.recipe import load
from dkvb.runtime import progress
from dkvb.workspace.artifacts import Workspace
from read_only import give_up_root, lock_up, on_a_read_only_disk, unlock

READING = (
    "status",
    "ledger",
    "predict tiny-data/test.npz --csv classes.csv",
    "export out",
    "export --check out",
    "report --reports-dir pages",
    "receipt r0001",
    "forget dog --plan",
    "forget dog --exact --plan",
    "doctor",
)
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's capabilities")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a request for cat and its receipt; nothing has been locked in it yet."""
    progress.silence()
    root = tmp_path_factory.mktemp("read-only-workspace")
    blobs(root / "tiny-data")
    text = TOML.replace('"tiny-data"', f'"{root.as_posix()}/tiny-data"')
    (root / "tiny.toml").write_text(text, encoding="utf-8")
    prepare(load(str(root / "tiny.toml")), Workspace(root / "data", root / "reports"))
    for words in (["forget", "cat", "--method", "activations", "--na", "150"], ["receipt", "r0001"]):
        places = ["--recipe", str(root / "tiny.toml"), "--data-dir", str(root / "data")]
        result = CliRunner().invoke(app, [*words, *places])
        assert result.exit_code == 0, result.output
    shutil.rmtree(root / "data/.locks")
    (root / "data/recipe.json").unlink()
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Iterator[Path]:
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    yield copy
    unlock(copy / "data")


def state(data: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a workspace: when it was changed, its kind and what it holds."""
    return {
        str(path): (
            path.stat().st_mtime_ns,
            stat.S_IFMT(path.stat().st_mode),
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [data, *sorted(data.rglob("*"))]
    }


def words_of(command: str, root: Path) -> list[str]:
    return [*command.split(), "--recipe", str(root / "tiny.toml"), "--data-dir", str(root / "data")]


def _run_all(root: str) -> None:
    give_up_root()
    with pytest.raises(PermissionError):
        (Path(root) / "data/new").mkdir()
    ended = {}
    for command in READING:
        result = CliRunner().invoke(app, words_of(command, Path(root)))
        ended[command] = (result.exit_code, result.stdout, result.stderr)
    Path("ended.json").write_text(json.dumps(ended))


def look(root: Path, ended: dict[str, tuple[int, str, str]]) -> None:
    assert {command: code for command, (code, *_) in ended.items()} == dict.fromkeys(READING, 0), ended
    assert "cat" in ended["status"][1]
    assert "masked" in ended["ledger"][1]
    assert Path(root / "classes.csv").read_text().count("\n") == 121
    assert sorted(path.name for path in (root / "out").iterdir())[1] == "config.json"
    assert (root / "pages/index.html").is_file()
    assert "r0001-cat.json" in ended["receipt r0001"][1].replace("\n", "")


@LINUX
@pytest.mark.slow  # the same commands as on a read-only disk below, in a process of another user
def test_permissions_are_not_there(root: Path) -> None:
    before = state(root / "data")
    lock_up(root / "data")
    process = forked.call(_run_all, str(root), folder=root)
    assert process.end() == 0, process.said
    look(root, json.loads((root / "ended.json").read_text()))
    assert state(root / "data") == before


def test_the_disk_is_read_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, ended = state(root / "data"), {}
    monkeypatch.chdir(root)
    with monkeypatch.context() as patch:
        on_a_read_only_disk(root / "data", patch)
        with pytest.raises(OSError, match="Read-only"):
            os.mkdir(root / "data/new")
        for command in READING:
            result = CliRunner().invoke(app, words_of(command, root))
            ended[command] = (result.exit_code, result.stdout, result.stderr)
        writing = CliRunner().invoke(app, words_of("forget dog", root))
        train = CliRunner().invoke(app, words_of("train", root))
    look(root, ended)
    assert state(root / "data") == before
    assert writing.exit_code == 1
    assert "is on a read-only disk" in writing.stderr
    assert train.exit_code == 0, train.stderr  # all of it is done already


@LINUX
def test_a_lock_file_of_somebody_else_is_named_where_the_workspace_can_be_written(root: Path) -> None:
    """To go on without the lock would let two write at a time."""
    locks = root / "data/.locks"
    locks.mkdir()
    (locks / "requests.lock").touch()
    lock_up(locks)
    process = forked.call(_forget, str(root), folder=root)
    assert process.end() == 0, process.said
    code, said = json.loads((root / "ended.json").read_text())
    assert code == 1
    assert "requests.lock: permission denied" in said


def _forget(root: str) -> None:
    give_up_root()
    result = CliRunner().invoke(app, words_of("forget dog", Path(root)))
    Path("ended.json").write_text(json.dumps([result.exit_code, result.stderr]))
