"""Methods that are run ahead of their entries: the entries are those of an audit in one process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conftest import trained_seed
from dkvb.audit import entries
from dkvb.audit.ahead import unlearn_ahead
from dkvb.audit.entries import Stand, entry, entry_spec
from dkvb.audit.run import models_of
from dkvb.audit.subjects import subjects
from dkvb.errors import DkvbError
from dkvb.methods.logit_mask import LogitMask
from dkvb.recipe import Recipe
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.names import LOGITS

WANTED = [subject for subject in subjects(["values"], ["votes", "logit-mask"]) if not subject.line]


@pytest.fixture
def stand(trained: Recipe, workspace: Workspace) -> Stand:
    seed = trained_seed(trained.with_(unlearn={"forget": ["bird"]}), workspace)
    return Stand(seed, [1], models_of(seed, ["values"], [1], 6), force=False)


def answered(stand: Stand) -> list[bytes]:
    made = [stand.trained.workspace.need_spec(entry_spec(stand, subject), "The entry") for subject in WANTED]
    return [arrays.read(artifact, LOGITS).tobytes() for artifact in made]


def test_entries_go_on_from_what_was_made_ahead(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = stand.trained.recipe
    alone = [entry(recipe, stand, subject) for subject in WANTED]
    expected = answered(stand)
    after = unlearn_ahead(recipe, replace(stand, force=True), WANTED)
    assert not stand.trained.workspace.all("audit"), "they are begun anew"
    monkeypatch.setattr(entries, "unlearn", lambda *given: 1 / 0)
    spread = [entry(recipe, after, subject) for subject in WANTED]
    assert [made.measures for made in spread] == [made.measures for made in alone]
    assert answered(stand) == expected


def test_a_method_that_fails_ahead_fails_where_its_entry_is_made(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: LogitMask, n: int) -> None:
        raise DkvbError("no luck today")

    monkeypatch.setattr(LogitMask, "forget", failing)
    after = unlearn_ahead(stand.trained.recipe, stand, WANTED)
    votes, masked = (entry(stand.trained.recipe, after, subject) for subject in WANTED)
    assert (votes.error, masked.error) == (None, "no luck today")


def test_with_more_methods_than_workers_can_take_nothing_is_made_ahead(stand: Stand) -> None:
    assert unlearn_ahead(stand.trained.recipe, stand, WANTED * 2) is stand
    assert not stand.trained.workspace.all("audit")
