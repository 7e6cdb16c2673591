"""Own votes taken back: no pair votes for the forget classes any more, and pairs that serve them alone are masked.

Ours; not in the paper. Masking every pair that votes for a class takes votes from its neighbours with it. This leaves
shared pairs where they are and takes from them what they say for the class: `dkvb.bottleneck.votes.own_votes`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from dkvb.bottleneck.mask_order import pack
from dkvb.bottleneck.votes import OWN, own_votes
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.methods.base import Control, Outcome


class OwnVotes(Control):
    """Needs the trained model alone: its values, and the counts of training's last epoch that lie with it."""

    name = "own-votes"

    def __init__(self, trained: TrainedSeed, forget: Sequence[int]) -> None:
        super().__init__(trained, forget)
        self.settings: dict[str, Any] = {"own": OWN}
        self.not_in_paper = ["the method itself"]

    @cached_property
    def _altered(self) -> tuple[StoredBottleneck, np.ndarray, float]:
        """The model without these votes, the pairs (C, M) bool that are masked, and the seconds it took."""
        model, counts = self.trained.bottleneck, self.trained.counts()
        started = time.perf_counter()
        values, own = own_votes(model.values, self.forgotten, counts)
        own &= self.trained.no_mask >= 0
        seconds = time.perf_counter() - started
        return model.with_values(values), own, seconds

    def predictions(self, split: str, n: int) -> np.ndarray:
        if n == 0:
            return masked_predictions(self.trained.bottleneck, self.trained.no_mask, [0], split)[0]
        altered, own, _ = self._altered
        return masked_predictions(altered, np.where(own, -1, self.trained.no_mask), [0], split)[0]

    def forget(self, n: int) -> Outcome:
        altered, own, seconds = self._altered
        before, after = self.both()
        arrays = {"values": altered.values, "mask": pack(own), "shape": np.array(own.shape)}
        return Outcome(before, after, seconds, masked=int(own.sum()), keeps="weights", arrays=arrays, flops=0)
