"""The kernel that adds gradients into rows is SciPy's, and private: held to the plain loop it stands for."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
import torch

from dkvb.bottleneck.decoder import CHUNK, add_rows

CHECKED = "1.13.1, 1.14.1, 1.15.3, 1.16.3 and 1.17.1"
"""Versions of SciPy whose `scipy.sparse._sparsetools.csc_matvecs` passes this test."""


@pytest.mark.parametrize("weighted", [False, True])
def test_rows_are_added_in_order_as_by_a_plain_loop(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    batch, columns, width = CHUNK // 64 + 3, 64, 3
    half = rng.integers(0, 500, (batch, columns // 2))
    rows = np.concatenate([half, 500 + rng.integers(0, 500, half.shape)], 1).astype(np.int32)
    total = rng.standard_normal((1000, width)).astype(np.float32)
    added = rng.standard_normal((batch, width)).astype(np.float32)
    weights = rng.standard_normal(columns).astype(np.float32) if weighted else None
    expected = total.copy()
    for vector, selected in zip(added, rows, strict=True):
        for place, row in enumerate(selected):
            expected[row] += vector if weights is None else weights[place] * vector
    threads = torch.get_num_threads()
    for use in (1, 2):
        torch.set_num_threads(use)
        got = total.copy()
        try:
            add_rows(got, rows, added, weights)
        finally:
            torch.set_num_threads(threads)
        assert np.array_equal(got, expected), (
            f"SciPy {scipy.__version__} adds rows otherwise than {CHECKED}: mend dkvb.bottleneck.decoder.add_rows"
        )
