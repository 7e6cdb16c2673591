"""The comparing page shows the same samples of the forgotten class under each method's mask."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from conftest import trained_seed
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.pages.facts import look_ups
from dkvb.pages.facts.collect import collect
from dkvb.pages.facts.side_by_side import side_by_side
from dkvb.pictures.album import Album
from dkvb.recipe import Recipe
from dkvb.stages import report, unlearn
from dkvb.workspace.artifacts import Workspace
from pictured import COLOURS, TEST, WHALE, animal, on_page

NAMES = list(COLOURS)


def compared(workspace: Workspace) -> str:
    [page] = workspace.reports.glob("compare-*.html")
    return page.read_text(encoding="utf-8")


def test_each_sample_is_said_to_be_what_each_mask_makes_of_it(zoo: tuple[Recipe, Workspace]) -> None:
    recipe, workspace = zoo
    unlearn.run(recipe.with_(unlearn={"method": "votes", "nv": 12}), workspace)
    collected = collect(workspace)
    [run] = collected.runs
    [shown] = side_by_side([run], Album(workspace, recipe.data))
    assert (shown.seed, [sample.label for sample in shown.samples]) == (0, ["whale"] * TEST)
    trained = trained_seed(recipe, workspace)
    rows = range(WHALE * TEST, (WHALE + 1) * TEST)
    (before,) = masked_predictions(trained.bottleneck, trained.no_mask, [0], "test")
    assert [sample.before for sample in shown.samples] == [NAMES[before[row]] for row in rows]
    for place, method in enumerate(("votes", "activations")):
        order = trained.no_mask.copy()
        order[look_ups.mask_of(run.find(method).artifacts[0], 8)] = -1
        (after,) = masked_predictions(trained.bottleneck, order, [0], "test")
        said = [sample.after[place] for sample in shown.samples]
        assert [(one.method, one.answer) for one in said] == [(method, NAMES[after[row]]) for row in rows]


def test_they_are_on_the_page_and_go_where_pictures_are_not_wanted(zoo: tuple[Recipe, Workspace]) -> None:
    recipe, workspace = zoo
    assert [animal(picture) for picture in on_page(compared(workspace))] == ["whale"] * TEST
    report.run(recipe.with_(report={"pictures": False}), workspace)
    assert on_page(compared(workspace)) == []


def test_the_index_shows_them_beside_each_run(zoo: tuple[Recipe, Workspace]) -> None:
    index = (zoo[1].reports / "index.html").read_text(encoding="utf-8")
    assert [animal(picture) for picture in on_page(index)] == ["whale"] * TEST
    assert (
        len(re.findall(r'alt="A test sample of whale, taken for whale before; Masking by activations: f', index))
        == TEST
    )


def test_a_mask_that_cannot_be_read_is_left_to_the_page_that_says_so(zoo: tuple[Recipe, Workspace]) -> None:
    recipe, workspace = zoo
    [run] = collect(workspace).runs
    album = Album(workspace, recipe.data)
    [artifact] = run.find("activations").artifacts
    (Path(artifact.path) / "mask.safetensors").write_bytes(b"nothing")
    assert side_by_side([run], album) == []
    assert side_by_side([run], None) == []
    assert side_by_side([replace(run, methods=[])], album) == []
