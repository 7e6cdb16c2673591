"""N on evidence: the smallest N at which the forget set's own rows, of training and of validation data, are no longer
recognised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkvb.bottleneck.mask_order import NEVER
from dkvb.evaluation.chosen_rows import ChosenRows
from dkvb.evaluation.least_n import PRECISION, least_n

HARDEST, OTHERS = 256, 128
"""Rows that a search looks at, where there are more: those most surely recognised, and others at random places. What it
finds is checked on all rows; rows that contradict it join."""


CHECKS = 6
"""Checks on all rows at most."""


@dataclass(frozen=True)
class ChosenN:
    """N, and what it rests on."""

    n: int
    judged_on: list[str]
    """Splits whose rows of the forget set were looked at; none where there are no such rows."""
    evaluations: int
    """Masks under which rows were looked at."""
    note: str | None = None
    """What a user should know about it."""


class Evidence:
    """The rows of some classes that tell whether they are still recognised.

    Args:
        rows: all there are.
        masked: (C, M) bool, what is masked whatever N.
        target: accuracy in [0, 1] that no class may exceed on any split.
    """

    def __init__(self, rows: ChosenRows, classes: Sequence[int], masked: np.ndarray, target: float) -> None:
        self.rows, self.classes, self.masked, self.target = rows, list(classes), masked, target
        self.names = [rows.model.splits.classes[c] for c in classes]
        self.judged_on = list(dict.fromkeys(rows.splits.tolist()))
        self.evaluations = 0
        self._at_hand: tuple[np.ndarray, ChosenRows] | None = None

    def recognised(self, masked: np.ndarray, rows: ChosenRows | None = None) -> np.ndarray:
        """(n,) bool: which rows are recognised under a mask (C, M)."""
        self.evaluations += 1
        return (rows or self.rows).recognised(masked)

    def shares(self, recognised: np.ndarray, rows: ChosenRows | None = None) -> dict[int, dict[str, float]]:
        """Class -> split -> the share of its rows that are recognised; without splits on which it has no rows."""
        rows = rows or self.rows
        shares: dict[int, dict[str, float]] = {c: {} for c in self.classes}
        for c, of_class in shares.items():
            for split in self.judged_on:
                mine = (rows.labels == c) & (rows.splits == split)
                if mine.any():
                    of_class[split] = float(recognised[mine].mean())
        return shares

    def worst(self, recognised: np.ndarray, rows: ChosenRows | None = None) -> float:
        """The highest accuracy of a class on a split."""
        by_class = self.shares(recognised, rows).values()
        return max((share for of_class in by_class for share in of_class.values()), default=0.0)

    def reached(self, masked: np.ndarray) -> bool:
        """Whether all rows together are at the target under a mask."""
        return self.worst(self.recognised(masked)) <= self.target

    def choose(self, order: np.ndarray, most: int) -> ChosenN:
        """The smallest N, to 1 %, that brings the classes to the target.

        Args:
            order: (C, M) mask order, see `dkvb.bottleneck.mask_order`.
            most: the largest N there is.
        """
        if not len(self.rows):
            return self._chosen(
                most, f"no row of {', '.join(self.names)} is at hand to look at: all that can be is masked"
            )
        nothing = self.masked | (order < 0)
        sample = self._sample()
        # a sample that is recognised needs no look at all rows; one that is not proves nothing
        hopeless = self.target == 0 and self.recognised(nothing, self.rows.take(sample)).any()
        if not hopeless and self.reached(nothing):
            return self._chosen(0, self._not_recognised())
        above, first = 0, None
        for _ in range(CHECKS):
            n = self._search(order, most, sample, above, first)
            if n is None:
                break
            recognised = self.recognised(nothing | (order < n))
            if self.worst(recognised) <= self.target:
                return self._chosen(n, None)
            sample = np.union1d(sample, np.flatnonzero(recognised))
            above, first = n, n + max(1, round(2 * PRECISION * n))
        return self._failed(nothing | (order < NEVER), most)

    def _search(self, order: np.ndarray, most: int, sample: np.ndarray, above: int, first: int | None) -> int | None:
        rows, nothing = self._listed(sample), self.masked | (order < 0)

        def reaches(n: int) -> bool:
            return self.worst(self.recognised(nothing | (order < n), rows), rows) <= self.target

        return least_n(reaches, most, above, first)

    def _listed(self, sample: np.ndarray) -> ChosenRows:
        """Rows of a sample with their lists; a sample that has grown keeps those it had."""
        if self._at_hand is None:
            self._at_hand = sample, self.rows.take(sample).listed()
        else:
            known, rows = self._at_hand
            if len(more := np.setdiff1d(sample, known)):
                self._at_hand = np.concatenate([known, more]), rows.joined(self.rows.take(more).listed())
        return self._at_hand[1]

    def _sample(self) -> np.ndarray:
        """Numbers of the rows that a search looks at: the hardest, by the model as it was trained, and every
        so-many-th of all. All of them where a share of them may be recognised."""
        places = np.arange(len(self.rows))
        if self.target > 0 or len(places) <= HARDEST + OTHERS:
            return places
        logits = self.rows.logits_as_trained()
        own = logits[places, self.rows.labels]
        logits[places, self.rows.labels] = -np.inf
        hardest = np.argsort(logits.max(1) - own, kind="stable")[:HARDEST]
        return np.union1d(hardest, np.linspace(0, len(places) - 1, OTHERS, dtype=np.int64))

    def _failed(self, masked: np.ndarray, most: int) -> ChosenN:
        left = self.worst(self.recognised(masked))
        if left <= self.target:
            return self._chosen(most, "only masking every pair that the ranking holds brings it to the target")
        return self._chosen(most, f"even with every such pair masked, {left:.1%} of a class's rows are recognised")

    def _not_recognised(self) -> str:
        where = " and ".join(self.judged_on)
        many = "none of its" if self.target == 0 else f"no more than {self.target:.1%} of its"
        return f"{', '.join(self.names)} is not recognised to begin with ({many} {where} rows): nothing to mask"

    def _chosen(self, n: int, note: str | None) -> ChosenN:
        return ChosenN(n, self.judged_on, self.evaluations, note)
