"""An image folder: splits of class folders, `{train,test}/<class>/<image>`, or class folders alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dkvb.errors import DkvbError, UsageError, some
from dkvb.recipe import Data
from dkvb.runtime.parallel import in_order
from dkvb.sources.base import ImageSource, ImageSplit, digest, hold_out
from dkvb.sources.checks import check_classes, data_folder
from dkvb.sources.images import ImageFiles, read_image
from dkvb.sources.layout import Layout, by_names
from dkvb.sources.levels import Level, inside_one, look_at
from dkvb.sources.listing import THREADS, walk_classes, watched
from dkvb.sources.named_layout import as_named
from dkvb.sources.remarks import Remarks, in_words
from dkvb.sources.unclear import HOLDS, listed, refuse_nested
from dkvb.sources.walk import ANOTHERS, Fences, Walked, list_images, walk

__all__ = ["fingerprint", "list_images", "open_folder", "open_tree", "read_image"]


BLOCK = 4096


def open_folder(data: Data) -> ImageSource:
    """Classes are the sorted names of train's class folders; without a test folder, `data.test` of every class is set
    aside.

    Raises:
        UsageError: the path is missing, a file or empty, holds no class folders, or can be read in several ways.
        DkvbError: fewer than two classes, a class without training images.
    """
    named = data.train is not None or isinstance(data.test, str)
    layout = as_named(data) if named else by_names(data_folder("folder", data.path, HOLDS))
    remarks = Remarks()
    for level in layout.through:
        level.tally.report(remarks, _above(layout.root, level.path))
    _say_splits(layout, data, remarks)
    return open_tree(layout, remarks, share=data.test_share, exif_rotate=data.exif_rotate)


def _say_splits(layout: Layout, data: Data, remarks: Remarks) -> None:
    """Note what is used for what, and count what is not used."""
    unread = []
    for folder, why in layout.unread.items():
        left = walk(folder)
        above = _above(layout.root, folder)
        left.tally.report(remarks, above)
        if left.images:
            remarks.pass_over(f"an image in {folder.name}/, {why}", above + left.images[0], len(left.images))
            unread.append(f"{folder.name}/ ({len(left.images):,} images)")
    train = _name(layout, layout.train)
    said = [f"{train} trains"] if layout.train != layout.root else []
    if layout.test:
        said = [f"{train} trains", f"{_name(layout, layout.test)} tests"]
    if unread:
        share = ": a share of train is kept out for choosing N" if data.validation else ""
        said.append(f"{' and '.join(unread)} {'is' if len(unread) == 1 else 'are'} not read{share}")
    if said:
        remarks.notes.append(", ".join(said))


def open_tree(
    layout: Layout, remarks: Remarks, share: float = 0.0, remember: bool = False, exif_rotate: bool = False
) -> ImageSource:
    """Class folders below `layout.train` and `layout.test`. Without a test set, set `share` of train aside.

    `remember` keeps the listing for the next opening, as suits data sets of millions of files that do not change.

    Raises:
        UsageError, DkvbError: as `open_folder`.
    """
    root, train = layout.root, layout.train
    tops = _class_folders(layout)
    for top in tops.values():
        top.tally.report(remarks, _above(root, top.path))
    classes = list(tops["train"].folders)
    if not classes:
        raise UsageError(f"{train} holds no class folders; it needs a folder of images for each class ({HOLDS}).")
    found = _walk(root, tops, "train", classes, remember, remarks)
    if layout.guessed:
        _refuse_if_splits(train, dict(zip(classes, found.walked, strict=True)))
    if not found.ids:
        raise UsageError(f"No images below {train}{_instead(remarks)}; put some into its class folders.")
    if empty := [name for name, walked in zip(classes, found.walked, strict=True) if not walked.images]:
        raise DkvbError(
            f"{train}: no images in the class folder {some(empty)}{_instead(remarks)}; put some there, or remove it."
        )
    if layout.test is None:
        kept, aside = hold_out(found.labels, share, "folder")
        remarks.notes.append(
            f"no test/ folder: split off {share:.0%} of every class ({len(aside):,} of {len(found.ids):,} images) for"
            " testing"
        )
        rows = {part: ([found.ids[i] for i in of], found.labels[of]) for part, of in (("train", kept), ("test", aside))}
    else:
        _check_test(tops["test"], train, classes)
        present = [name for name in classes if name in tops["test"].folders]
        tested = _walk(root, tops, "test", present, remember, remarks)
        if not tested.ids:
            raise DkvbError(f"No images below {layout.test}; fill it, or remove it to have a share of train set aside.")
        places = np.array([classes.index(name) for name in present])
        rows = {"train": (found.ids, found.labels), "test": (tested.ids, places[tested.labels])}
    check_classes(classes, {split: values for split, (_, values) in rows.items()}, root, remarks.notes, remarks.doubts)
    splits = {
        split: ImageSplit(names, values, ImageFiles(root, names, exif_rotate=exif_rotate))
        for split, (names, values) in rows.items()
    }
    return ImageSource(
        classes,
        lambda: fingerprint(root, splits),
        remarks.notes,
        splits,
        doubts=remarks.doubts,
        passed_over=remarks.passed_over,
    )


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


@dataclass(frozen=True)
class _Listed:
    ids: list[str]
    labels: np.ndarray
    """(N,) places among the classes listed."""
    walked: list[Walked]
    """Of each class."""


def _class_folders(layout: Layout) -> dict[str, Level]:
    """The class folders of each split, without those that are links to another class's and those that are the other
    split."""
    tops = {"train": look_at(layout.train)}
    if layout.test:
        tops["test"] = look_at(layout.test)
        for a, b in (("train", "test"), ("test", "train")):
            tops[a].folders = {name: real for name, real in tops[a].folders.items() if real != tops[b].real}
            of = {real: name for name, real in tops[b].folders.items() if b == "train" or tops[b].owns(name)}
            for name, real in list(tops[a].folders.items()):
                if (nearest := inside_one(real, of)) and of[nearest] != name:
                    del tops[a].folders[name]
                    tops[a].tally.add(ANOTHERS, name)
    return tops


def _walk(
    root: Path, tops: dict[str, Level], split: str, classes: list[str], remember: bool, remarks: Remarks
) -> _Listed:
    """The images of some class folders of a split."""
    top = tops[split]
    others = {of.real for name, of in tops.items() if name != split}
    fences = Fences(top.real, frozenset(others.union(*(of.folders.values() for of in tops.values()))))
    if remember:
        walked = walk_classes(top.path, classes, fences)
    else:
        walked = [walk(top.path / name, fences) for name in classes]
    above = _above(root, top.path)
    for name, of in zip(classes, walked, strict=True):
        of.tally.report(remarks, f"{above}{name}/")
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(of.images) for of in walked])
    ids = [f"{above}{name}/{path}" for name, of in zip(classes, walked, strict=True) for path in of.images]
    return _Listed(ids, labels, walked)


def _refuse_if_splits(train: Path, walked: dict[str, Walked]) -> None:
    """Refuse two folders that hold the same folders of images, which may be splits of the same classes."""
    first: dict[str, list[str]] = {}
    for name, of in walked.items():
        if len(of.seen) == 1:
            continue
        for below in sorted({path.split("/", 1)[0] for path in of.images if "/" in path}):
            first.setdefault(below, []).append(name)
    pairs: dict[tuple[str, str], list[str]] = {}
    for below, holders in first.items():
        for other in holders[1:]:
            pairs.setdefault((holders[0], other), []).append(below)
    for (a, b), shared in pairs.items():
        if len(shared) > 1:
            refuse_nested(train, a, b, shared)


def _check_test(test: Level, train: Path, classes: list[str]) -> None:
    strange = [name for name in test.folders if name not in set(classes) and walk(test.path / name).images]
    if strange:
        raise DkvbError(
            f"{test.path}: class with no training images: {some(strange)}. Every class of test needs a folder of the"
            f" same name in {train} (classes there: {some(classes, 5)})."
        )


def _instead(remarks: Remarks) -> str:
    """What was passed over, in parentheses, where no image was found."""
    return f" ({'; '.join(in_words(remarks.passed_over))})" if remarks.passed_over else ""


def _above(root: Path, folder: Path) -> str:
    """What stands before a folder's names in an id."""
    return "" if folder == root else f"{folder.relative_to(root).as_posix()}/"


def _name(layout: Layout, folder: Path) -> str:
    return _above(layout.root, folder) or listed([folder.name])
