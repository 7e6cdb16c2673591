"""Which folders of an image tree are its training and its test set, told by their names or by the user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from dkvb.sources.levels import Level, holds_images, look_at
from dkvb.sources.roles import TESTS, TRAIN, nameless, role_of
from dkvb.sources.unclear import refuse_beside, refuse_loose, refuse_no_train, refuse_two

NOT_READ = "which is not read"

NESTED = 4
"""Folders that may lie in one another before class folders come."""


@dataclass(frozen=True)
class Layout:
    root: Path
    """Ids are paths relative to it."""
    train: Path
    """Holds class folders, as does `test`; None: a share of train is set aside."""
    test: Path | None = None
    unread: dict[Path, str] = field(default_factory=dict)
    """Folders beside them, and why their images are not read."""
    through: tuple[Level, ...] = ()
    """Folders above them, whose own files are in no class folder."""
    guessed: bool = False
    """Whether nothing but their place says that folders are classes."""


@dataclass
class Parts:
    """The folders of a folder, by what their names say and what they hold."""

    level: Level
    splits: dict[str, list[str]] = field(default_factory=dict)
    """Role -> names of those that hold class folders."""
    loose: dict[str, list[str]] = field(default_factory=dict)
    """Role -> names of those that hold images and no class folders."""
    empty: dict[str, list[str]] = field(default_factory=dict)
    """Role -> names of those that hold no image."""
    others: list[str] = field(default_factory=list)
    """Names of those without a role."""
    bare: list[str] = field(default_factory=list)
    """Names of folders without a role or an image."""

    @property
    def test_role(self) -> str | None:
        """The part that tests: of those with class folders the first; else an empty one, which is to be filled."""
        return next((role for among in (self.splits, self.empty) for role in TESTS if role in among), None)

    def names(self, *roles: str) -> list[str]:
        """Those with class folders, of some roles."""
        return [name for role in roles for name in self.splits.get(role, ())]


def by_names(root: Path) -> Layout:
    """The layout of a tree of which nobody has said what is what.

    Raises:
        UsageError: it can be read in more than one way, or has a test set alone.
    """
    through = tuple(descend(look_at(root)))
    base = through[-1]
    parts = sort_out(base)
    trains, tests = parts.names(TRAIN), parts.names(*TESTS)
    if not trains and not tests:
        _refuse_loose(parts)
        return Layout(root, base.path, None, _beside(through), through[:-1], guessed=True)
    if not trains:
        refuse_no_train(base.path, tests, bool(parts.others))
    if len(trains) > 1:
        refuse_two(base.path, trains, TRAIN, "--train")
    role = parts.test_role
    chosen = (parts.splits.get(role) or parts.empty.get(role, [])) if role else []
    if len(chosen) > 1:
        refuse_two(base.path, chosen, str(role), "--test")
    if not chosen and parts.others:
        known = inner(base.path / trains[0])[-1].folders
        maybe = (name for name in parts.others if known.keys() & look_at(base.path / name).folders)
        refuse_beside(base.path, trains[0], parts.others, next(maybe, None))
    train = inner(base.path / trains[0])
    test = inner(base.path / chosen[0], classes=train[-1].folders) if chosen else []
    unread = _beside(through) | _unread(parts, {trains[0], *chosen}) | _beside(train) | _beside(test)
    return Layout(root, train[-1].path, test[-1].path if test else None, unread, (*through, *train[:-1], *test[:-1]))


def sort_out(level: Level, apart: Iterable[Path] = ()) -> Parts:
    """Look into the folders of a folder that have a role, and, where there are any, for images in the others.

    Args:
        apart: folders that are left aside.
    """
    parts = Parts(level)
    aside = {path.resolve() for path in apart}
    roles = {name: role_of(name) for name, real in level.folders.items() if Path(real) not in aside}
    for name, role in roles.items():
        if role and not holds_images(level.path / name):
            parts.empty.setdefault(role, []).append(name)
        elif role:
            held = inner(level.path / name, loose=True)[-1]
            structured = any(holds_images(held.path / below) for below in held.folders)
            (parts.splits if structured else parts.loose).setdefault(role, []).append(name)
    if any(roles.values()):
        for name in (name for name, role in roles.items() if not role):
            (parts.others if holds_images(level.path / name) else parts.bare).append(name)
    return parts


def descend(level: Level) -> list[Level]:
    """A folder, and those below it as long as one holds a single folder that matters and no images: the last holds
    splits or classes."""
    levels = [level]
    while len(levels) < NESTED and (only := _only(levels[-1])) and role_of(only) is None:
        below = look_at(levels[-1].path / only)
        if below.images or not below.folders:
            break
        levels.append(below)
    return levels


def inner(folder: Path, classes: Iterable[str] = (), loose: bool = False) -> list[Level]:
    """A split's folder and those below it down to the one that holds class folders: in `train/train/<class>`, the
    second.

    Args:
        classes: names that are known to be of classes.
        loose: go down to a folder whose name is no class's (`test/test/`, `test/images/`) also where it holds images
            and no folders.
    """
    levels = [look_at(folder)]
    while len(levels) < NESTED and (only := _only(levels[-1])) and only not in classes:
        below = look_at(levels[-1].path / only)
        no_class = nameless(only) or role_of(only) == role_of(folder.name)
        if (below.images or not below.folders) and not (loose and no_class):
            break
        levels.append(below)
    return levels


def _only(level: Level) -> str | None:
    """The one folder of a folder that holds images, beside none that might be a class without any."""
    if level.images:
        return None
    first: str | None = None
    for name in level.folders:
        if holds_images(level.path / name):
            if first is not None:
                return None
            first = name
    for name in level.folders:
        if first is not None and name != first and not any((level.path / name).iterdir()):
            return None
    return first


def _beside(levels: Sequence[Level]) -> dict[Path, str]:
    """The folders that were left aside on the way down."""
    return {
        above.path / name: NOT_READ
        for above, below in pairwise(levels)
        for name in above.folders
        if above.path / name != below.path
    }


def _unread(parts: Parts, used: set[str]) -> dict[Path, str]:
    """The other folders, and why their images are not read."""
    out: dict[Path, str] = {}
    for among, why in (
        (parts.splits, NOT_READ),
        (parts.empty | {"": parts.bare}, NOT_READ),
        (parts.loose, "which holds images in no class folder"),
        ({"": parts.others}, "which is neither training nor test set"),
    ):
        out |= {parts.level.path / name: why for names in among.values() for name in names if name not in used}
    return out


def _refuse_loose(parts: Parts) -> None:
    """Refuse folders called like splits that hold images and no class folders, unless they must be classes that happen
    to be called so: train/ beside bus/ and car/, or beside bullet_train/."""
    loose = [name for names in parts.loose.values() for name in names]
    if loose and not parts.others and (len(parts.loose) > 1 or len(loose) == 1):
        refuse_loose(parts.level.path, loose)
