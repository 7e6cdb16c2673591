"""LACUNA-100 and LACUNA-10: 100 or 10 VGGFace2 identities with 400 training and 100 test images each, drawn without
replacement."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.runtime import seeding
from dkvb.runtime.parallel import in_order
from dkvb.sources.base import ImageSource, ImageSplit, digest
from dkvb.sources.checks import check_classes, data_folder
from dkvb.sources.folder import fingerprint
from dkvb.sources.images import ArrayImages, ImageFiles, indices
from dkvb.sources.listing import THREADS, list_classes, watched
from dkvb.sources.vggface2 import class_names, find_identities, identities, identity_names
from dkvb.workspace.files import sha256

HOLDS = "a VGGFace2 tree (train/n000002/0001_01.jpg) or {train,test}/{data,label}.npy"


SIZES = {"lacuna100": 100, "lacuna10": 10}


IMAGES, TRAIN = 500, 400


SEED = 0
"""One draw for every run: the data set is the same, whatever the run's seed."""


SCRUB_IDENTITIES = 110


def open_lacuna(data: Data) -> ImageSource:
    """The arrays where they exist, else a seeded draw from a VGGFace2 tree; LACUNA-10's identities and images are a
    part of LACUNA-100's.

    Raises:
        UsageError: the path is missing or holds neither form.
        DkvbError: too few identities with enough images, or arrays of another shape.
    """
    root = data_folder(data.source, data.path, HOLDS)
    for folder in (root, root / data.source):
        if (folder / "train" / "data.npy").is_file():
            return open_arrays(folder)
    tree = find_identities(root)
    if tree is None:
        raise UsageError(
            f"{root} holds no identity folders such as train/n000002; the source '{data.source}' needs {HOLDS}."
        )
    return draw(tree, SIZES[data.source], compat=data.compat == "scrub", exif_rotate=data.exif_rotate)


def draw(
    tree: Path,
    count: int = 100,
    images: int = IMAGES,
    train: int = TRAIN,
    compat: bool = False,
    exif_rotate: bool = False,
) -> ImageSource:
    """Draw `count` of the identities with at least `images` images, then `images` of each, the first `train` for
    training.

    With `compat`, draw as SCRUB's public `create_lacuna.py` does: 110 identities with replacement, the first `count` of
    them being the classes in that order, and anew for each class `images` images with replacement, kept in the order
    drawn. What differs: that script is unseeded, so its own draw cannot be had again; it counts an identity's images by
    the metadata, here they are counted on disk; and it shrinks images to 32×32, here they stay as they are.

    Raises:
        DkvbError: fewer than `count` identities have enough images.
    """
    names = identities(tree)
    files = dict(zip(names, list_classes(tree, names), strict=True))
    eligible = [name for name in names if len(files[name]) >= images]
    if len(eligible) < count:
        raise DkvbError(
            f"{tree} has {len(eligible)} identities with {images} images or more (of {len(names)}); LACUNA-{count}"
            f" needs {count}. Point data.path at the whole VGGFace2 training set."
        )
    if compat:
        chosen = (
            seeding.generator(SEED, "lacuna", "scrub").choice(eligible, max(count, SCRUB_IDENTITIES)).tolist()[:count]
        )
    else:
        chosen = sorted(seeding.generator(SEED, "lacuna").permutation(eligible).tolist()[:count])
    ids: dict[str, list[str]] = {"train": [], "test": []}
    for place, name in enumerate(chosen):
        paths = [f"{name}/{path}" for path in files[name]]
        if compat:
            rows = seeding.generator(SEED, "lacuna", "scrub", count, place).integers(len(paths), size=images).tolist()
            parts = rows[:train], rows[train:]
        else:
            rows = seeding.generator(SEED, "lacuna", name).permutation(len(paths))[:images].tolist()
            parts = sorted(rows[:train]), sorted(rows[train:])
        for split, part in zip(ids, parts, strict=True):
            ids[split] += [paths[row] for row in part]
    notes, doubts = _leaky(chosen, ids) if compat else [], list[str]()
    classes = class_names(chosen, identity_names(tree, notes))
    each = {"train": train, "test": images - train}
    splits = {
        split: ImageSplit(
            listed,
            np.repeat(np.arange(count, dtype=np.int64), each[split]),
            ImageFiles(tree, listed, exif_rotate=exif_rotate),
        )
        for split, listed in ids.items()
    }
    check_classes(classes, {split: found.labels for split, found in splits.items()}, tree, notes, doubts)
    return ImageSource(
        classes,
        lambda: fingerprint(tree, splits),
        notes,
        splits,
        manifest=partial(hash_files, tree, splits),
        doubts=doubts,
    )


def _leaky(chosen: list[str], ids: dict[str, list[str]]) -> list[str]:
    trained = set(ids["train"])
    leaked = sum(id in trained for id in ids["test"])
    text = (
        f'compat = "scrub" draws with replacement: {leaked:,} of {len(ids["test"]):,} test images'
        f" ({leaked / len(ids['test']):.0%}) "
    )
    text += "are training images too"
    twice = len(chosen) - len(set(chosen))
    return [text + (f", and {twice} of {len(chosen)} classes are an identity that already is one" if twice else "")]


def hash_files(tree: Path, splits: dict[str, ImageSplit]) -> list[dict[str, Any]]:
    """`{split, id, label, sha256}` of every drawn file, in the order of the rows; reads each file once.

    Raises:
        DkvbError: a file cannot be read.
    """
    distinct = sorted({id for split in splits.values() for id in split.ids})
    known = {}
    with watched("hash drawn files", len(distinct), "files", many=2000) as task, ThreadPoolExecutor(THREADS) as pool:
        try:
            for id, found in zip(
                distinct, in_order(pool, sha256, (tree / id for id in distinct), ahead=4 * THREADS), strict=True
            ):
                known[id] = found
                if task:
                    task.advance()
        except OSError as error:
            raise DkvbError(
                f"{error.filename} cannot be read ({error.strerror}); it was drawn for the data set: put it back."
            ) from None
    return [
        {"split": name, "id": id, "label": label, "sha256": known[id]}
        for name, split in splits.items()
        for id, label in zip(split.ids, split.labels.tolist(), strict=True)
    ]


def open_arrays(folder: Path) -> ImageSource:
    """`{train,test}/{data,label}.npy`: uint8 (N, H, W, 3) or (N, 3, H, W), and N integers. No names: classes are
    numbers.

    Raises:
        DkvbError: arrays that cannot be read, or of another type or shape.
    """
    splits: dict[str, ImageSplit] = {}
    notes = [f"the arrays in {folder} were drawn by others, perhaps with replacement: see the leak check"]
    for split in ("train", "test"):
        pixels, labels = _load(folder / split / "data.npy"), _load(folder / split / "label.npy").reshape(-1)
        if pixels.ndim != 4 or pixels.dtype != np.uint8 or 3 not in (pixels.shape[1], pixels.shape[3]):
            found = f"{folder / split / 'data.npy'} is {pixels.dtype} of shape {pixels.shape}"
            raise DkvbError(f"{found}; it must be uint8 of shape (N, H, W, 3) or (N, 3, H, W).")
        if labels.dtype.kind not in "iu" or len(labels) != len(pixels) or (len(labels) and labels.min() < 0):
            raise DkvbError(
                f"{folder / split / 'label.npy'} must hold one integer, 0 or more, for each of the {len(pixels)}"
                " images."
            )
        channels_last = pixels if pixels.shape[3] == 3 else pixels.transpose(0, 2, 3, 1)
        splits[split] = ImageSplit(indices(len(labels)), labels.astype(np.int64), ArrayImages(channels_last))
    count = 1 + max(int(split.labels.max(initial=-1)) for split in splits.values())
    classes = [str(i) for i in range(count)]
    check_classes(classes, {name: split.labels for name, split in splits.items()}, folder, notes)
    files = [folder / split / name for split in ("train", "test") for name in ("data.npy", "label.npy")]
    return ImageSource(classes, lambda: digest(sha256(path) for path in files), notes, splits)


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DkvbError(f"{path} cannot be read as an array ({error}); copy it again.") from None
