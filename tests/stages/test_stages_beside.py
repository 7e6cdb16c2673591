"""Unlearning and pages shared with a second process come out as from one; a function called here stands in for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dkvb.recipe import Recipe
from dkvb.runtime import progress
from dkvb.runtime.beside import Begun, here
from dkvb.stages import report, unlearn
from dkvb.workspace.artifacts import Workspace
from fakes import Fake, workspace_at


class Calls:
    """A second process that is none: functions are called when their results are waited for."""

    def __init__(self) -> None:
        self.arguments: list[tuple[Any, ...]] = []

    def begin(self, module: str, function: str, *arguments: Any) -> Begun:
        self.arguments.append(arguments)
        return here(module, function, *arguments)


@pytest.mark.parametrize(
    ("methods", "there"),
    [
        (("votes", "activations", "logit-mask", "scrub"), ["logit-mask", "scrub"]),
        (("votes", "activations", "examples"), ["activations", "examples"]),
        (("scrub", "activations"), ["scrub", "activations"]),
        (("activations",), ["activations"]),
    ],
)
def test_half_of_the_methods_and_those_that_train_are_handed_over(
    trained: Recipe, workspace: Workspace, methods: tuple[str, ...], there: list[str]
) -> None:
    recipe, calls = trained.with_(unlearn={"method": list(methods)}), Calls()
    entries = unlearn.run(recipe, workspace, begin=calls.begin)
    assert [handed[0].unlearn.methods for handed in calls.arguments] == [there]
    assert [entry.method for entry in entries] == list(methods)
    assert not any(entry.skipped for entry in entries)
    again = unlearn.run(recipe, workspace)
    assert all(entry.skipped for entry in again), "the same artifacts are asked for"
    assert [entry.model_copy(update={"skipped": True}) for entry in entries] == again


def test_it_says_the_same_in_the_same_order(
    trained: Recipe, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = trained.with_(unlearn={"method": ["votes", "logit-mask"], "sweep": True})
    progress.silence(False)
    said = []
    for begin in (Calls().begin, None):
        unlearn.run(recipe, workspace, force=True, begin=begin)
        said.append(re.sub(r"in [\d.]+ s", "in", capsys.readouterr().err).splitlines())
    assert said[0] == said[1]
    assert any(line.startswith("unlearn") and "logit-mask" in line for line in said[0])


def test_pages_are_the_same(tmp_path: Path) -> None:
    fake = Fake(workspace_at(tmp_path))
    model = fake.train()
    for method in ("activations", "examples"):
        fake.unlearn(model, method, 180_000)
    calls, folder = Calls(), fake.workspace.reports
    alone = report.run(Recipe(), fake.workspace)
    before = {path.name: path.read_bytes() for path in folder.rglob("*.html")}
    [result] = report.run(Recipe(), fake.workspace, force=True, begin=calls.begin)
    assert {path.name: path.read_bytes() for path in folder.rglob("*.html")} == before
    names = [Path(page).name for page in result.pages]
    assert [handed[-1] for handed in calls.arguments] == [names[-(len(names) // 2) :]]
    assert result.model_copy(update={"seconds": 0}) == alone[0].model_copy(update={"seconds": 0})
    report.run(Recipe(), fake.workspace, begin=calls.begin)
    assert len(calls.arguments) == 1, "nothing is begun where no page is stale"
