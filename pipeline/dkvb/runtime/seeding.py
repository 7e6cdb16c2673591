"""Every random draw comes from (seed, stage, unit), so resuming or splitting work never changes a result."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *unit: object) -> np.random.Generator:
    """A NumPy generator that depends on the seed and the named unit of work alone, e.g. `(0, "train", 3)`."""
    digest = hashlib.sha256("/".join(map(str, unit)).encode()).digest()
    words = np.frombuffer(digest, np.uint32).tolist()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))


def integer(seed: int, *unit: object) -> int:
    """A 62-bit seed for a library that takes an integer (torch)."""
    return int(generator(seed, *unit).integers(2**62))


def stratified_split(labels: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows kept and rows set aside, both sorted: `share` of every class, rounded, and never a whole class.

    Args:
        labels: (N,) integers.
        share: in [0, 1); 0 sets nothing aside.
    """
    aside = np.zeros(len(labels), bool)
    if share > 0:
        for label in np.unique(labels):
            rows = np.flatnonzero(labels == label)
            take = min(max(1, round(share * len(rows))), len(rows) - 1)
            aside[rng.permutation(rows)[:take]] = True
    return np.flatnonzero(~aside), np.flatnonzero(aside)
