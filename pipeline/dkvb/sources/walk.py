"""Finding images below a class folder, and counting by reason what is passed over on the way.

Links to folders are followed, each real folder once, and never to where another class's images are.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from dkvb.sources.entries import all_in_unicode, in_unicode, kind_of, readable, unwanted
from dkvb.sources.formats import endings, looked_into, why_no_image
from dkvb.sources.remarks import PassedOver, Remarks

ABOVE = "a link to a folder above it, not followed"
ANOTHERS = "a link into another class's folder, not followed"
AGAIN = "a link to a folder that is read already"
APART = "a folder that another class is read from"


class Tally:
    """Files that are passed over, counted by reason; of all examples the first by name is kept, in whatever order they
    come."""

    def __init__(self, passed_over: dict[str, PassedOver] | None = None) -> None:
        self._counts = {reason: (of.count, of.example) for reason, of in (passed_over or {}).items()}

    def add(self, reason: str, path: str) -> None:
        count, example = self._counts.get(reason, (0, path))
        self._counts[reason] = count + 1, min(example, path)

    @property
    def passed_over(self) -> dict[str, PassedOver]:
        return {reason: PassedOver(count, readable(path)) for reason, (count, path) in self._counts.items()}

    def report(self, remarks: Remarks, above: str) -> None:
        """Add the counts to the remarks, with the path of the folder that they are of, and a slash, before examples."""
        for reason, of in sorted(self.passed_over.items()):
            remarks.pass_over(reason, above + of.example, of.count)


@dataclass
class Walked:
    """What was found below a folder; paths are relative to it, with slashes."""

    images: list[str] = field(default_factory=list)
    """Sorted."""
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Inode and modification time (ns) of every folder that was read, and of every file that was looked into, taken
    before."""
    tally: Tally = field(default_factory=Tally)
    linked: bool = False
    """Whether there were links to folders, so that what is read depends on where other classes are."""
    dangling: bool = False
    """Whether there were links to nowhere, which may come to lead somewhere without a folder's time changing."""


def within(path: str, folder: str) -> bool:
    """Whether a real path is a folder or lies below it."""
    return path == folder or path.startswith(os.path.join(folder, ""))


@dataclass(frozen=True)
class Fences:
    """Where the links of a class folder may not lead: above the data set, and to other classes."""

    tree: str = os.sep
    """Real path of the folder that holds the class folders."""
    owned: frozenset[str] = frozenset()
    """Real paths of folders that classes are read from, and of the other split."""

    def against(self, real: str, home: str) -> str | None:
        """Why a link to a folder is not followed from the class folder `home`; None where it is."""
        if within(home, real) or within(self.tree, real):
            return ABOVE
        while real != home:
            if real in self.owned:
                return ANOTHERS
            above = os.path.dirname(real)
            if above == real:
                return None
            real = above
        return None


def walk(folder: Path, fences: Fences | None = None) -> Walked:
    """Every image at any depth below a folder.

    Real folders come before links to them, and links by name: what is found does not depend on the order in which the
    file system lists.

    Raises:
        UsageError: a name of a folder or an image is not valid Unicode.
    """
    walker = _Walker(folder, fences or Fences())
    walker.descend("", os.fspath(folder), walker.home)
    while walker.links:
        walker.follow()
    all_in_unicode(walker.found.images, folder)
    walker.found.images.sort()
    return walker.found


class _Walker:
    def __init__(self, folder: Path, fences: Fences) -> None:
        self.folder, self.fences = folder, fences
        self.home = os.path.realpath(folder)
        self.found = Walked()
        self.visited: set[str] = set()
        self.links: list[tuple[str, str, str]] = []
        """Relative path, path and real path of links to folders, yet to be followed."""

    def follow(self) -> None:
        """Follow the links met so far."""
        links, self.links = sorted(self.links), []
        for relative, path, real in links:
            why = self.fences.against(real, self.home) or (AGAIN if real in self.visited else None)
            if why:
                self.found.tally.add(why, relative)
            else:
                self.descend(relative, path, real)

    def descend(self, relative: str, path: str, real: str) -> None:
        """Read a folder and the real folders below it."""
        known = endings()
        stack = [(relative, path, real)]
        while stack:
            relative, path, real = stack.pop()
            self.visited.add(real)
            self.note_time(relative, path)
            above = f"{relative}/" if relative else ""
            with os.scandir(path) as entries:
                for entry in entries:
                    name = entry.name
                    stem, _, ending = name.rpartition(".")
                    if ending in known and stem and name[0] != "." and entry.is_file(follow_symlinks=False):
                        self.found.images.append(above + name)  # nearly all entries are such
                    elif self.is_folder(entry, above + name):
                        inside = os.path.join(real, name)
                        if entry.is_symlink():
                            self.found.linked = True
                            self.links.append((above + name, entry.path, os.path.realpath(entry.path)))
                        elif inside in self.fences.owned and inside != self.home:
                            self.found.tally.add(APART, f"{above}{name}/")
                        elif inside not in self.visited:
                            stack.append((above + name, entry.path, inside))

    def note_time(self, relative: str, path: str) -> None:
        status = os.stat(path)
        self.found.seen[in_unicode(relative, self.folder)] = status.st_ino, status.st_mtime_ns

    def is_folder(self, entry: os.DirEntry[str], relative: str) -> bool:
        """Whether an entry is a folder to be read; if not, it is taken or passed over."""
        kind = kind_of(entry)
        if why := unwanted(entry, kind):
            self.found.dangling = self.found.dangling or kind == "other"
            self.found.tally.add(why, relative)
            return False
        if kind == "folder":
            return True
        if looked_into(entry.name):
            self.note_time(relative, entry.path)
        if why := why_no_image(entry.path, entry.name):
            self.found.tally.add(why, relative)
        else:
            self.found.images.append(relative)
        return False


def list_images(folder: Path, remarks: Remarks | None = None) -> list[Path]:
    """Every image at any depth below a folder, sorted by relative posix path.

    Args:
        remarks: gets what was passed over.

    Raises:
        UsageError: a file name is not valid Unicode.
    """
    walked = walk(folder)
    if remarks:
        walked.tally.report(remarks, f"{folder}/")
    return [folder / name for name in walked.images]
