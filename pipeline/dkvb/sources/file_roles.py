"""Whether a file holds features, labels, both or the names of classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from dkvb.sources.label_files import COLUMNS, read_array, read_columns
from dkvb.sources.parts import Named, Role


def with_roles(files: Sequence[Named], y_column: str | None) -> list[Named]:
    """The files with their roles, None for those that have none.

    Raises:
        DkvbError: one that cannot be read, and whose name alone does not tell.
    """
    return _unnamed([_role(file, y_column) for file in files])


def _role(file: Named, y_column: str | None) -> Named:
    """With a role, by name and extension; of parquet, by whether it has a column of labels."""
    suffix = file.path.suffix.lower()
    if file.role == "names":
        return file if suffix in (".txt", ".json", ".npy") else replace(file, role=None)
    if suffix == ".npz":
        return replace(file, role="both")
    if suffix in (".txt", ".csv"):
        return file if file.role == "labels" else replace(file, role=None)
    if suffix == ".json":
        return replace(file, role=None)
    if suffix == ".parquet" and file.role != "labels":
        columns = [name.lower() for name in read_columns(file.path)]
        labelled = y_column.lower() in columns if y_column else bool({*columns} & {*COLUMNS})
        return replace(file, role="both" if labelled else "features")
    return file


def _unnamed(files: list[Named]) -> list[Named]:
    """With roles by shape for arrays whose names give none, where no other file has that role."""
    known = {file.role for file in files}
    shapes: tuple[tuple[Role, Callable[[tuple[int, ...]], bool]], ...] = (("features", _wide), ("labels", _long))
    for role, fits in shapes:
        if role not in known and "both" not in known:
            files = [
                replace(file, role=role)
                if file.role is None and file.path.suffix.lower() == ".npy" and fits(read_array(file.path).shape)
                else file
                for file in files
            ]
    return files


def _wide(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[1] > 1


def _long(shape: tuple[int, ...]) -> bool:
    return len(shape) == 1 or shape[1:] == (1,)
