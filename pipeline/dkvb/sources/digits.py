"""scikit-learn's digits: 1,797 real 8×8 scans that need no download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from dkvb.recipe import Data
from dkvb.sources.base import ImageSource, ImageSplit, digest, hold_out
from dkvb.sources.images import ArrayImages, indices


def open_digits(data: Data) -> ImageSource:
    """Grey scans (mode "L", 0…16 scaled to 0…255); `data.test` of every class is the test set, the same for every
    seed."""
    scans, labels = _digits()
    pixels = np.round(scans * (255 / 16)).astype(np.uint8)
    rows = dict(zip(("train", "test"), hold_out(labels, data.test_share, "digits"), strict=True))
    return ImageSource(
        classes=[str(name) for name in range(10)],
        hasher=lambda: digest([pixels.tobytes(), labels.tobytes(), repr(data.test)]),
        notes=[],
        splits={
            split: ImageSplit(indices(kept), labels[kept], ArrayImages(pixels[kept])) for split, kept in rows.items()
        },
        mode="L",
    )


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Scans (N, 8, 8) float64 and labels (N,) int64, from the file that scikit-learn reads: importing it takes longer
    than all else that is done to them."""
    found = find_spec("sklearn")
    file = Path(found.origin).parent / "datasets/data/digits.csv.gz" if found and found.origin else None
    if file is None or not file.is_file():  # another version keeps it elsewhere
        from sklearn.datasets import load_digits

        bunch = load_digits()
        return bunch.images, bunch.target.astype(np.int64)
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
