"""VGGFace2 as its users keep it: where the identity folders are, and what the identities are called."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from pathlib import Path

from dkvb.errors import UsageError
from dkvb.sources.text import read_text

IDENTITY = re.compile(r"n\d{6}")


ABOVE = re.compile(r"(train|train_.*|vgg-?_?face-?_?2.*|data)", re.IGNORECASE)
"""Folders above the identities: the data set's own, its training split, and aligned variants of that
(train_mtcnnpy_182)."""


META = "identity_meta.csv"


def find_identities(root: Path, depth: int = 3) -> Path | None:
    """The folder whose subfolders are identities, at most `depth` levels down; a `train` is preferred, a `test` never
    taken."""
    names: list[str] = []
    with os.scandir(root) as entries:
        for entry in entries:
            if IDENTITY.fullmatch(entry.name) and entry.is_dir():
                return root
            if ABOVE.fullmatch(entry.name) and entry.is_dir():
                names.append(entry.name)
    for name in sorted(names, key=lambda name: (name.lower() != "train", name)) if depth else ():
        if found := find_identities(root / name, depth - 1):
            return found
    return None


def identities(tree: Path) -> list[str]:
    """The sorted names of the identity folders."""
    return sorted(entry.name for entry in os.scandir(tree) if IDENTITY.fullmatch(entry.name) and entry.is_dir())


def identity_names(tree: Path, notes: list[str]) -> dict[str, str]:
    """Name by identity, from identity_meta.csv beside the tree, above it, or in a `meta` folder there; empty where
    there is none.

    A file without usable columns adds a note and names nobody.

    Raises:
        DkvbError: the file is not UTF-8.
    """
    above = [tree, *tree.absolute().parents[:3]]
    found = next((path for folder in above for path in (folder / META, folder / "meta" / META) if path.is_file()), None)
    if found is None:
        return {}
    try:
        lines = io.StringIO(read_text(found), newline="")
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, skipinitialspace=True)]
        columns = [cell.lower() for cell in rows[0]]
        key, name = columns.index("class_id"), columns.index("name")
    except (UsageError, csv.Error, IndexError, ValueError):
        notes.append(f"{found} has no readable columns Class_ID and Name: classes bear their identity numbers")
        return {}
    names = {}
    for row in rows[1:]:
        # more cells than columns: a name with commas that nobody quoted
        more = max(len(row) - len(columns), 0)
        if len(row) > name and (text := ", ".join(row[name : name + 1 + more]).strip('" ')):
            names[row[key if key < name else key + more]] = text
    return names


def class_names(drawn: list[str], names: dict[str, str]) -> list[str]:
    """A unique name for each drawn identity, which may have been drawn more than once; its number where it has no
    name."""
    holders = Counter(names.get(identity, identity) for identity in set(drawn))
    times: Counter[str] = Counter()
    out = []
    for identity in drawn:
        name = names.get(identity, identity)
        times[identity] += 1
        out.append(
            (f"{name} ({identity})" if holders[name] > 1 else name)
            + (f" #{times[identity]}" if times[identity] > 1 else "")
        )
    return out
