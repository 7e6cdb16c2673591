"""Made-up data of four classes that an estimator of a few codebooks learns in a tenth of a second."""

from __future__ import annotations

from typing import Any

import numpy as np

import dkvb

NAMES = np.array(["bird", "cat", "dog", "truck"])
SMALL: dict[str, Any] = {"codebooks": 16, "pairs": 64, "key_epochs": 2}
N, TESTED = 400, 200
"""Rows to fit to, and held-out ones."""


def data(width: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """X (N, D) and y (N,) to fit to, and those of held-out samples; class by class in turn."""
    rng = np.random.default_rng(0)
    of = np.arange(N + TESTED) % len(NAMES)
    x = (rng.standard_normal((len(NAMES), width)) * 2)[of] + rng.standard_normal((N + TESTED, width))
    return x[:N].astype(np.float32), NAMES[of[:N]], x[N:].astype(np.float32), NAMES[of[N:]]


def fitted(**parameters: Any) -> dkvb.KeyValueClassifier:
    """An estimator that has learned them."""
    x, y, *_ = data()
    return dkvb.KeyValueClassifier(**(SMALL | parameters)).fit(x, y)
