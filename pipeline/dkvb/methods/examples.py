"""Unlearning via Examples: mask every pair that the first N_e examples of the forget set select (paper, section 4)."""

from __future__ import annotations

import numpy as np

from dkvb.bottleneck.mask_order import order_by_first_example
from dkvb.errors import UsageError
from dkvb.methods.pair_masking import Masking
from dkvb.runtime.seeding import generator

PAPER_SWEEPS = {"cifar10": (200, 20), "cifar100": (10, 15), "lacuna100": (20, 15)}
"""Data set -> step and number of steps of the sweep over N_e (Appendix C)."""


class Examples(Masking):
    """n is N_e, examples of one seeded permutation of the forget set, or of a proxy set; so curves are nested."""

    name = "examples"
    dial = "N_e"

    @property
    def given(self) -> int | str:
        return self.recipe.ne

    @property
    def retrain_lr(self) -> float:
        return self.recipe.retrain_lr_examples

    @property
    def source(self) -> str:
        # counts of the last epoch don't tell examples apart
        return "proxy" if self.recipe.counts == "proxy" else "forget-set"

    @property
    def available(self) -> int:
        """Examples there are."""
        return len(self.proxy) if self.source == "proxy" else len(self.forget_rows())

    @property
    def most(self) -> int:
        return self.available

    @property
    def paper_sweep(self) -> tuple[int, int] | None:
        return PAPER_SWEEPS.get(self.trained.recipe.data.source)

    def check(self, n: int) -> None:
        if not 0 <= n <= self.available:
            raise UsageError(
                f"N_e = {n:,} is not between 0 and the {self.available:,} examples of the forget set: give a smaller"
                " --ne, or --ne auto."
            )

    def gather(self) -> np.ndarray:
        """Codes (C, N, k) in the order in which examples are unlearned."""
        codes = self.forget_codes()
        order = generator(self.trained.seed, "unlearn", "examples", *self.forgotten).permutation(codes.shape[1])
        return codes[:, order]

    def rank(self, gathered: np.ndarray) -> np.ndarray:
        return order_by_first_example(gathered, self.trained.keys.pairs)

    def samples_passed(self, n: int) -> int:
        return n
