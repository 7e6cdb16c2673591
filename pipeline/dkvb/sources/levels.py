"""A folder whose folders are classes or splits: which ones there are, and what lies beside them."""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dkvb.sources.entries import in_unicode, kind_of, unwanted
from dkvb.sources.formats import why_no_image
from dkvb.sources.walk import ABOVE, Tally, within

LOOSE = "an image in no class folder"
BESIDE = "a link into a folder beside it, not followed"


@dataclass
class Level:
    """The folders of a folder, and the files that lie directly in it."""

    path: Path
    folders: dict[str, str] = field(default_factory=dict)
    """Name -> real path, sorted by name; without those that are passed over."""
    images: int = 0
    """Loose ones."""
    tally: Tally = field(default_factory=Tally)

    @cached_property
    def real(self) -> str:
        return os.path.realpath(self.path)

    def owns(self, name: str) -> bool:
        """Whether a folder lies here and is no link."""
        return self.folders[name] == os.path.join(self.real, name)


def look_at(path: Path) -> Level:
    """What a folder holds, one level deep. Links to folders count as folders, but for those that lead above, or to or
    into a folder that has its name here already.

    Raises:
        UsageError: a folder's name is not valid Unicode.
    """
    level = Level(path)
    links, real = [], level.real
    with os.scandir(path) as entries:
        for entry in entries:
            kind = kind_of(entry)
            if why := unwanted(entry, kind):
                level.tally.add(why, entry.name)
            elif kind == "file":
                why = why_no_image(entry.path, entry.name)
                level.images += why is None
                level.tally.add(why or LOOSE, entry.name)
            elif entry.is_symlink():
                links.append(in_unicode(entry.name, path))
            else:
                level.folders[entry.name] = os.path.join(real, in_unicode(entry.name, path))
    here, taken = set(level.folders.values()), set[str]()
    for name in sorted(links):
        target = os.path.realpath(path / name)
        if within(real, target):
            level.tally.add(ABOVE, name)
        elif inside_one(target, here) or target in taken:
            level.tally.add(BESIDE, name)
        else:
            level.folders[name] = target
            taken.add(target)
    level.folders = dict(sorted(level.folders.items()))
    return level


def inside_one(real: str, folders: Container[str]) -> str | None:
    """The nearest of some real folders that a real path is or lies in."""
    while real not in folders:
        above = os.path.dirname(real)
        if above == real:
            return None
        real = above
    return real


def holds_images(folder: Path) -> bool:
    """Whether there is an image at any depth; stops at the first."""
    visited: set[str] = set()
    stack = [os.fspath(folder)]
    home = os.path.realpath(folder)
    while stack:
        here = stack.pop()
        real = os.path.realpath(here)
        if real in visited or (real != home and within(home, real)):
            continue
        visited.add(real)
        with os.scandir(here) as entries:
            for entry in entries:
                kind = kind_of(entry)
                if unwanted(entry, kind):
                    continue
                if kind == "folder":
                    stack.append(entry.path)
                elif why_no_image(entry.path, entry.name) is None:
                    return True
    return False
