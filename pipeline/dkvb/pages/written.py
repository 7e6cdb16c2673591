"""The files of a report and their hashes: pages, the data beside them, and the charts' library."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from dkvb.workspace.files import sha256, write_json

HASHES = "data/hashes.json"
"""Path below the reports -> sha256 of every file that the last report wrote or left as it was; written last."""


def hashes(folder: Path) -> dict[str, str]:
    """What the last report wrote, by path below its folder; nothing where that cannot be read, or where an earlier
    version wrote it."""
    try:
        read = json.loads((folder / HASHES).read_text(encoding="utf-8"))
        return {str(name): str(found) for name, found in read.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def note(folder: Path, names: Iterable[str]) -> None:
    """Write the hashes of these files, which are all that a report consists of."""
    write_json(folder / HASHES, {name: sha256(folder / name) for name in sorted(names)})


def note_again(folder: Path, changed: dict[str, str]) -> None:
    """Write other hashes of some files that were changed since, and leave those of all others."""
    write_json(folder / HASHES, {**hashes(folder), **changed})


def sound(folder: Path, name: str, known: dict[str, str]) -> bool:
    """Whether a file is there as it was written; not where no hash is known."""
    path = folder / name
    return path.is_file() and sha256(path) == known.get(name)


def intact(folder: Path, name: str) -> bool:
    """Whether a file is there, and not known to have been altered."""
    known = hashes(folder)
    return (folder / name).is_file() and (name not in known or sound(folder, name, known))


def wrong(folder: Path) -> dict[str, str]:
    """Files of the report that are missing or were altered, and what is wrong with each."""
    known = hashes(folder)
    if not known and (folder / HASHES).is_file():
        return {HASHES: f"{HASHES}, which holds the hashes of all pages, is damaged"}
    return {
        name: f"the content of {name} has changed since it was written"
        if (folder / name).is_file()
        else f"{name} is missing"
        for name in known
        if not sound(folder, name, known)
    }
