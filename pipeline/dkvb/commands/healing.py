"""`dkvb status --heal`: what a check found is made again where the stages can do that, by the recipe that made it; and
what earlier versions wrote without hashes gets them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from dkvb.commands.checking import check
from dkvb.deletion import receipt_files
from dkvb.errors import DkvbError
from dkvb.recipe import Recipe
from dkvb.records.status import FileCheck, Problem
from dkvb.runtime import progress
from dkvb.workspace import content
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.lineage import seed_models
from dkvb.workspace.names import PICTURES
from dkvb.workspace.specs import embed_settings

MADE_AGAIN = ("retrained", "oracles", "audit", PICTURES)
"""Stages from whose artifacts nothing else is made: a damaged one is removed."""


def heal(recipe: Recipe, workspace: Workspace, found: FileCheck) -> FileCheck:
    """Mend what can be mended, and look again: `healed` is what was wrong and no longer is.

    Models and keys are made again as they were trained at first, to the same bits on the same machine; where they come
    out otherwise, what was made from the earlier ones no longer fits, and the second look says so.
    """
    _seal(workspace, found)
    if found.problems:
        for stage, mend in (("embed", _embed), ("quantize", _quantize), ("train", _train)):
            _attempt(found, stage, lambda mend=mend: mend(recipe, workspace, found))  # type: ignore[misc]
        for folder in (folder for stage in MADE_AGAIN for folder in _folders(found, stage)):
            shutil.rmtree(folder)
            progress.note(f"heal: {folder} is removed: it is made again where it is next needed")
        _attempt(found, "receipts", lambda: receipt_files.dress_again(workspace))
        _attempt(found, "recipe", workspace.remember_recipe)
        _attempt(found, "report", lambda: _report(recipe, workspace))
    again = check(workspace)
    healed = [problem for problem in found.problems if problem not in again.problems]
    sealed = [one for one in found.unchecked if one not in again.unchecked]
    return again.model_copy(update={"healed": healed, "sealed": sealed})


def _attempt(found: FileCheck, stage: str, mend: Callable[[], object]) -> None:
    """Mend a stage where something is wrong with it; what cannot be mended is said, and stays on the list."""
    if any(problem.stage == stage for problem in found.problems):
        try:
            mend()
        except DkvbError as error:
            progress.note(f"heal: {error}")


def _folders(found: FileCheck, stage: str) -> list[Path]:
    """The artifacts of a stage whose files are wrong."""
    return sorted({folder for problem in found.problems if (folder := _folder(problem, stage))})


def _folder(problem: Problem, stage: str) -> Path | None:
    where = Path(problem.where)
    at = next((one for one in where.parents if one.name == stage), None)
    # one that fits no longer what it was made from stands there as a whole: that is for its owner to decide
    return at / where.relative_to(at).parts[0] if problem.stage == stage and at and where.parent != at else None


def _of_seeds(recipe: Recipe, workspace: Workspace) -> dict[int, list[Artifact]]:
    """The recipe's keys and models by seed, where they are there."""
    features = workspace.find("embed", embed_settings(recipe))
    if features is None:
        return {}
    made = {seed: seed_models(recipe, workspace, features, seed) for seed in recipe.run.seeds}
    return {seed: [one for one in (of.codes, of.bottleneck, of.linear) if one] for seed, of in made.items()}


def _embed(recipe: Recipe, workspace: Workspace, found: FileCheck) -> None:
    from dkvb.stages import embed

    features = workspace.find("embed", embed_settings(recipe))
    if features and features.path in _folders(found, "embed"):
        _by_parts_or_whole(lambda force: embed.run(recipe, workspace, force))


def _quantize(recipe: Recipe, workspace: Workspace, found: FileCheck) -> None:
    from dkvb.stages import quantize

    wrong = _folders(found, "quantize")
    for seed, made in _of_seeds(recipe, workspace).items():
        if any(one.path in wrong for one in made):
            own = recipe.with_(run={"seeds": [seed]})
            _by_parts_or_whole(lambda force, own=own: quantize.run(own, workspace, force))  # type: ignore[misc]


def _by_parts_or_whole(run: Callable[[bool], object]) -> None:
    """Have a stage make the damaged parts again or, where what they share is damaged, everything."""
    try:
        run(False)
    except DkvbError as error:
        progress.note(f"heal: {error}")
        run(True)


def _train(recipe: Recipe, workspace: Workspace, found: FileCheck) -> None:
    from dkvb.stages import train

    wrong = _folders(found, "train")
    for seed, made in _of_seeds(recipe, workspace).items():
        mine = [one for one in made if one.path in wrong]
        if any(one.lost_rows for one in mine):
            continue  # it cannot be made again as it was, as the check says
        for one in mine:
            for name in one.wrong_files(chunks=True):
                _drop(one.path, name)
            one.reopen()
        if mine:
            train.run(recipe.with_(run={"seeds": [seed]}), workspace)


def _drop(folder: Path, name: str) -> None:
    """Delete a file of an artifact that is wrong, or the whole array whose metadata it holds: training writes into an
    array that is there, as it is."""
    path = folder / name
    if path.name == "zarr.json" and path.parent != folder:
        shutil.rmtree(path.parent)
    else:
        path.unlink(missing_ok=True)


def _report(recipe: Recipe, workspace: Workspace) -> None:
    from dkvb.stages import report

    report.run(recipe, workspace)


def _seal(workspace: Workspace, found: FileCheck) -> None:
    """Give what earlier versions wrote hashes of its files, where nothing is wrong with it."""
    if any(one.where.endswith(".html") for one in found.unchecked):
        receipt_files.dress_again(workspace)  # pages of receipts
    for one in found.unchecked:
        folder = Path(one.where)
        if not folder.is_dir():
            continue
        inner = Workspace(folder.parent.parent, workspace.reports)
        if folder == workspace.reports or any(Path(p.where).is_relative_to(folder) for p in found.problems):
            continue
        with inner.hold(f"{folder.parent.name}-{folder.name}", f"{folder.parent.name} {folder.name}"):
            if (artifact := inner.read(folder)) and artifact.content is None:
                above = content.input_artifacts(inner.root, artifact.inputs)
                artifact.seal(content.known(above))
                progress.note(f"heal: {folder.name} has hashes of its files now, as they are")
