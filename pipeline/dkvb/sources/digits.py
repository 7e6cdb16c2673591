"""scikit-learn's digits: 1,797 real 8×8 scans that need no download."""

from __future__ import annotations

import numpy as np

from dkvb.recipe import Data
from dkvb.sources.base import ImageSource, ImageSplit, digest, hold_out
from dkvb.sources.images import ArrayImages, indices


def open_digits(data: Data) -> ImageSource:
    """Grey scans (mode "L", 0…16 scaled to 0…255); `data.test` of every class is the test set, the same for every
    seed."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    rows = dict(zip(("train", "test"), hold_out(labels, data.test_share, "digits"), strict=True))
    return ImageSource(
        classes=[str(name) for name in bunch.target_names],
        hasher=lambda: digest([pixels.tobytes(), labels.tobytes(), repr(data.test)]),
        notes=[],
        splits={
            split: ImageSplit(indices(kept), labels[kept], ArrayImages(pixels[kept])) for split, kept in rows.items()
        },
        mode="L",
    )
