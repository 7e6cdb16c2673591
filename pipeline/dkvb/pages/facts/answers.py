"""What a bottleneck takes single test samples for, before and after some of its pairs are masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkvb.bottleneck.lookup import CpuLookup, reselect
from dkvb.bottleneck.values import codebook_logits
from dkvb.pages.facts import look_ups
from dkvb.pages.facts.setups import Trained
from dkvb.workspace import arrays

LOOKED_AT = 10_000
"""Test samples of the classes that stay, at most, evenly spaced: as many as CIFAR has."""

FORGOTTEN = 1_000
"""Those of the forgotten classes, at most."""


@dataclass(frozen=True)
class Answers:
    """What n test samples are taken for."""

    rows: np.ndarray
    """(n,) rows of the stored test set."""
    labels: np.ndarray
    """(n,) what they are."""
    before: np.ndarray
    after: np.ndarray
    """(n,) what they are taken for, without the mask and with it."""
    oracle: np.ndarray | None = None
    """(n,) what a model takes them for that never saw the forgotten classes."""

    def of(self, classes: Sequence[int]) -> np.ndarray:
        """(n,) bool: those that are of some classes."""
        return np.isin(self.labels, list(classes))


def answers(trained: Trained, mask: np.ndarray, forget: Sequence[int]) -> Answers:
    """Those of the test samples of the forgotten classes and of the others, of both at most so many.

    Args:
        mask: (C, M) bool.

    Raises:
        DamagedArtifact: codes, values or features are missing or were altered.
    """
    model = look_ups.stored(trained)
    labels = model.splits.labels["test"]
    mine = np.isin(labels, list(forget))
    chosen = [evenly(np.flatnonzero(mine), FORGOTTEN), evenly(np.flatnonzero(~mine), LOOKED_AT)]
    places = np.sort(np.concatenate(chosen))
    rows = model.splits.rows["test"][places]
    features = arrays.read(trained.embed, "test/features", rows)
    unused = look_ups.selected(look_ups.Counts(trained)).total == 0 if model.masks_unused else np.zeros_like(mask)
    logits = np.zeros((2, len(places), len(model.splits.classes)), np.float32)
    everyone = np.arange(len(places))
    for codebook, queries, values in look_ups.by_codebook(model, trained, features):
        near = model.neighbours("test", codebook)
        near = None if near is None else near[places]
        codes = model.codes("test")[codebook][places].astype(np.int32)
        lookup = CpuLookup(model.keys[codebook])
        if model.masks_unused:
            codes = reselect(everyone, codes.shape[1], ~unused[codebook], lookup, queries, near)
        votes = codebook_logits(codes, values, model.pool)
        logits[0] += votes
        hit = np.flatnonzero(mask[codebook][codes].any(1))  # nobody else looks up another pair
        if len(hit):
            allowed = ~mask[codebook] & ~unused[codebook]
            again = reselect(hit, codes.shape[1], allowed, lookup, queries, near)
            votes[hit] = codebook_logits(again, values, model.pool)
        logits[1] += votes
    before, after = logits.argmax(2)
    return Answers(rows, labels[places], before, after)


def evenly(places: np.ndarray, most: int) -> np.ndarray:
    """All of some places (n,), or where they are more than that, so many of them, evenly spaced."""
    return places if len(places) <= most else places[np.linspace(0, len(places) - 1, most, dtype=np.int64)]
