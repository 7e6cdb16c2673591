"""Unlearning via Votes: mask the N_v pairs that vote most for the forget classes. Ours; not in the paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dkvb.bottleneck.votes import rank_by_score, vote_scores, vote_shares
from dkvb.evaluation.seed import TrainedSeed
from dkvb.methods.pair_masking import PairRanking


class Votes(PairRanking):
    """n is N_v. Needs the trained model alone: its values, and the counts of training's last epoch that lie with it."""

    name = "votes"
    dial = "N_v"

    def __init__(self, trained: TrainedSeed, forget: Sequence[int]) -> None:
        super().__init__(trained, forget)
        self.settings = {"counts": "last-epoch", "rank": self.recipe.rank}
        self.not_in_paper = ["the method itself"]

    @property
    def given(self) -> int | str:
        return self.recipe.nv

    def gather(self) -> np.ndarray:
        """Scores (C, M)."""
        values = self.trained.bottleneck.values
        if self.recipe.rank == "share":
            return vote_shares(values, self.forgotten, self.trained.counts())
        return vote_scores(values, self.forgotten, self.trained.counts(self.forgotten), self.recipe.rank)

    def rank(self, gathered: np.ndarray) -> np.ndarray:
        return rank_by_score(gathered, self.trained.seed, self.forgotten)

    def remark(self, n: int, activated: int) -> str | None:
        if n <= activated:
            return None
        return (
            f"N_v = {n:,} is more than the {activated:,} pairs that vote for the forget set; those {activated:,} are"
            " masked"
        )
