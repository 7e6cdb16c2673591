"""LACUNA as SCRUB's build script leaves it: `{train,test}/{data,label}.npy`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dkvb.errors import DkvbError
from dkvb.files import sha256
from dkvb.sources.arrays import ArrayImages, indices
from dkvb.sources.base import ImageSource, ImageSplit, digest
from dkvb.sources.checks import check_classes


def open_arrays(folder: Path) -> ImageSource:
    """`{train,test}/{data,label}.npy`: uint8 (N, H, W, 3) or (N, 3, H, W), and N integers. No names: classes are numbers.

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
            raise DkvbError(f"{folder / split / 'label.npy'} must hold one integer, 0 or more, for each of the {len(pixels)} images.")
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
