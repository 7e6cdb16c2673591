"""An image folder: `{train,test}/<class>/<image>`, or class folders alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dkvb.errors import DkvbError, UsageError, some
from dkvb.recipe import Data
from dkvb.runtime.parallel import in_order
from dkvb.sources.base import ImageSource, ImageSplit, digest, hold_out
from dkvb.sources.checks import check_classes, data_folder
from dkvb.sources.images import (
    EXTENSIONS,
    ImageFiles,
    hidden,
    in_unicode,
    kind_of,
    list_images,
    read_image,
    walk_images,
)
from dkvb.sources.listing import THREADS, list_classes, watched

__all__ = ["list_images", "open_folder", "open_tree", "read_image"]


HOLDS = "a folder of {train,test}/<class>/<image>"


BLOCK = 4096


def open_folder(data: Data) -> ImageSource:
    """Classes are the sorted names of train's class folders; without a test folder, `data.test` of every class is set
    aside.

    Raises:
        UsageError: the path is missing, a file or empty, or holds no class folders.
        DkvbError: fewer than two classes, a class without training images.
    """
    root = data_folder("folder", data.path, HOLDS)
    split = any(_subfolders(root / "train"))
    if not split and (root / "test").is_dir() and any(_subfolders(root / "test")):
        raise UsageError(
            f"{root} has a test/ folder and no train/ with class folders; the source 'folder' needs {HOLDS}."
        )
    train = root / "train" if split else root
    test = root / "test" if split and (root / "test").is_dir() else None
    return open_tree(root, train, test, share=data.test_share)


def open_tree(root: Path, train: Path, test: Path | None, share: float = 0.0, remember: bool = False) -> ImageSource:
    """Class folders below `train` and `test`; ids are paths relative to `root`. Without `test`, set `share` of train
    aside.

    `remember` keeps the listing for the next opening, as suits data sets of millions of files that do not change.

    Raises:
        UsageError, DkvbError: as `open_folder`.
    """
    notes: list[str] = []
    classes = _subfolders(train)
    if not classes:
        raise UsageError(f"{train} holds no class folders; it needs a folder of images for each class ({HOLDS}).")
    ids, labels = _list(root, train, classes, remember, notes)
    if not ids:
        raise UsageError(f"No images below {train}; known extensions are {', '.join(sorted(EXTENSIONS))}.")
    counts = np.bincount(labels, minlength=len(classes))
    if empty := [name for name, count in zip(classes, counts, strict=True) if count == 0]:
        raise DkvbError(f"{train}: no images in the class folder {some(empty)}; put some there, or remove it.")
    if loose := [
        entry
        for entry in os.scandir(train)
        if kind_of(entry) == "file" and Path(entry.name).suffix.lower() in EXTENSIONS
    ]:
        notes.append(f"{len(loose)} images lie directly in {train.name}/, in no class folder: not read")
    if test is None:
        kept, aside = hold_out(labels, share, "folder")
        notes.append(
            f"no test/ folder: split off {share:.0%} of every class ({len(aside):,} of {len(ids):,} images) for testing"
        )
        rows = {"train": ([ids[i] for i in kept], labels[kept]), "test": ([ids[i] for i in aside], labels[aside])}
    else:
        _check_test(test, train, classes)
        present = [name for name in classes if (test / name).is_dir()]
        test_ids, test_labels = _list(root, test, present, remember, notes)
        if not test_ids:
            raise DkvbError(f"No images below {test}; fill it, or remove it to have a share of train set aside.")
        places = np.array([classes.index(name) for name in present])
        rows = {"train": (ids, labels), "test": (test_ids, places[test_labels])}
    check_classes(classes, {split: values for split, (_, values) in rows.items()}, root, notes)
    splits = {split: ImageSplit(names, values, ImageFiles(root, names)) for split, (names, values) in rows.items()}
    return ImageSource(classes, lambda: fingerprint(root, splits), notes, splits)


def fingerprint(root: Path, splits: dict[str, ImageSplit]) -> str:
    """sha256 over split, relative path, size in bytes and modification time (ns) of every image; contents are not read.

    One `stat` a file, in threads: seconds for the 1.28 million of ImageNet-1k where the system has their entries in
    memory, minutes where it has not or the disk is across a network. Each `embed` pays it, listing remembered or not: a
    changed file must never pass for the old one.

    Raises:
        DkvbError: a file is gone since it was listed.
    """

    def lines(block: tuple[str, Sequence[str]]) -> list[str]:
        split, ids = block
        found = [os.stat(f"{root}/{id}") for id in ids]
        return [f"{split}\0{id}\0{status.st_size}\0{status.st_mtime_ns}" for id, status in zip(ids, found, strict=True)]

    def checked() -> Iterator[str]:
        blocks = [
            (name, split.ids[i : i + BLOCK]) for name, split in splits.items() for i in range(0, len(split), BLOCK)
        ]
        total = sum(len(split) for split in splits.values())
        with watched("check files", total, "files", many=50_000) as task, ThreadPoolExecutor(THREADS) as pool:
            for block in in_order(pool, lines, blocks, ahead=2 * THREADS):
                yield from block
                if task:
                    task.advance(len(block))

    try:
        return digest(checked())
    except FileNotFoundError as error:
        raise DkvbError(
            f"{error.filename} went missing while the images of {root} were listed; run again once nothing changes it."
        ) from None


def _check_test(test: Path, train: Path, classes: list[str]) -> None:
    strange = [name for name in _subfolders(test) if name not in set(classes) and walk_images(test / name)[0]]
    if strange:
        raise DkvbError(
            f"{test}: class with no training images: {some(strange)}. Every class of test needs a folder of the same"
            f" name in {train} (classes there: {some(classes, 5)})."
        )


def _list(
    root: Path, folder: Path, classes: list[str], remember: bool, notes: list[str]
) -> tuple[list[str], np.ndarray]:
    """Ids and (N,) labels (places in `classes`) of the images in some class folders."""
    above = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
    broken: list[str] = []
    found = list_classes(folder, classes) if remember else [walk_images(folder / name, broken)[0] for name in classes]
    if broken:
        notes.append(f"{len(broken)} images below {folder.name}/ are symlinks to nowhere: not read ({some(broken, 1)})")
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(names) for names in found])
    return [f"{above}{name}/{path}" for name, names in zip(classes, found, strict=True) for path in names], labels


def _subfolders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(
            in_unicode(entry.name, folder) for entry in entries if kind_of(entry) == "folder" and not hidden(entry.name)
        )
