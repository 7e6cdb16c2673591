"""What a masked pair stands for: the training images whose look-ups come nearest to its key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkvb.pages.facts import look_ups
from dkvb.pages.facts.answers import evenly
from dkvb.pages.facts.pictures import Picture, Sheet
from dkvb.pages.facts.setups import Trained
from dkvb.pages.facts.words import class_label
from dkvb.pictures.index import Row
from dkvb.workspace import arrays
from dkvb.workspace.names import KEYS

PAIRS, IMAGES = 4, 6
"""Pairs of a mask, and training images of each."""

MEASURED = 4_096
"""Samples of a pair whose distance to its key is measured, at most, evenly spaced."""


@dataclass(frozen=True)
class TrainingImage:
    """One training image: the name of its class, and whether that is one of the forgotten."""

    picture: Picture
    label: str
    forgotten: bool

    @property
    def alt(self) -> str:
        return f"A training image of {self.label}"


@dataclass(frozen=True)
class PairPictures:
    """A masked pair, and the training images nearest to its key, nearest first."""

    codebook: int
    pair: int
    samples: int
    """Training samples that select it."""
    of_forgotten: int
    """Of these, those of the forgotten classes."""
    images: list[TrainingImage]


def pair_pictures(
    sheet: Sheet, trained: Trained, mask: np.ndarray, forget: Sequence[int], counts: look_ups.Counts
) -> list[PairPictures]:
    """The masked pairs that the forgotten classes use most, with their images; those without any are left out.

    Args:
        mask: (C, M) bool.

    Raises:
        DamagedArtifact: codes, keys or features are missing or were altered.
    """
    used = np.where(mask, counts.of(forget).sum(0, dtype=np.int64), 0)
    often = np.argsort(-used, axis=None, kind="stable")[:PAIRS]
    pairs = [(int(place) // used.shape[1], int(place) % used.shape[1]) for place in often if used.flat[place]]
    found = [_pair(sheet, trained, codebook, pair, forget) for codebook, pair in pairs]
    return [one for one in found if one.images]


def _pair(sheet: Sheet, trained: Trained, codebook: int, pair: int, forget: Sequence[int]) -> PairPictures:
    assert trained.quantize
    model = look_ups.stored(trained)
    learned = model.splits.rows["train"]
    name = "train/codes"
    stored = arrays.opened(trained.quantize, name)
    with arrays.reading(trained.quantize, name):
        codes = np.asarray(stored[:, codebook])[learned]
    places = np.flatnonzero((codes == pair).any(1))
    labels, classes = model.splits.labels["train"], model.splits.classes
    mine = int(np.isin(labels[places], list(forget)).sum())
    nearest = _nearest(model.projections(range(codebook, codebook + 1))[0], trained, codebook, pair, learned, places)
    rows: list[Row] = [("train", int(learned[place])) for place in nearest]
    pictures = sheet.of(rows)
    images = [
        TrainingImage(pictures[row], class_label(c := int(labels[place]), classes[c]), c in forget)
        for row, place in zip(rows, nearest.tolist(), strict=True)
        if row in pictures
    ]
    return PairPictures(codebook, pair, len(places), mine, images)


def _nearest(
    projection: np.ndarray, trained: Trained, codebook: int, pair: int, learned: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """(n,) of some training samples (their places among `learned`), those nearest to a pair's key, nearest first."""
    assert trained.quantize
    places = evenly(places, MEASURED)
    key = arrays.read(trained.quantize, KEYS, (codebook, pair))
    queries = arrays.read(trained.embed, "train/features", learned[places]) @ projection
    return np.asarray(places[np.argsort(((queries - key) ** 2).sum(1), kind="stable")[:IMAGES]])
