"""A list of images with their labels: CSV, JSON or JSON lines, paths relative to the list."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dkvb.errors import DkvbError, some
from dkvb.recipe import Data
from dkvb.runtime.parallel import in_order
from dkvb.sources.assembly import Images, image_source
from dkvb.sources.base import ImageSource, digest
from dkvb.sources.class_ids import as_read
from dkvb.sources.columns import PATHS, SPLITS, chosen, label_column, split_of, usual
from dkvb.sources.entries import in_unicode
from dkvb.sources.formats import ending_of, endings
from dkvb.sources.images import read_image
from dkvb.sources.listing import THREADS, watched
from dkvb.sources.part_files import part_files
from dkvb.sources.remarks import Remarks

if TYPE_CHECKING:
    from PIL import Image

HOLDS = "a .csv, .tsv, .json or .jsonl file of image paths and labels, or a folder of such files called train and test"
SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
BLOCK = 4096


def open_list(data: Data) -> ImageSource:
    """Images in the order of the list. `data.x_column` and `data.y_column` name the columns of paths and labels, else
    those with usual names are taken; a column `split` tells training and test rows apart.

    Raises:
        UsageError: the list is missing, or has no such columns.
        DkvbError: a list is damaged, rows lack labels, or images are missing (with `on_bad = "skip"` those are recorded
        as unreadable).
    """
    remarks = Remarks()
    files = part_files(data, SUFFIXES, HOLDS, remarks, deep=False)
    parts, stamps = [], []
    for lists in (files.train, files.test):
        if lists is not None:
            rows = [row for path in lists for row in _rows(path, data)]
            named = {split_of(row.split) for row in rows if row.split}
            split = files.test is None and "train" in named
            kinds = ["train", "test" if "test" in named else "validation"] if split else [None]
            for kind in kinds:
                chosen_rows = [row for row in rows if not split or split_of(row.split) == kind]
                if chosen_rows:
                    where = files.name(lists[0]) + (f", {kind}" if split else "")
                    stamps += _stamps([row.path for row in chosen_rows], where, data)
                    parts.append(_images(chosen_rows, files.root, where, data, remarks))
            if split and (unused := sum(split_of(row.split) not in kinds for row in rows)):
                remarks.notes.append(f"{unused:,} rows are not used: their split is neither train nor {kinds[1]}")
    return image_source(parts, None, data, lambda: digest(stamps), remarks)


@dataclass(frozen=True)
class _Row:
    path: Path
    label: Any
    split: str


@dataclass(frozen=True)
class ListedImages:
    """Row to image of files anywhere."""

    paths: list[Path]
    ids: list[str]
    exif_rotate: bool

    def __call__(self, row: int) -> Image.Image:
        return read_image(self.paths[row], id=self.ids[row], exif_rotate=self.exif_rotate)


def _images(rows: Sequence[_Row], root: Path, where: str, data: Data, remarks: Remarks) -> Images:
    paths = [row.path for row in rows]
    ids = [(path.relative_to(root) if path.is_relative_to(root) else path).as_posix() for path in paths]
    for id in ids:
        in_unicode(id, root)
    if twice := [id for id, count in Counter(ids).items() if count > 1]:
        remarks.doubts.append(f"{where} lists {len(twice):,} images more than once ({some(twice)})")
    labels = as_read(np.array([row.label for row in rows], object), where)
    return Images(labels, ids, ListedImages(paths, ids, data.exif_rotate))


def _stamps(paths: Sequence[Path], where: str, data: Data) -> list[str]:
    """Path, size in bytes and modification time (ns) of each image.

    Raises:
        DkvbError: some are missing, unless bad images are to be left out.
    """

    def look(block: Sequence[Path]) -> list[str | None]:
        found: list[str | None] = []
        for path in block:
            try:
                status = os.stat(path)
                found.append(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}")
            except OSError:
                found.append(None)
        return found

    stamps: list[str | None] = []
    blocks = [paths[i : i + BLOCK] for i in range(0, len(paths), BLOCK)]
    with watched("check files", len(paths), "files", many=50_000) as task, ThreadPoolExecutor(THREADS) as pool:
        for block in in_order(pool, look, blocks, ahead=2 * THREADS):
            stamps += block
            if task:
                task.advance(len(block))
    missing = [path for path, stamp in zip(paths, stamps, strict=True) if stamp is None]
    if missing and data.on_bad == "fail":
        raise DkvbError(
            f"{where}: {len(missing):,} of {len(paths):,} images are not there ({some(missing)}); paths are relative to"
            " the list. Mend it, or leave them out with --on-bad skip."
        )
    return [stamp or f"{path.name}\0missing" for path, stamp in zip(paths, stamps, strict=True)]


def _rows(path: Path, data: Data) -> list[_Row]:
    """The rows of one list."""
    records = _records(path)
    columns = list(dict.fromkeys(key for record in records[:1000] for key in record))
    if not columns:
        raise DkvbError(f"{path} lists nothing; it needs a path and a label for each image.")
    y = label_column(columns, data.y_column, path)
    rest = [name for name in columns if name != y]
    x = chosen(columns, data.x_column, "x_column", path) if data.x_column else usual(rest, PATHS)
    if x is None:
        raise DkvbError(
            f"{path} has no column named {', '.join(PATHS[:4])} or the like (it has {', '.join(columns)}); say"
            " which one holds the paths: x_column in [data]."
        )
    split = usual(rest, SPLITS)
    if empty := [row for row, record in enumerate(records) if not record.get(x)]:
        raise DkvbError(f"{path}: {len(empty):,} rows have no path (the first: {some(empty)}); remove them.")
    return [
        _Row(path.parent / str(record[x]), record.get(y), str(record.get(split) or "") if split else "")
        for record in records
    ]


def _records(path: Path) -> list[dict[str, Any]]:
    """Rows of a list as it has them: column -> value.

    Raises:
        DkvbError: it is no such list; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() in (".csv", ".tsv"):
            return _csv(text, "\t" if path.suffix.lower() == ".tsv" else ",")
        if path.suffix.lower() == ".json":
            held = json.loads(text)
            if isinstance(held, dict):  # path -> label, or column -> values
                columns = {name: values for name, values in held.items() if isinstance(values, list)}
                if columns and len(columns) == len(held):
                    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
                held = [{"path": name, "label": label} for name, label in held.items()]
        else:
            held = [json.loads(line) for line in text.splitlines() if line.strip()]
        if not isinstance(held, list) or not all(isinstance(record, dict) for record in held):
            raise ValueError('each entry must be an object, such as {"path": "a.jpg", "label": "cat"}')
        return held
    except (OSError, ValueError, csv.Error) as error:
        raise DkvbError(f"{path} cannot be read as a list of images ({error}).") from None


def _csv(text: str, separator: str) -> list[dict[str, Any]]:
    """Rows of a CSV text; without a header (its first cell is an image) columns are path and label."""
    lines = [line for line in csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=True) if any(line)]
    if not lines:
        return []
    bare = ending_of(lines[0][0]) in endings()
    header = ["path", "label", "split"][: len(lines[0])] if bare else [name.strip() for name in lines[0]]
    body = lines if bare else lines[1:]
    for number, line in enumerate(body, 1 if bare else 2):
        if len(line) != len(header):
            raise ValueError(f"row {number} has {len(line)} cells where the first has {len(header)}")
    return [dict(zip(header, line, strict=True)) for line in body]
