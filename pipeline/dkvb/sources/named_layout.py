"""The layout of image folders that the user names, as `data.train` and `data.test`."""

from __future__ import annotations

import os
from pathlib import Path

from dkvb.errors import UsageError
from dkvb.recipe import Data
from dkvb.sources.checks import data_folder
from dkvb.sources.layout import Layout, descend, inner, sort_out
from dkvb.sources.levels import look_at
from dkvb.sources.roles import TESTS, TRAIN
from dkvb.sources.unclear import HOLDS, refuse_two


def as_named(data: Data) -> Layout:
    """The folders that are named; one that is not is looked for among the folders of `data.path`.

    Raises:
        UsageError: a folder is not there, holds the other one among its class folders, or cannot be told from its
            neighbours.
    """
    root = _absolute(data.path, Path()) if data.path else None
    root = root if root and root.is_dir() else None
    train = _named("train", data.train, root)
    test = _named("test", data.test if isinstance(data.test, str) else None, root)
    if train is None:
        train = _find_train(_absolute(str(data_folder("folder", data.path, HOLDS)), Path()), test)
    elif test is None and root and train.is_relative_to(root):
        test = _find_test(root, train)
    _keep_apart(train, test)
    train = _inside(train, test)
    classes = look_at(train).folders
    test = test and inner(test, classes)[-1].path
    return Layout(_root(root, train, test), train, test)


def _named(key: str, given: str | None, root: Path | None) -> Path | None:
    """A folder that the recipe names, from the root on or below `data.path`."""
    if given is None:
        return None
    found = _absolute(given, root or Path())
    if not found.is_dir():
        what = "is a file" if found.exists() else "does not exist"
        where = "" if Path(given).expanduser().is_absolute() else f" (data.{key} is relative to data.path)"
        raise UsageError(f"data.{key}: {found} {what}; name a folder of class folders{where}.")
    return found


def _absolute(given: str, root: Path) -> Path:
    return Path(os.path.abspath(root / Path(given).expanduser()))


def _find_train(root: Path, test: Path | None) -> Path:
    """The training set beside a test set that is named: the one called so, else all other folders."""
    base = descend(look_at(root))[-1]
    aside = [test] if test else []
    trains = sort_out(base, aside).names(TRAIN)
    if len(trains) > 1:
        refuse_two(base.path, trains, TRAIN, "--train")
    return base.path / trains[0] if trains else base.path


def _find_test(root: Path, train: Path) -> Path | None:
    """The test set beside a training set that is named; None where there is none, or the training set is all."""
    base = descend(look_at(root))[-1]
    if os.path.realpath(train) in (os.path.realpath(root), base.real):
        return None
    parts = sort_out(base, [train])
    role = next((role for role in TESTS if role in parts.splits), None)
    tests = parts.splits[role] if role else []
    if len(tests) > 1:
        refuse_two(base.path, tests, str(role), "--test")
    return base.path / tests[0] if tests else None


def _keep_apart(train: Path, test: Path | None) -> None:
    """Refuse folders of which one lies in the other, unless it is one of its folders, which then is no class."""
    if test is None:
        return
    a, b = Path(os.path.realpath(train)), Path(os.path.realpath(test))
    if a == b:
        raise UsageError(
            f"data.train and data.test are one folder, {train}: leave data.test out to have a share of it test."
        )
    for outer, within in ((a, b), (b, a)):
        if within.is_relative_to(outer) and within.parent != outer:
            raise UsageError(
                f"{within} lies deep in {outer}, so that the images of one would be the other's too: name folders of"
                " which neither holds the other."
            )


def _inside(train: Path, test: Path | None) -> Path:
    """The folder itself, or a single one in it, the test set apart, which holds the class folders."""
    names = [name for name, real in look_at(train).folders.items() if test is None or real != os.path.realpath(test)]
    return inner(train / names[0])[-1].path if len(names) == 1 and not look_at(train / names[0]).images else train


def _root(root: Path | None, train: Path, test: Path | None) -> Path:
    """`data.path` where both lie below it; else the folder above both."""
    parts = [train, *([test] if test else [])]
    if root and all(part.is_relative_to(root) for part in parts):
        return root
    return Path(os.path.commonpath(parts))
