"""Which files hold training and which test data: by the recipe, else by the words in their names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dkvb.errors import UsageError, some
from dkvb.recipe import Data
from dkvb.sources.checks import data_path
from dkvb.sources.columns import split_of
from dkvb.sources.entries import hidden
from dkvb.sources.remarks import SYSTEM, Remarks


@dataclass(frozen=True)
class PartFiles:
    """Files of a data set, shards in the order of their numbers."""

    root: Path
    """The folder that relative names start from."""
    train: list[Path]
    test: list[Path] | None
    """None where the data set has no test part."""

    def name(self, path: Path) -> str:
        """A file's name for ids and messages."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()


def part_files(data: Data, suffixes: tuple[str, ...], holds: str, remarks: Remarks, deep: bool = True) -> PartFiles:
    """The files of `data.path`, or of `data.train` and `data.test` where the recipe names them.

    In a folder, a file belongs to the split whose word (train, test, val …) stands in its name or in that of a folder
    above it; without a word in any, all are training files. Validation files are the test set where there is no other.

    Args:
        suffixes: how names of files end that are taken, such as (".tar",); others are counted in `remarks`.
        holds: what the path has to be, for messages.
        deep: look into subfolders; else nothing is counted either.

    Raises:
        UsageError: a path is not there, or nothing in it is of these kinds.
    """
    path = data_path(data.source, data.path, holds)
    root = path if path.is_dir() else path.parent
    if data.train is not None or isinstance(data.test, str):
        train = _named(root, data.train, "train", suffixes, holds, remarks) if data.train is not None else None
        test = _named(root, data.test, "test", suffixes, holds, remarks) if isinstance(data.test, str) else None
        if train is None:
            train = [file for file in _found(path, suffixes, remarks, deep) if file not in (test or [])]
        return PartFiles(root, train, test)
    if path.is_file():
        return PartFiles(root, [path], None)
    kinds: dict[str | None, list[Path]] = {}
    for file in _found(path, suffixes, remarks, deep):
        words = (split_of(part) for part in file.relative_to(root).parts)
        kinds.setdefault(next((word for word in words if word), None), []).append(file)
    if not kinds:
        raise UsageError(f"{path} holds no such files; the source '{data.source}' needs {holds}.")
    if "train" not in kinds:
        if None not in kinds:
            raise UsageError(f"{path} has no training files; the source '{data.source}' needs {holds}.")
        kinds["train"] = kinds.pop(None)
    for file in kinds.get(None, []):
        remarks.pass_over("neither train nor test in its name", str(file))
    return PartFiles(root, kinds["train"], _test(kinds, remarks))


def _test(kinds: dict[str | None, list[Path]], remarks: Remarks) -> list[Path] | None:
    validation = [file.name for file in kinds.get("validation", [])]
    if "test" in kinds and validation:
        remarks.notes.append(
            f"validation files are not used ({some(validation)}): data.validation takes them from train"
        )
    elif validation:
        remarks.notes.append(f"validation files are the test set ({some(validation)})")
    return kinds.get("test") or kinds.get("validation")


def _named(root: Path, wanted: str, key: str, suffixes: tuple[str, ...], holds: str, remarks: Remarks) -> list[Path]:
    """The files of `data.train` or `data.test`: a file, or a folder of some."""
    place = root / Path(wanted).expanduser()
    if not place.exists():
        raise UsageError(f"data.{key} {place} does not exist; it names a file, or a folder of {holds}.")
    files = [place] if place.is_file() else list(_found(place, suffixes, remarks, deep=True))
    if not files:
        raise UsageError(f"data.{key} {place} holds no {suffixes[0]} file; it names a file, or a folder of {holds}.")
    return files


def _found(path: Path, suffixes: tuple[str, ...], remarks: Remarks, deep: bool) -> list[Path]:
    """Files of these kinds, in the order of the numbers in their names."""
    if path.is_file():
        return [path]
    found = []
    for file in _below(path) if deep else (file for file in path.iterdir() if file.is_file()):
        if hidden(file.name):
            remarks.pass_over(SYSTEM, str(file))
        elif file.name.lower().endswith(suffixes):
            found.append(file)
        elif deep and file.stem != "classes":
            remarks.pass_over(f"another kind of file ({file.suffix or 'no extension'})", str(file))
    return sorted(found, key=lambda file: natural(file.relative_to(path).as_posix()))


def _below(folder: Path) -> Iterator[Path]:
    for above, _, names in os.walk(folder, followlinks=True):
        yield from (Path(above, name) for name in names)


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key by which `shard-10` comes after `shard-9`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
