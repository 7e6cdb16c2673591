"""An image folder: `{train,test}/<class>/<image>`, or class folders alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources.base import ImageSource, ImageSplit, check_classes, data_folder, digest, hold_out, some
from dkvb.sources.images import EXTENSIONS, ImageFiles, hidden, list_images, read_image, relative_images

__all__ = ["list_images", "open_folder", "open_tree", "read_image"]

HOLDS = "a folder of {train,test}/<class>/<image>"


def open_folder(data: Data) -> ImageSource:
    """Classes are the sorted names of train's class folders; without a test folder, `data.test` of every class is set aside.

    Raises:
        UsageError: the path is missing, a file or empty, or holds no class folders.
        DkvbError: fewer than two classes, a class without training images.
    """
    root = data_folder("folder", data.path, HOLDS)
    split = any(_subfolders(root / "train"))
    if not split and (root / "test").is_dir() and any(_subfolders(root / "test")):
        raise UsageError(f"{root} has a test/ folder and no train/ with class folders; the source 'folder' needs {HOLDS}.")
    train = root / "train" if split else root
    test = root / "test" if split and (root / "test").is_dir() else None
    return open_tree(root, train, test, share=data.test)


def open_tree(root: Path, train: Path, test: Path | None, share: float = 0.0) -> ImageSource:
    """Class folders below `train` and `test`; ids are paths relative to `root`. Without `test`, set `share` of train aside.

    Raises:
        UsageError, DkvbError: as `open_folder`.
    """
    notes: list[str] = []
    classes = _subfolders(train)
    if not classes:
        raise UsageError(f"{train} holds no class folders; it needs a folder of images for each class ({HOLDS}).")
    ids, labels = _list(root, train, classes)
    if not ids:
        raise UsageError(f"No images below {train}; known extensions are {', '.join(sorted(EXTENSIONS))}.")
    counts = np.bincount(labels, minlength=len(classes))
    if empty := [name for name, count in zip(classes, counts, strict=True) if count == 0]:
        raise DkvbError(f"{train}: no images in the class folder {some(empty)}; put some there, or remove it.")
    if loose := [entry for entry in os.scandir(train) if entry.is_file() and Path(entry.name).suffix.lower() in EXTENSIONS]:
        notes.append(f"{len(loose)} images lie directly in {train.name}/, in no class folder: not read")
    if test is None:
        kept, aside = hold_out(labels, share, "folder")
        notes.append(f"no test/ folder: split off {share:.0%} of every class ({len(aside):,} of {len(ids):,} images) for testing")
        rows = {"train": ([ids[i] for i in kept], labels[kept]), "test": ([ids[i] for i in aside], labels[aside])}
    else:
        _check_test(test, train, classes)
        present = [name for name in classes if (test / name).is_dir()]
        test_ids, test_labels = _list(root, test, present)
        if not test_ids:
            raise DkvbError(f"No images below {test}; fill it, or remove it to have a share of train set aside.")
        places = np.array([classes.index(name) for name in present])
        rows = {"train": (ids, labels), "test": (test_ids, places[test_labels])}
    check_classes(classes, {split: values for split, (_, values) in rows.items()}, root, notes)
    splits = {split: ImageSplit(names, values, ImageFiles(root, names)) for split, (names, values) in rows.items()}
    return ImageSource(classes, lambda: fingerprint(root, splits), notes, splits)


def fingerprint(root: Path, splits: dict[str, ImageSplit]) -> str:
    """sha256 over split, relative path, size in bytes and modification time (ns) of every image; contents are not read."""

    def lines() -> Iterable[str]:
        for name, split in splits.items():
            for id in split.ids:
                status = os.stat(root / id)
                yield f"{name}\0{id}\0{status.st_size}\0{status.st_mtime_ns}"

    return digest(lines())


def _check_test(test: Path, train: Path, classes: list[str]) -> None:
    strange = [name for name in _subfolders(test) if name not in set(classes) and relative_images(test / name)]
    if strange:
        raise DkvbError(
            f"{test}: class with no training images: {some(strange)}. Every class of test needs a folder of the same name "
            f"in {train} (classes there: {some(classes, 5)})."
        )


def _list(root: Path, folder: Path, classes: list[str]) -> tuple[list[str], np.ndarray]:
    """Ids and (N,) labels (places in `classes`) of the images in some class folders."""
    above = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
    listed = [[f"{above}{name}/{path}" for path in relative_images(folder / name)] for name in classes]
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(names) for names in listed])
    return [name for names in listed for name in names], labels


def _subfolders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not hidden(entry.name))
