"""Classes to forget as people name them: by name, exactly; by id only where an id is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import TOML, blobs
from dkvb.cli import app
from dkvb.commands.flags import overrides
from dkvb.errors import UsageError
from dkvb.evaluation.forget_sets import class_id, class_ids, keyword
from dkvb.recipe import Recipe

FOLDERS = ["1", "10", "2", "3", "4", "5", "6", "7", "8", "9"]
"""Folders 1 … 10, in the order in which they are read."""


def test_a_name_that_is_a_number_is_a_name_and_never_a_position() -> None:
    assert class_id("10", FOLDERS) == 1
    assert class_id("#9", FOLDERS) == class_id(9, FOLDERS) == class_id("9", FOLDERS) == 9
    assert class_id("2", FOLDERS) == 2
    assert class_id("#3", ["a", "#3"]) == 1, "a name, where a class has it"
    with pytest.raises(UsageError) as refused:
        class_id("0", FOLDERS)
    said = str(refused.value)
    assert "There is no class '0'" in said
    assert "position 0, counted from 0, which is '1'" in said
    assert "--id 0, or '#0' in quotes" in said


@pytest.mark.parametrize(
    "given", ["02", " 2", "2 ", "\uff12", "2.0", "+2", "#02", "# 2", "#-1", "#10", "-1", "", 10, -1]
)
def test_nothing_that_is_only_like_a_name_or_an_id_is_taken_for_one(given: str | int) -> None:
    with pytest.raises(UsageError, match="There is no class"):
        class_id(given, FOLDERS)


def test_words_are_keywords_alone_and_names_in_a_list() -> None:
    def asked(forget: object) -> str | None:
        return keyword(Recipe().with_(unlearn={"forget": forget}))

    assert [asked(forget) for forget in ("best", "#best", "each", "#each")] == ["best", "best", "each", "each"]
    assert [asked(forget) for forget in (["best"], ["each"], "auto", 3, "#3")] == [None] * 5
    assert class_ids(["best", "auto"], ["auto", "best", "each"]) == [0, 1]


@pytest.mark.parametrize(
    ("values", "forget"),
    [
        ({"best": True}, "best"),
        ({"each": True}, "each"),
        ({"forget": ["best"]}, ["best"]),
        ({"forget": ["3", "#3"], "id_": [3]}, ["3", "#3", 3]),
    ],
)
def test_options_set_the_recipe(values: dict[str, object], forget: object) -> None:
    none = {"forget": None, "id_": None, "best": False, "each": False}
    assert overrides(none | values) == {"unlearn": {"forget": forget}}
    assert overrides(none) == {}


def test_classes_called_like_keywords_are_forgotten_by_name(tmp_path: Path) -> None:
    blobs(tmp_path / "tiny-data")
    for split in ("train", "test"):
        file = tmp_path / "tiny-data" / f"{split}.npz"
        with np.load(file) as stored:
            arrays = {**stored, "classes": np.array(["auto", "each", "best", "0"])}
        np.savez(file, **arrays)
    (tmp_path / "dkvb.toml").write_text(TOML, encoding="utf-8")

    def classes(command: str, *words: str) -> list[list[str]]:
        done = CliRunner().invoke(app, [command, *words, "--json"])
        assert done.exit_code == 0, done.stderr
        return [entry.get("names") or entry["forget_names"] for entry in json.loads(done.stdout).get(command, [])]

    for stage in ("embed", "train"):
        assert CliRunner().invoke(app, [stage]).exit_code == 0
    assert classes("forget", "best", "0") == [["best", "0"]]
    assert classes("forget", "--id", "1") == [["each"]]
    activations = ("--method", "activations")
    assert classes("unlearn", *activations, "--forget", "best") == [["best"]]
    assert classes("unlearn", *activations, "--each") == [["auto"], ["each"], ["best"], ["0"]]
