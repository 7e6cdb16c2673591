"""Unlearning via Activations: mask the N_a pairs that the forget set selects most often (paper, section 4)."""

from __future__ import annotations

import math

import numpy as np

from dkvb.bottleneck.mask_order import check_pairs, rank_by_count, selection_counts
from dkvb.methods.pair_masking import Masking

PAPER_SWEEPS = {"cifar10": (10_000, 20), "lacuna100": (10_000, 20), "cifar100": (5_000, 18)}
"""Data set -> step and number of steps of the sweep over N_a (Appendix C)."""


OWN_SWEEP = (0.01, 30)
"""Step, as a share of all pairs, and number of steps for any other data."""


class Activations(Masking):
    """n is N_a. The counts come from the forget training set, from training's last epoch (no data needed), or from a
    proxy set."""

    name = "activations"
    dial = "N_a"
    passed = 0

    @property
    def given(self) -> int | str:
        return self.recipe.na

    def grid(self) -> list[int]:
        pairs = math.prod(self.shape)
        share, steps = OWN_SWEEP
        step, steps = PAPER_SWEEPS.get(self.trained.recipe.data.source, (max(1, round(share * pairs)), steps))
        return [n for n in range(0, step * steps + 1, step) if n <= pairs]

    def check(self, n: int) -> None:
        check_pairs(n, math.prod(self.shape))

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
