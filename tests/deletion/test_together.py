"""Requests hold together: what one changes must not bring back what another forgets."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conftest import CLASSES, once, prepare, trained_seed
from dkvb.deletion import forget, ledger, restore, together
from dkvb.evaluation.chosen_rows import ChosenRows
from dkvb.recipe import Recipe
from dkvb.workspace import request_writing, requests
from dkvb.workspace.artifacts import Workspace


@pytest.fixture
def votes(trained: Recipe) -> Recipe:
    return trained.with_(unlearn={"method": ["votes"]})


def recognised(recipe: Recipe, workspace: Workspace, classes: list[int]) -> float:
    """The highest share of a class's training or validation rows that are recognised under all masks."""
    seed = trained_seed(recipe, workspace)
    union = requests.forgotten(workspace, seed.dkvb_artifact)
    rows = ChosenRows.of(seed.bottleneck, ["train", "validation"], classes)
    answers = rows.recognised(union.mask)
    return max(float(answers[rows.labels == c].mean()) for c in classes)


def test_every_forgotten_class_is_looked_at_and_stays_gone(votes: Recipe, workspace: Workspace) -> None:
    for number, name in enumerate(CLASSES[:3], 1):
        entry = forget.run(votes, workspace, [name])[0]
        assert entry.looked is not None
        assert [look.name for look in entry.looked] == CLASSES[:number]
        assert all(share == 0 for look in entry.looked for share in look.recognised.values())
        assert recognised(votes, workspace, list(range(number))) == 0
    assert ledger.verify(workspace).valid


@pytest.fixture
def weak(votes: Recipe, workspace: Workspace) -> str:
    """A request whose mask was made so small that its class is still recognised; its id."""

    def make(place: Workspace) -> None:
        forget.run(prepare(votes, place), place, ["cat"])
        (request,) = requests.all_requests(place)
        mask = request.mask()
        mask.ravel()[np.flatnonzero(mask)[::2]] = False
        settings = request.record.settings.model_copy(update={"n": int(mask.sum())})
        request_writing.change(request, mask_sha256=request_writing.write_mask(request.path, mask), settings=settings)
        assert recognised(votes, place, [2]) > 0

    once("a weak mask", workspace, make)
    (request,) = requests.all_requests(workspace)
    return request.id


def test_one_that_comes_back_gets_a_larger_n_of_its_own(weak: str, votes: Recipe, workspace: Workspace) -> None:
    before = requests.find(workspace, weak)
    entry = forget.run(votes, workspace, ["dog"])[0]
    assert entry.raised is not None
    (raised,) = entry.raised
    assert (raised.request, raised.cause) == (weak, entry.request)
    assert raised.recognised > 0
    assert raised.n == raised.n_before + raised.pairs
    after = requests.find(workspace, weak)
    assert after.record.topped_up == [raised]
    assert after.record.n == raised.n
    assert (before.mask() & ~after.mask()).sum() == 0
    assert (after.mask() & ~before.mask()).sum() == raised.pairs
    assert recognised(votes, workspace, [2, 3]) == 0
    events = [(line.event, line.request) for line in ledger.verify(workspace).ledger]
    assert events == [("masked", weak), ("topped-up", weak), ("masked", entry.request)]


def test_a_plan_says_it_and_writes_nothing(weak: str, votes: Recipe, workspace: Workspace) -> None:
    plan = forget.plan(votes, workspace, ["dog"])[0]
    assert plan.raised is not None
    assert plan.raised[0].request == weak
    assert plan.raised[0].mask_sha256 is None
    assert requests.find(workspace, weak).record.topped_up is None
    done = forget.run(votes, workspace, ["dog"])[0]
    assert done.raised is not None
    assert done.raised[0].pairs == plan.raised[0].pairs
    assert done.after == plan.after


def test_restore_gives_back_its_own_masks_and_the_rest_holds(weak: str, votes: Recipe, workspace: Workspace) -> None:
    dog = forget.run(votes, workspace, ["dog"])[0]
    mine = requests.find(workspace, weak).mask()
    entry = restore.run(votes, workspace, str(dog.request))
    left = requests.forgotten(workspace, trained_seed(votes, workspace).dkvb_artifact)
    assert left.classes == [2]
    assert left.mask is not None
    assert (left.mask & ~mine).sum() == sum(raised.pairs for raised in entry.raised or [])
    assert recognised(votes, workspace, [2]) == 0


def test_restoring_looks_at_the_others_again(weak: str, votes: Recipe, workspace: Workspace) -> None:
    """The dog's request goes; the cat's, too small by itself, is raised for it."""
    request = requests.find(workspace, weak)
    dog = forget.run(votes, workspace, ["dog"])[0]
    (requests.find(workspace, weak).path / requests.top_up_file(1)).unlink()
    request_writing.change(requests.find(workspace, weak), topped_up=None)
    entry = restore.run(votes, workspace, str(dog.request))
    assert entry.raised is not None
    assert (entry.raised[0].request, entry.raised[0].cause) == (weak, dog.request)
    assert recognised(votes, workspace, [2]) == 0
    assert requests.find(workspace, weak).mask().sum() > request.mask().sum()


def test_an_n_that_a_person_gave_stays(votes: Recipe, workspace: Workspace) -> None:
    first = forget.run(votes.with_(unlearn={"nv": 3}), workspace, ["cat"])[0]
    second = forget.run(votes, workspace, ["dog"])[0]
    assert second.raised is None
    assert second.looked is not None
    (cat,) = (look for look in second.looked if look.name == "cat")
    assert cat.recognised["train"] > 0, "it is looked at all the same"
    assert requests.find(workspace, str(first.request)).record.n == 3


def test_an_altered_top_up_is_damage(weak: str, votes: Recipe, workspace: Workspace) -> None:
    forget.run(votes, workspace, ["dog"])
    request = requests.find(workspace, weak)
    (request.path / requests.top_up_file(1)).write_bytes(b"no mask")
    with pytest.raises(requests.DamagedArtifact, match="top-up-1"):
        request.mask()


def test_a_killed_process_leaves_nothing_unrecorded(weak: str, votes: Recipe, workspace: Workspace) -> None:
    """Killed between the request's file and the ledger: the next command records it."""
    request = requests.find(workspace, weak)
    seed = trained_seed(votes, workspace)
    holders = [together.holder_of(seed, request)]
    together.hold(seed, holders, seed.no_mask < 0)
    (raised,) = together.top_ups(holders, "r0009")
    assert holders[0].raised is not None
    request_writing.top_up(request, holders[0].raised, raised)
    ledger.catch_up(workspace)
    last = ledger.entries(workspace)[-1]
    assert (last.event, last.request) == ("topped-up", weak)
    assert last.top_up is not None
    assert last.top_up.cause == "r0009"
    ledger.catch_up(workspace)
    assert len(ledger.entries(workspace)) == 2
    assert json.loads((request.path / "request.json").read_text()).get("unrecorded") is None
