"""The pictures that pages have shown of one data set, on disk: `pictures/<name>/<split>/<row>.webp`, an artifact beside
the features.

It holds what a page has needed and nothing else, so that it does not grow with the data. A row is a stored row of the
features; every picture that stands on a page is here, by which a purge knows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from dkvb.errors import DamagedArtifact
from dkvb.pictures.thumbnail import QUALITY, SIDE
from dkvb.records.pictures import PicturesResult
from dkvb.workspace import content, manifest
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import atomic, names_of, remove_leftovers
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import MANIFEST, PICTURES

Row = tuple[str, int]
"""Split as it is stored ("train" or "test"), and row."""


def pictures_spec(features: Artifact) -> Spec:
    """Of the pictures of what some features were made from."""
    name = features.path.name.rpartition("-")[0]
    return Spec(PICTURES, name, {"side": SIDE, "quality": QUALITY}, {"embed": features.fingerprint})


def file_of(row: Row) -> str:
    """Where the picture of a row lies."""
    split, place = row
    return f"{split}/{place}.webp"


def row_of(name: str) -> Row:
    """The row whose picture lies there."""
    split, _, file = name.partition("/")
    return split, int(file.removesuffix(".webp"))


def indices_of(workspace: Workspace, features: Artifact) -> list[Artifact]:
    """All indices of some features: that of today's size of pictures, and those of earlier versions."""
    return [one for one in workspace.all(PICTURES) if one.inputs.get("embed") == features.fingerprint]


def rows_in(index: Artifact) -> list[Row]:
    """The rows of which there is a picture on disk, whether the manifest lists it or not."""
    return [row_of(name) for name in names_of(index.path, [MANIFEST])]


def kept(workspace: Workspace, features: Artifact) -> Artifact | None:
    """The index of some features; None where there is none, or where they were made again and are others now."""
    index = workspace.get(pictures_spec(features))
    return None if index is None or content.changed_inputs(index, {"embed": features}) else index


def read(index: Artifact, rows: Iterable[Row]) -> dict[Row, bytes]:
    """The pictures of those rows that it holds as they were written."""
    found = {}
    for row in rows:
        if (name := file_of(row)) in index.manifest["files"]:
            try:
                found[row] = index.file(name).read_bytes()
            except DamagedArtifact:
                continue  # it is made again where the image is still there
    return found


def add(workspace: Workspace, features: Artifact, made: Mapping[Row, bytes]) -> None:
    """Put pictures into the index of some features. Killed at any instant, what it held before is still there.

    Raises:
        OSError: the workspace cannot be written.
    """
    spec = pictures_spec(features)
    path = workspace.path(spec)
    with workspace.hold(f"{PICTURES}-{path.name}", f"the pictures in {path}"):
        remove_leftovers(path)
        index = kept(workspace, features)
        new = {file_of(row): picture for row, picture in made.items()}
        _drop_unknown(path, index, new)
        for name, picture in new.items():
            with atomic(path / name) as temporary:
                temporary.write_bytes(picture)
        result = PicturesResult(pictures=len(names_of(path, [MANIFEST])))
        if index is None:
            known = content.known({"embed": features})
            manifest.write_new(path, spec, result.model_dump(mode="json"), 0.0, known)
        else:
            index.reseal(**result.model_dump(mode="json"))


def _drop_unknown(path: Path, index: Artifact | None, apart: Mapping[str, bytes]) -> None:
    """Delete files that were altered, or that a killed process left: with a new manifest they would be taken for
    sound."""
    known = set(index.manifest["files"]) - set(index.wrong_files()) if index else set()
    for name in names_of(path, [MANIFEST]):
        if name not in known and name not in apart:
            (path / name).unlink()
