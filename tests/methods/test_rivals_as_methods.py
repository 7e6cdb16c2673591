"""Rivals as methods of `dkvb unlearn`, and the search that audits call without a workspace."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import dkvb
from conftest import trained_seed
from dkvb import registry
from dkvb.errors import DkvbError, UsageError
from dkvb.experiments import membership, paper_plan
from dkvb.methods.base import CurvePoint, make
from dkvb.methods.on_head import Answers, HeadData, best_setting, on_head, rival, searched
from dkvb.recipe import Recipe
from dkvb.stages import embed, train, unlearn
from dkvb.workspace.artifacts import Workspace
from rival_toys import toy

NAMES = [name for name, entry in registry.methods().items() if entry.rival]
EXACT = ["certified", "ridge-exact", "tilted"]
"""Those that never answer with the class."""


@pytest.mark.parametrize("name", NAMES)
def test_every_rival_keeps_what_it_measured(trained: Recipe, workspace: Workspace, name: str) -> None:
    asked = trained.with_(unlearn={"method": name, "forget": ["cat"], "sweep": True})
    (entry,) = unlearn.run(asked, workspace)
    seed = trained_seed(trained, workspace)
    method = make(name, seed, [2])
    tried = len(method.settings["tried"])
    assert [point.n for point in entry.curve] == list(range(tried + 1))
    assert entry.n_name == ("setting" if tried > 1 else "")
    at = entry.curve[entry.n]
    assert (at.forget_test, at.retain_test) == (entry.after.forget_test, entry.after.retain_test)
    assert entry.curve[0].forget_test == entry.before.forget_test > 0.9
    assert entry.flops > 0
    assert entry.not_in_paper == ["the method itself"]
    if tried > 1:
        assert entry.note.startswith(f"setting {entry.n} of {tried}: ")
        assert entry.seconds_choose > 0
    if name in EXACT:
        assert entry.after.forget_test == entry.after.forget_train == 0
        assert entry.after.retain_test > 0.95
    if name == "tilted":
        assert entry.keeps == "nothing"
        return
    assert entry.keeps == "weights"
    model = dkvb.load(entry.artifact, keep_labels=True)
    test = seed.splits.features_of("test")
    right = model.mask_alone(test).argmax(1) == seed.splits.labels["test"]
    assert right[seed.splits.labels["test"] == 2].mean() == pytest.approx(entry.after.forget_test)
    assert right[seed.splits.labels["test"] != 2].mean() == pytest.approx(entry.after.retain_test)
    again = make(name, seed, [2]).forget(entry.n)
    for key, array in load_file(entry.artifact + "/weights.safetensors").items():
        np.testing.assert_array_equal(array, again.arrays[key])


def test_out_of_proportion_columns_are_folded_into_what_is_kept(own_recipe: Recipe, workspace: Workspace) -> None:
    for split in ("train", "test"):
        path = Path("tiny-data") / f"{split}.npz"
        with np.load(path) as file:
            data = dict(file)
        data["x"][:, 3] = data["x"][:, 3] * 1e4 + 1e6
        np.savez(path, **data)
    embed.run(own_recipe, workspace)
    train.run(own_recipe, workspace)
    (entry,) = unlearn.run(own_recipe.with_(unlearn={"method": "ridge-exact", "forget": ["cat"]}), workspace)
    seed = trained_seed(own_recipe, workspace)
    assert seed.in_line.columns.tolist() == [3]
    assert (entry.after.forget_test, entry.after.retain_test) == (0, pytest.approx(1, abs=0.05))
    model, labels = dkvb.load(entry.artifact), seed.splits.labels["test"]
    right = model(seed.splits.features_of("test")).argmax(1) == labels
    assert right[labels != 2].mean() == pytest.approx(entry.after.retain_test)


def test_nothing_that_runs_by_itself_runs_a_rival() -> None:
    entries = registry.methods()
    assert not any(entries[name].default or entries[name].defence or entries[name].in_paper for name in NAMES)
    assert not set(NAMES) & {*paper_plan.METHODS, *membership.DEFENCES, *Recipe().unlearn.methods}
    assert len(NAMES) == 23


@pytest.mark.parametrize("name", on_head())
def test_a_search_needs_no_workspace(name: str) -> None:
    head, data = toy(each=60)
    found = searched(rival(name), head, data)
    assert 1 <= found.at.n <= len(rival(name).settings_tried)
    predicted = found.unlearned.logits(data.validation).argmax(1)
    right, gone = predicted == data.validation_labels, data.validation_labels == 2
    assert (found.at.forget, found.at.retain) == (right[gone].mean(), right[~gone].mean())
    assert (found.note is None) == (found.at.forget == 0)


def test_what_is_kept_between_settings_is_of_these_classes_and_this_head() -> None:
    head, data = toy()
    for name in ("ssd", "fisher", "influence", "esc", "subspace", "ridge-exact", "certified"):
        setting = rival(name).settings_tried[-1]
        rival(name).unlearn(head, data, setting)
        other = replace(data, forget=[1])  # shares what is kept
        fresh = replace(other, kept={})
        for given in (head, replace(head, weight=head.weight / 2)):
            shared, alone = (rival(name).unlearn(given, of, setting) for of in (other, fresh))
            assert not isinstance(shared, Answers)
            assert not isinstance(alone, Answers)
            np.testing.assert_array_equal(shared.weight, alone.weight)


def test_the_best_setting_forgets_and_then_keeps_the_others() -> None:
    curve = [CurvePoint(0, 1.0, 0.0), CurvePoint(1, 0.9, 0.0), CurvePoint(2, 0.95, 0.0), CurvePoint(3, 0.95, 0.0)]
    assert best_setting(curve, 0.0) == (2, None)
    assert best_setting([*curve, CurvePoint(4, 0.99, 0.1)], 0.1) == (4, None)
    far = [CurvePoint(0, 1.0, 0.0), CurvePoint(1, 0.9, 0.5), CurvePoint(2, 0.7, 0.3), CurvePoint(3, 0.8, 0.3)]
    n, note = best_setting(far, 0.0)
    assert n == 3
    assert note == "no setting brings forget accuracy to 0.0%; the lowest is 30.0%"


def test_data_that_are_no_use_are_refused() -> None:
    head, data = toy()
    finetune = rival("finetune")
    for forget, says in (([7], "nothing for a rival to unlearn"), ([0, 1, 2, 3], "Nothing is left to retain")):
        with pytest.raises(DkvbError, match=says):
            finetune.unlearn(head, replace(data, forget=forget), {"lr": 1})
    empty = HeadData(data.train, data.labels, data.validation[:0], data.validation_labels[:0], [2], 0)
    with pytest.raises(UsageError, match="chosen on validation data"):
        searched(finetune, head, empty)
    for name in ("scrub", "ssd-values"):
        with pytest.raises(UsageError, match="no rival on a linear head"):
            rival(name)


def test_a_setting_outside_the_search_is_refused(trained: Recipe, workspace: Workspace) -> None:
    method = make("finetune", trained_seed(trained, workspace), [2])
    method.check(3)
    with pytest.raises(UsageError, match="there is no setting 4"):
        method.check(4)


def test_the_page_of_rivals_lists_them_all() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "rivals.md").read_text(encoding="utf-8")
    head, values = page.split("## What they cost")[0].split("## On the bottleneck's values")
    listed = [re.findall(r"(?m)^\| `([a-z0-9-]+)` \|", part) for part in (head, values)]
    assert [sorted(names) for names in listed] == [sorted(on_head()), sorted(set(NAMES) - set(on_head()))]
    measured = re.findall(r"(?m)^\| ([a-z0-9-]+) \|", page.split("## What they cost")[1])
    assert set(NAMES) <= set(measured)
