"""The digits source: scikit-learn's images, with a test share set aside."""

from __future__ import annotations

import numpy as np

from dkvb.recipe import Data
from dkvb.sources.opening import open_source


def test_digits():
    source = open_source(Data(source="digits", test=0.2))
    train, test = source.splits["train"], source.splits["test"]
    assert source.mode == "L"
    assert source.classes == list("0123456789")
    assert len(train) + len(test) == 1797
    assert sorted(map(int, [*train.ids, *test.ids])) == list(range(1797))
    assert abs(np.bincount(test.labels) / np.bincount(np.r_[train.labels, test.labels]) - 0.2).max() < 0.01
    from sklearn.datasets import load_digits

    bunch = load_digits()
    row = int(test.ids[7])
    assert test.labels[7] == bunch.target[row]
    assert test.labels.dtype == np.int64
    image = test.read(7)
    assert image.mode == "L"
    assert (np.asarray(image) == np.round(bunch.images[row] * 255 / 16)).all()
    again = open_source(Data(source="digits", test=0.2))
    assert again.fingerprint == source.fingerprint
    assert again.splits["test"].ids == test.ids
    assert open_source(Data(source="digits", test=0.3)).fingerprint != source.fingerprint
