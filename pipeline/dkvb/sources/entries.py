"""What the entry of a folder is, before anything is read: folder, file, link, or an operating system's leftover."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dkvb.errors import UsageError
from dkvb.sources.remarks import SYSTEM

LEFTOVERS = frozenset(
    (
        "__macosx",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "@eadir",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        ".ds_store",
        ".localized",
        ".directory",
        ".appledouble",
        ".spotlight-v100",
        ".trashes",
        ".fseventsd",
        ".temporaryitems",
        ".documentrevisions-v100",
    )
)


def kind_of(entry: os.DirEntry[str]) -> str:
    """ "folder", "file" or "other", symlinks followed; one that leads nowhere or to itself is "other"."""
    try:
        return "folder" if entry.is_dir() else "file" if entry.is_file() else "other"
    except OSError:  # a symlink to itself
        return "other"


def unwanted(entry: os.DirEntry[str], kind: str) -> str | None:
    """Why an entry is passed over by its name alone, be it an operating system's leftover or hidden; else None."""
    name = entry.name
    if name.startswith("._") or name.lower() in LEFTOVERS:
        return SYSTEM
    if name.startswith("."):
        return "a hidden folder, not looked into" if kind == "folder" else "a hidden file"
    if kind == "other":
        return "a link to nowhere" if entry.is_symlink() else "neither file nor folder"
    return None


def hidden(name: str) -> bool:
    """Whether a file or folder is hidden or an operating system's leftover, by its name."""
    return name.startswith(".") or name.lower() in LEFTOVERS


def in_unicode(path: str, folder: Path) -> str:
    """The same path below `folder`.

    Raises:
        UsageError: it is not valid Unicode, which ids must be.
    """
    if not path.isascii():
        try:
            path.encode()
        except UnicodeEncodeError:
            raise UsageError(f"The name {os.fsencode(path)!r} in {folder} is not valid UTF-8; rename it.") from None
    return path


def all_in_unicode(paths: Iterable[str], folder: Path) -> None:
    """`in_unicode` of many paths, at once where all of them are."""
    try:
        "".join(paths).encode()
    except UnicodeEncodeError:
        for path in paths:
            in_unicode(path, folder)


def readable(path: str) -> str:
    """A path to show, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "replace")
