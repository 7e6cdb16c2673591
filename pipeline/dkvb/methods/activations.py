"""Unlearning via Activations: mask the N_a pairs that the forget set selects most often (paper, section 4)."""

from __future__ import annotations

import numpy as np

from dkvb.bottleneck.mask_order import rank_by_count, selection_counts
from dkvb.methods.pair_masking import PairRanking


class Activations(PairRanking):
    """n is N_a. The counts come from the forget training set, from training's last epoch (no data needed), or from a
    proxy set."""

    name = "activations"
    dial = "N_a"
    passed = 0

    @property
    def given(self) -> int | str:
        return self.recipe.na

    def gather(self) -> np.ndarray:
        """Counts (C, M)."""
        if self.source == "last-epoch":
            return self.trained.class_counts(self.forgotten)
        codes = self.forget_codes()
        self.passed = codes.shape[1]
        return selection_counts(codes, self.trained.keys.pairs)

    def rank(self, gathered: np.ndarray) -> np.ndarray:
        return rank_by_count(gathered, self.trained.seed, self.forgotten)

    def samples_passed(self, n: int) -> int:
        return self.passed

    def remark(self, n: int, activated: int) -> str | None:
        if n <= activated:
            return None
        return (
            f"N_a = {n:,} is more than the {activated:,} pairs that the forget set ever selects; those {activated:,}"
            " are masked"
        )
