"""A workspace remembers the recipe last used in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from conftest import TOML, blobs
from dkvb.cli import app


def dkvb(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == code, f"{result.exit_code}: {result.stderr}{result.stdout}{result.exception!r}"
    return result


def names(result: Any) -> str:
    """The data set that a `status --json` speaks of."""
    return json.loads(result.stdout)["status"][0]["what"]


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A workspace in which tiny.toml was used last."""
    blobs(tmp_path / "tiny-data")
    (tmp_path / "tiny.toml").write_text(TOML, encoding="utf-8")
    dkvb("embed", "--recipe", "tiny.toml")
    return tmp_path / "data"


def test_commands_go_on_with_the_recipe_last_used_and_say_so(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (used.parent / "elsewhere").mkdir()
    monkeypatch.chdir(used.parent / "elsewhere")
    said = dkvb("status", "--data-dir", str(used), "--json")
    assert names(said) == "tiny-data"
    assert f"recipe: {used.parent / 'tiny.toml'}, as last used in {used}" in said.stderr
    assert len(said.stderr.splitlines()) == 1
    dkvb("train", "--data-dir", str(used))
    assert "truck" in dkvb("forget", "truck", "--data-dir", str(used), code=2).stderr
    assert dkvb("forget", "dog", "--data-dir", str(used)).stderr.count("as last used") == 1, "said once"


def test_a_recipe_that_is_named_or_lies_here_comes_first(used: Path) -> None:
    assert names(dkvb("status", "--recipe", "digits", "--json")) == "digits"
    (used.parent / "dkvb.toml").write_text('[data]\nsource = "cifar100"\n')
    said = dkvb("status", "--json")
    assert (names(said), said.stderr) == ("cifar100", "")


def test_only_commands_that_write_are_remembered(used: Path) -> None:
    before = (used / "recipe.json").read_bytes()
    dkvb("status", "--recipe", "digits")
    dkvb("train", "--recipe", "digits", code=3)
    dkvb("forget", "3", "--recipe", "digits", code=3)
    assert (used / "recipe.json").read_bytes() == before
    dkvb("embed", "--recipe", "digits", "--seed", "7")
    assert json.loads((used / "recipe.json").read_bytes()) == {"recipe": "digits", "data_path": None}


def test_a_request_is_a_use(used: Path) -> None:
    dkvb("train")
    dkvb("embed", "--recipe", "digits")
    dkvb("forget", "dog", "--recipe", "tiny.toml", "--plan")
    assert names(dkvb("status", "--json")) == "digits"
    dkvb("forget", "dog", "--recipe", "tiny.toml")
    assert names(dkvb("status", "--json")) == "tiny-data"


def test_where_the_data_lie_is_remembered(used: Path) -> None:
    blobs(used.parent / "moved", seed=3)
    dkvb("embed", "--data-root", "moved")
    said = dkvb("status", "--json")
    assert names(said) == "moved"
    assert str(used.parent / "moved") in said.stderr
    assert names(dkvb("status", "--data-root", "tiny-data", "--json")) == "tiny-data"


def test_an_interrupted_command_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dkvb.stages import train

    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "run", interrupted)
    dkvb("run", "digits", code=130)
    assert names(dkvb("status", "--json")) == "digits"


def test_a_remembered_recipe_that_is_gone_or_damaged_is_asked_for(used: Path) -> None:
    (used.parent / "tiny.toml").rename(used.parent / "mine.toml")
    said = dkvb("status", code=2).stderr
    assert "tiny.toml" in said
    assert "Give --recipe NAME or FILE" in said
    (used.parent / "tiny.toml").write_text("[kyes]")
    assert "did you mean 'keys'" in dkvb("status", code=2).stderr
    (used / "recipe.json").write_text("{")
    said = dkvb("status", code=2).stderr
    assert "recipe.json" in said
    assert "give --recipe NAME or FILE" in said
    dkvb("embed", "--recipe", "mine.toml")
    assert names(dkvb("status", "--json")) == "tiny-data"


def test_one_that_a_killed_process_was_writing_does_not_stay(used: Path) -> None:
    (used / "recipe.json").unlink()
    (used / ".tmp-1-recipe.json").write_text("half", encoding="utf-8")
    dkvb("embed", "--recipe", "tiny.toml")
    assert not (used / ".tmp-1-recipe.json").exists()
    assert json.loads((used / "recipe.json").read_text(encoding="utf-8"))["recipe"].endswith("tiny.toml")
