"""LACUNA-100: 100 VGGFace2 identities with 400 training and 100 test images each, drawn without replacement (SPEC section 7)."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from dkvb import seeding
from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Data
from dkvb.sources.arrays import ArrayImages, indices
from dkvb.sources.base import ImageSource, ImageSplit, check_classes, data_folder, digest
from dkvb.sources.folder import fingerprint
from dkvb.sources.images import ImageFiles, relative_images

HOLDS = "a VGGFace2 tree (train/n000002/0001_01.jpg) or lacuna100/{train,test}/{data,label}.npy"
IDENTITY = re.compile(r"n\d{6}")


def open_lacuna100(data: Data) -> ImageSource:
    """The arrays where they exist, else a seeded draw from a VGGFace2 tree; the draw is the same for every run's seed.

    Raises:
        UsageError: the path is missing or holds neither form.
        DkvbError: too few identities with enough images, or arrays of another shape.
    """
    root = data_folder("lacuna100", data.path, HOLDS)
    for folder in (root, root / "lacuna100"):
        if (folder / "train" / "data.npy").is_file():
            return open_arrays(folder)
    tree = find_identities(root)
    if tree is None:
        raise UsageError(f"{root} holds no identity folders such as train/n000002; the source 'lacuna100' needs {HOLDS}.")
    return draw(tree)


def find_identities(root: Path) -> Path | None:
    """The folder whose subfolders are identities: the root, its train (or an aligned variant, train_…), or VGGFace2's own layouts."""
    for base in ("", "VGG-Face2/data", "VGG-Face2", "vggface2", "data"):
        folder = root / base
        if not folder.is_dir():
            continue
        variants = sorted(path for path in folder.glob("train_*") if path.is_dir())
        for place in (folder, folder / "train", *variants):
            if place.is_dir() and any(IDENTITY.fullmatch(entry.name) and entry.is_dir() for entry in os.scandir(place)):
                return place
    return None


def draw(tree: Path, identities: int = 100, images: int = 500, train: int = 400) -> ImageSource:
    """Draw `identities` of those with at least `images` images, then `images` of each, the first `train` for training."""
    names = sorted(entry.name for entry in os.scandir(tree) if IDENTITY.fullmatch(entry.name) and entry.is_dir())
    files = {name: [f"{name}/{path}" for path in relative_images(tree / name)] for name in names}
    eligible = [name for name in names if len(files[name]) >= images]
    if len(eligible) < identities:
        raise DkvbError(
            f"{tree} has {len(eligible)} identities with {images} images or more (of {len(names)}); LACUNA-100 needs {identities}. "
            f"Point data.path at the whole VGGFace2 training set."
        )
    classes = sorted(seeding.generator(0, "lacuna100").choice(eligible, identities, replace=False).tolist())
    ids: dict[str, list[str]] = {"train": [], "test": []}
    for name in classes:
        order = seeding.generator(0, "lacuna100", name).permutation(len(files[name]))[:images]
        ids["train"] += [files[name][i] for i in sorted(order[:train])]
        ids["test"] += [files[name][i] for i in sorted(order[train:])]
    per_class = {"train": train, "test": images - train}
    splits = {
        split: ImageSplit(chosen, np.repeat(np.arange(identities, dtype=np.int64), per_class[split]), ImageFiles(tree, chosen))
        for split, chosen in ids.items()
    }
    return ImageSource(classes, lambda: fingerprint(tree, splits), [], splits)


def open_arrays(folder: Path) -> ImageSource:
    """`{train,test}/{data,label}.npy`: uint8 (N, H, W, 3) or (N, 3, H, W), and N integers."""
    splits: dict[str, ImageSplit] = {}
    notes: list[str] = []
    for split in ("train", "test"):
        pixels, labels = _load(folder / split / "data.npy"), _load(folder / split / "label.npy").reshape(-1)
        if pixels.ndim != 4 or pixels.dtype != np.uint8 or 3 not in (pixels.shape[1], pixels.shape[3]):
            found = f"{folder / split / 'data.npy'} is {pixels.dtype} of shape {pixels.shape}"
            raise DkvbError(f"{found}; it must be uint8 of shape (N, H, W, 3) or (N, 3, H, W).")
        if labels.dtype.kind not in "iu" or len(labels) != len(pixels) or (len(labels) and labels.min() < 0):
            raise DkvbError(f"{folder / split / 'label.npy'} must hold one integer, 0 or more, for each of the {len(pixels)} images.")
        channels_last = pixels if pixels.shape[3] == 3 else pixels.transpose(0, 2, 3, 1)
        splits[split] = ImageSplit(indices(len(labels)), labels.astype(np.int64), ArrayImages(channels_last))
    count = 1 + max(int(split.labels.max(initial=-1)) for split in splits.values())
    classes = [str(i) for i in range(count)]
    check_classes(classes, {name: split.labels for name, split in splits.items()}, folder, notes)
    files = [folder / split / name for split in ("train", "test") for name in ("data.npy", "label.npy")]
    return ImageSource(classes, lambda: digest(path.read_bytes() for path in files), notes, splits)


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DkvbError(f"{path} cannot be read as an array ({error}); copy it again.") from None
