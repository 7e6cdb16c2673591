"""Whether single samples can be told from samples that were never learned: their losses, by the values that stand and
by others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dkvb.bottleneck.mask_order import NEVER
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_logits_at
from dkvb.records.deletion import Losses


def losses(trained: TrainedSeed, masked: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cross-entropy (n,) of rows (n,) of the stored training set, and whether each is recognised (n,) bool.

    Args:
        masked: (C, M) bool, pairs that are passed over.
    """
    order = np.where(masked, -1, NEVER).astype(np.int32)
    loss, right = np.empty(len(rows)), np.empty(len(rows), bool)
    for split, mine, places in _places(trained, rows):
        logits = masked_logits_at(trained.bottleneck, order, [0], split, places)[0]
        loss[mine], right[mine] = _loss(logits, trained.splits.labels[split][places])
    return loss, right


def _places(trained: TrainedSeed, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Of rows (n,) of the stored training set, for each split that holds some: the split, which they are (n,) bool, and
    their places in it."""
    for split in ("train", "validation"):
        stored = trained.splits.rows[split]
        mine = np.isin(rows, stored)
        if mine.any():
            yield split, mine, np.searchsorted(stored, rows[mine])


def _loss(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    exact = logits.astype(np.float64)
    shifted = exact - exact.max(1, keepdims=True)
    return np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(labels)), labels], logits.argmax(1) == labels


def forgotten_samples(then: TrainedSeed, masked: np.ndarray, now: TrainedSeed, rows: np.ndarray) -> dict[str, Any]:
    """The fields of `ForgottenSamples`, but for the file's hash, of rows (n,) of the stored training set.

    Args:
        then, now: the model before, with the pairs (C, M) bool that are masked in it, and with the new values.
    """
    before, right_before = losses(then, masked, rows)
    after, right_after = losses(now, now.no_mask < 0, rows)
    classes = len(then.splits.classes)
    labels = [then.splits.labels[split][places] for split, _, places in _places(then, rows)]
    per_class = np.bincount(np.concatenate(labels), minlength=classes)
    return {
        "count": len(rows),
        "per_class": per_class.tolist(),
        "loss": Losses(before=float(before.mean()), after=float(after.mean()), unseen=_unseen(now, per_class)),
        "correct_before": int(right_before.sum()),
        "correct_after": int(right_after.sum()),
    }


def _unseen(now: TrainedSeed, per_class: np.ndarray) -> float | None:
    """Mean loss of test samples, each class with the share that it has among the forgotten samples."""
    order = np.where(now.no_mask < 0, -1, NEVER).astype(np.int32)
    labels = now.splits.labels["test"]
    rows = np.flatnonzero(per_class[labels] > 0)
    if set(np.flatnonzero(per_class)) - set(labels[rows].tolist()):
        return None
    loss, _ = _loss(masked_logits_at(now.bottleneck, order, [0], "test", rows)[0], labels[rows])
    means = [loss[labels[rows] == c].mean() * count for c, count in enumerate(per_class) if count]
    return float(sum(means) / per_class.sum())
