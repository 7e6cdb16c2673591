"""Tar files of WebDataset: samples are files of one name up to its first dot, such as `0012.jpg` and `0012.cls`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dkvb.errors import DkvbError, UsageError, some
from dkvb.recipe import Data
from dkvb.sources.assembly import Images, image_source
from dkvb.sources.base import ImageSource, UnreadableImage, digest
from dkvb.sources.class_ids import as_read
from dkvb.sources.columns import LABELS, usual
from dkvb.sources.entries import hidden
from dkvb.sources.formats import endings
from dkvb.sources.images import read_image
from dkvb.sources.part_files import PartFiles, part_files
from dkvb.sources.remarks import SYSTEM, Remarks
from dkvb.sources.tars import Index, indices_of

if TYPE_CHECKING:
    from PIL import Image

HOLDS = "tar files whose names (or folders) say train and test, such as train-000.tar, or one tar file"
COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2")
"""Looked at in order to be refused."""

KINDS = ("cls", *LABELS, "json", "txt", "text")
"""Extensions of labels, the surest first."""


def open_webdataset(data: Data) -> ImageSource:
    """Samples in the order of the tars and of their members; images are read at their place in the tar.

    `data.x_column` is the extension of the images, where samples have several; `data.y_column` that of the labels, or
    the field of `.json` members that holds them. Numbers count the names of `classes.txt` or `classes.json`.

    Raises:
        UsageError: nothing is there, or a tar is compressed.
        DkvbError: a tar is damaged, a sample lacks its image or label, or a member is there twice.
    """
    remarks = Remarks()
    files = part_files(data, (".tar", *COMPRESSED_TARS), HOLDS, remarks)
    parts, stamps = [], []
    label: _Label | None = None
    for tars in (files.train, files.test):
        if tars is not None:
            indices = indices_of(tars)
            label = label or _label(tars, indices, data)
            parts.append(_part(files, tars, indices, label, data, remarks))
            stamps += [f"{files.name(tar)}\0{of.size}\0{of.mtime_ns}" for tar, of in zip(tars, indices, strict=True)]
    return image_source(parts, class_names(files.root), data, lambda: digest(stamps), remarks)


@dataclass(frozen=True)
class _Label:
    extension: str
    field: str | None
    """Of `.json` members."""

    def read(self, content: bytes, where: str) -> Any:
        if self.field is None:
            return content.decode("utf-8", "replace").strip()
        try:
            return json.loads(content)[self.field]
        except (ValueError, KeyError, TypeError):
            raise DkvbError(
                f"{where} is no JSON object with '{self.field}'; y_column in [data] names the field."
            ) from None


@dataclass(frozen=True)
class TarImages:
    """Row to image, from places in tar files."""

    tars: list[Path]
    ids: list[str]
    tar: np.ndarray
    """(N,) the place in `tars` of each."""
    offset: np.ndarray
    size: np.ndarray
    exif_rotate: bool

    def __call__(self, row: int) -> Image.Image:
        try:
            content = _content(self.tars[self.tar[row]], int(self.offset[row]), int(self.size[row]))
        except OSError as error:
            raise UnreadableImage(self.ids[row], str(error)) from None
        return read_image(content, id=self.ids[row], exif_rotate=self.exif_rotate)


def _content(tar: Path, offset: int, size: int) -> bytes:
    """A member's bytes. The tar is opened each time: threads share no place in it, and thousands need not stay open."""
    with open(tar, "rb") as file:
        file.seek(offset)
        return file.read(size)


def sample_of(name: str) -> tuple[str, str] | None:
    """The sample to which a member belongs and its extension in lower case, as WebDataset has them (`a/b.left.PNG` is
    `left.png` of a/b); None for one without an extension."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    key, dot, extension = base.partition(".")
    return (f"{folder}{slash}{key}", extension.lower()) if dot and key and extension else None


def is_image(extension: str) -> bool:
    return extension.rpartition(".")[2] in endings()


def _label(tars: Sequence[Path], indices: Sequence[Index], data: Data) -> _Label:
    """Where the training samples have their labels."""
    first: dict[str, tuple[Path, Index, int]] = {}
    for tar, index in zip(tars, indices, strict=True):
        for row, name in enumerate(index.names):
            if (sample := sample_of(name)) and not hidden(name.rpartition("/")[2]):
                first.setdefault(sample[1], (tar, index, row))
    if data.y_column is not None and data.y_column.lower() in first:
        return _Label(data.y_column.lower(), None)
    for extension in KINDS if data.y_column is None else ("json",):
        if extension in first and extension != "json":
            return _Label(extension, None)
        if extension in first:
            tar, index, row = first[extension]
            fields = json_object(_content(tar, index.offsets[row], index.sizes[row]))
            wanted = [data.y_column] if data.y_column else [*KINDS[:-3]]
            if field := usual(fields, [name.lower() for name in wanted]):
                return _Label("json", field)
    what = f"'{data.y_column}' (data.y_column)" if data.y_column else f".{', .'.join(KINDS[:3])}, .json or .txt"
    raise UsageError(
        f"{tars[0]}: no sample has a label in {what}; its members end in"
        f" {some(f'.{name}' for name in first) or 'nothing'}."
        " y_column in [data] names the extension, or the field of .json members."
    )


def json_object(content: bytes) -> dict[str, Any]:
    """A JSON object; an empty one where the content is none."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _part(
    files: PartFiles, tars: list[Path], indices: Sequence[Index], label: _Label, data: Data, remarks: Remarks
) -> Images:
    ids: list[str] = []
    places: list[tuple[int, int, int]] = []
    texts: list[Any] = []
    lacking: dict[str, list[str]] = {"image": [], "label": []}
    for number, (tar, index) in enumerate(zip(tars, indices, strict=True)):
        name = files.name(tar).removesuffix(".tar")
        images, labels = _samples(tar, index, label.extension, data.x_column, remarks)
        lacking["label"] += [f"{name}/{key}" for key in images.keys() - labels.keys()]
        lacking["image"] += [f"{name}/{key}" for key in labels.keys() - images.keys()]
        with open(tar, "rb") as file:
            for key, row in images.items():
                if key in labels:
                    file.seek(index.offsets[labels[key]])
                    texts.append(label.read(file.read(index.sizes[labels[key]]), f"{tar}: {key}.{label.extension}"))
                    ids.append(f"{name}/{key}")
                    places.append((number, index.offsets[row], index.sizes[row]))
    for what, samples in lacking.items():
        if samples and data.on_bad == "fail":
            raise DkvbError(
                f"{files.root}: {len(samples):,} samples have no {what} ({some(sorted(samples))}); complete them, or"
                " leave them out with --on-bad skip."
            )
        if samples:
            remarks.pass_over(f"a sample without {what}", min(samples), len(samples))
    tar_of, offset, size = np.array(places, np.int64).reshape(-1, 3).T
    where = files.name(tars[0]) if len(tars) == 1 else f"{files.name(tars[0])} and {len(tars) - 1} more tars"
    return Images(
        as_read(np.array(texts, object), where), ids, TarImages(tars, ids, tar_of, offset, size, data.exif_rotate)
    )


def _samples(
    tar: Path, index: Index, label: str, wanted: str | None, remarks: Remarks
) -> tuple[dict[str, int], dict[str, int]]:
    """Member of the image and of the label of each sample in one tar."""
    images: dict[str, int] = {}
    labels: dict[str, int] = {}
    others: list[tuple[str, str, str]] = []
    if len(set(index.names)) < len(index.names):
        twice = [name for name, count in Counter(index.names).items() if count > 1]
        raise DkvbError(f"{tar} holds {some(twice)} more than once; write it again, each member once.")
    for row, name in enumerate(index.names):
        sample = sample_of(name)
        if any(hidden(part) for part in name.removeprefix("./").split("/")):
            remarks.pass_over(SYSTEM, f"{tar}: {name}")
        elif sample is None:
            remarks.pass_over("no part of a sample (no extension)", f"{tar}: {name}")
        elif sample[1] == label:
            labels[sample[0]] = row
        elif sample[1] == wanted or (wanted is None and is_image(sample[1])):
            if sample[0] in images:
                both = f"{index.names[images[sample[0]]]} and {name}"
                raise DkvbError(
                    f"{tar}: {both} are images of one sample; x_column in [data] says which extension to take."
                )
            images[sample[0]] = row
        else:
            others.append((*sample, name))
    for key, extension, name in others:
        if key not in images and key not in labels:
            remarks.pass_over(f"no part of a sample (.{extension})", f"{tar}: {name}")
    for name in index.links:
        remarks.pass_over("a link in a tar", f"{tar}: {name}")
    return images, labels


def _turned(numbers: dict[str, Any]) -> list[tuple[Any, str]]:
    return [(number, name) for name, number in numbers.items()]


def class_names(folder: Path) -> list[str] | None:
    """Names in `classes.txt`, a line each, or in `classes.json`, a list or an object of names and numbers; None where
    there is neither.

    Raises:
        DkvbError: the file holds something else.
    """
    if (file := folder / "classes.txt").is_file():
        return [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if not (file := folder / "classes.json").is_file():
        return None
    try:
        held = json.loads(file.read_text(encoding="utf-8-sig"))
        if isinstance(held, dict):
            pairs = held.items() if all(isinstance(name, str) for name in held.values()) else _turned(held)
            numbered = {int(number): name for number, name in pairs}
            held = [numbered[number] for number in range(len(numbered))]
        if not isinstance(held, list) or not all(isinstance(name, str) for name in held):
            raise ValueError("it is no list of names")
    except (ValueError, KeyError, TypeError) as error:
        raise DkvbError(
            f"{file} must be a list of names, or an object of names and numbers from 0 on ({error})."
        ) from None
    return held
