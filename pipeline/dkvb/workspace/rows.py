"""Rows of stored features: their labels, those that were purged, and those kept out for validation."""

from __future__ import annotations

import numpy as np

from dkvb.runtime.seeding import generator, stratified_split
from dkvb.workspace import arrays
from dkvb.workspace.finished import Artifact


def stored_labels(features: Artifact, split: str) -> np.ndarray:
    """(N,) int64 labels of all stored rows; that of a purged row of class c is -1 - c, so that no other row changes its
    split."""
    return arrays.read(features, f"{split}/labels")


def labels(features: Artifact, split: str) -> np.ndarray:
    """(N,) int64 labels of a split's stored rows, purged ones among them; `present` tells them apart."""
    stored = stored_labels(features, split)
    return np.where(stored < 0, -1 - stored, stored)


def present(features: Artifact, split: str) -> np.ndarray:
    """(N,) bool: the stored rows that were not purged."""
    return stored_labels(features, split) >= 0


def stored_train_rows(features: Artifact, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Like `train_rows`, with rows that were purged."""
    return split_rows(labels(features, "train"), validation, seed)


def split_rows(of: np.ndarray, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of labels (N,), the rows to learn from and those kept out; sorted."""
    return stratified_split(of, validation, generator(seed, "validation"))


def train_rows(features: Artifact, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the training set to learn from, and those kept out for choosing N; sorted."""
    kept, aside = stored_train_rows(features, validation, seed)
    there = present(features, "train")
    return kept[there[kept]], aside[there[aside]]
