"""What a masked pair stands for: the training images whose look-ups come nearest to its key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.metrics.evenly import evenly
from dkvb.pages.facts import look_ups
from dkvb.pages.facts.pictures import Picture, Sheet, class_name
from dkvb.pages.facts.setups import Trained
from dkvb.pictures.index import Row
from dkvb.workspace import arrays
from dkvb.workspace.names import KEYS

PAIRS, IMAGES = 2, 6
"""Pairs of a mask of either kind, and training images of each."""

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
    shared: bool
    """Whether it is here because other classes use it too."""
    samples: int
    """Training samples that select it."""
    of_forgotten: int
    """Of these, those of the forgotten classes."""
    images: list[TrainingImage]


def pair_pictures(
    sheet: Sheet, trained: Trained, mask: np.ndarray, forget: Sequence[int], counts: look_ups.Counts
) -> list[PairPictures]:
    """Of the masked pairs those that the forgotten classes use most, and those that they share most with others;
    without those of which there is no picture.

    Args:
        mask: (C, M) bool.

    Raises:
        DamagedArtifact: codes, keys or features are missing or were altered.
    """
    mine = counts.of(forget).sum(0, dtype=np.int64)
    others = look_ups.selected(counts).total - mine
    chosen: dict[tuple[int, int], bool] = {}
    for shared, use in ((False, mine), (True, np.minimum(mine, others))):
        used = np.where(mask, use, 0)
        often = np.argsort(-used, axis=None, kind="stable")
        pairs = [(int(place) // used.shape[1], int(place) % used.shape[1]) for place in often[: 2 * PAIRS]]
        new = [pair for pair in pairs if used[pair] and pair not in chosen]
        chosen |= dict.fromkeys(new[:PAIRS], shared)
    found = [_pair(sheet, trained, pair, shared, forget) for pair, shared in chosen.items()]
    return [one for one in found if one.images]


def _pair(sheet: Sheet, trained: Trained, pair: tuple[int, int], shared: bool, forget: Sequence[int]) -> PairPictures:
    model = look_ups.stored(trained)
    learned, labels = model.splits.rows["train"], model.splits.labels["train"]
    stored = arrays.opened(model.codes_artifact, "train/codes")
    with arrays.reading(model.codes_artifact, "train/codes"):
        codes = np.asarray(stored[:, pair[0]])[learned]  # a chunk holds one codebook
    places = np.flatnonzero((codes == pair[1]).any(1))
    nearest = _nearest(model, pair, evenly(places, MEASURED))
    rows: list[Row] = [("train", int(learned[place])) for place in nearest]
    pictures = sheet.of(rows)
    images = [
        TrainingImage(pictures[row], class_name(c := int(labels[place]), model.splits.classes), c in forget)
        for row, place in zip(rows, nearest.tolist(), strict=True)
        if row in pictures
    ]
    mine = int(np.isin(labels[places], list(forget)).sum())
    return PairPictures(pair[0], pair[1], shared, len(places), mine, images)


def _nearest(model: StoredBottleneck, pair: tuple[int, int], places: np.ndarray) -> np.ndarray:
    """(n,) of some training samples (their places in the split) those nearest to a pair's key, nearest first."""
    codebook = pair[0]
    queries = model.splits.features_of("train", places) @ model.projections(range(codebook, codebook + 1))[0]
    away = queries - arrays.read(model.codes_artifact, KEYS, pair)
    return np.asarray(places[np.argsort((away**2).sum(1), kind="stable")[:IMAGES]])
