"""Methods run on originals ahead of their entries, a model a unit of work: for more workers than methods can keep
busy.

What is made here is what `dkvb.audit.entries.entry` would make, in the same places and marked as done, so that an entry
goes on from it as from what an interrupted audit has left.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from dkvb.audit.entries import Stand, choose_once, entry_spec, room, run_on
from dkvb.audit.oracles import rows_of
from dkvb.audit.subjects import Subject
from dkvb.recipe import Recipe
from dkvb.runtime import progress
from dkvb.runtime.cluster import at_once
from dkvb.runtime.parallel import each_unit
from dkvb.workspace import arrays

TURNS = 4
"""Entries that each worker would make one after another, from which on they are left whole: it hardly matters then
which of them take longest."""

Unit = tuple[Subject, Path, int]
"""A method, its entry's folder, and an original."""


def unlearn_ahead(recipe: Recipe, stand: Stand, audited: Sequence[Subject]) -> Stand:
    """Run methods on originals on the workers of the recipe's `[run]`, as far as no earlier run has done that.

    Returns:
        What entries are then to be made with: forced ones must not begin anew.
    """
    methods = [subject for subject in audited if not subject.line and stand.models[subject.kind].unlearned > 1]
    if not methods or len(audited) >= TURNS * at_once(recipe.run):
        return stand
    workspace, asked = stand.trained.workspace, len(rows_of(stand.trained, stand.forget))
    specs = {subject: entry_spec(stand, subject) for subject in methods}
    with ExitStack() as held:
        # in one order, whoever holds some of them: so that nobody waits for somebody who waits for them
        in_order = sorted(methods, key=lambda subject: workspace.path(specs[subject]))
        claims = {subject: held.enter_context(workspace.claim(specs[subject], stand.force)) for subject in in_order}
        begun = [(subject, claims[subject].path) for subject in methods if claims[subject].artifact is None]
        for subject, folder in begun:
            room(stand.trained, asked, stand.models[subject.kind].unlearned, folder)
        ready = each_unit(_choose, begun, recipe, stand)
        units: list[Unit] = [
            (subject, folder, model)
            for (subject, folder), chosen in zip(begun, ready, strict=True)
            for model in range(stand.models[subject.kind].unlearned)
            if chosen and arrays.Marks(folder).get(str(model)) is None
        ]
        each_unit(_unlearn, units, recipe, stand)
    return replace(stand, force=False)


def _choose(recipe: Recipe, stand: Stand, unit: tuple[Subject, Path]) -> bool:
    """Whether a method's settings are chosen."""
    subject, folder = unit
    try:
        with progress.silenced():
            choose_once(stand.beside(subject.kind).bench, subject, arrays.Marks(folder))
    except Exception:  # of whatever kind: it comes again where the entry is made, which says it
        return False
    return True


def _unlearn(recipe: Recipe, stand: Stand, unit: Unit) -> None:
    subject, folder, model = unit
    try:
        with progress.silenced():
            run_on(stand.beside(subject.kind).bench, subject, folder, model)
    except Exception:  # likewise
        return
