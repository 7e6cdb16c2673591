"""How pairs vote: what makes a sample of a class come out as that class is not that it selects a pair, but that the
pair votes for it.

Our own ranking, not in the paper. With V (C, M, L) the values and n_l (C, M) how often class l selected each pair:

    v_l = max(0, V[:, :, l] - mean_j V[:, :, j])
    "value":   v_f                                the model alone: needs no data
    "counted": n_f v_f
    "share":   n_f v_f / (1 + sum_l n_l v_l)

Of several classes the scores add up. `own_votes` is another way to forget, which leaves most pairs unmasked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from dkvb.bottleneck.mask_order import NEVER
from dkvb.runtime.seeding import generator

Rank = Literal["value", "counted", "share"]

OWN = 0.9
"""Share of a pair's votes from which on it serves the forget classes alone."""


def vote_scores(
    values: np.ndarray, forget: Sequence[int], counts: np.ndarray | None = None, rank: Rank = "value"
) -> np.ndarray:
    """How much every pair votes for some classes: 0 where it does not, or where they never selected it.

    Args:
        values: (C, M, L) float32, memory-mapped where they are large: one codebook is read at a time.
        forget: F ids of classes.
        counts: (F, C, M), how often each of these classes selected each pair in training. By "value" they only leave
            out pairs that the class never selected: values that start at random are noise there. None: no pair is left
            out.
        rank: "value" or "counted"; for "share" see `vote_shares`.

    Returns:
        (C, M) float64, 0 or more.
    """
    scores = np.zeros(values.shape[:2])
    for codebook, votes in enumerate(values):
        ahead = _ahead(votes)[:, list(forget)]
        if counts is not None:
            selected = np.asarray(counts[:, codebook], np.float64).T  # (M, F)
            ahead *= selected if rank == "counted" else selected > 0
        scores[codebook] = ahead.sum(1)
    return scores


def vote_shares(values: np.ndarray, forget: Sequence[int], counts: np.ndarray) -> np.ndarray:
    """How much of all that a pair votes for goes to some classes, by the "share" ranking.

    Args:
        values: (C, M, L) float32.
        forget: ids of the classes.
        counts: (L, C, M), how often each class selected each pair in training.

    Returns:
        (C, M) float64, 0 or more.
    """
    scores = np.zeros(values.shape[:2])
    for codebook, votes in enumerate(values):
        weighted = weighted_votes(votes, counts[:, codebook])
        scores[codebook] = weighted[:, list(forget)].sum(1) / (1 + weighted.sum(1))
    return scores


def own_votes(values: np.ndarray, forget: Sequence[int], counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values that no longer vote for some classes, and the pairs that served these classes alone.

    With u_l = n_l v_l: a pair is theirs alone where sum_f u_f >= `OWN` * sum_l u_l and sum_f u_f > 0. In all pairs,
    V[:, :, f] becomes min_j V[:, :, j]: whatever a sample selects, no other class then has a smaller logit, so that the
    class is the answer to nothing.

    Args:
        values: (C, M, L) float32.
        forget: ids of the classes.
        counts: (L, C, M), how often each class selected each pair in training.

    Returns:
        (C, M, L) float32, and (C, M) bool: the pairs to mask.
    """
    lowered, own = np.array(values, np.float32), np.zeros(values.shape[:2], bool)
    classes = list(forget)
    for codebook, votes in enumerate(values):
        used = weighted_votes(votes, counts[:, codebook])
        theirs = used[:, classes].sum(1)
        own[codebook] = (theirs > 0) & (theirs >= OWN * used.sum(1))
        lowered[codebook][:, classes] = np.asarray(votes).min(1, keepdims=True)
    return lowered, own


def weighted_votes(votes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(M, L) float64: u_l = n_l v_l of one codebook's values (M, L) and counts (L, M), what every class has in each
    pair."""
    return _ahead(votes) * np.asarray(counts, np.float64).T


def _ahead(votes: np.ndarray) -> np.ndarray:
    """(M, L) float64: by how much each vote is above the pair's mean, 0 where it is below."""
    exact = np.asarray(votes, np.float64)
    return np.maximum(exact - exact.mean(1, keepdims=True), 0)


def rank_by_score(scores: np.ndarray, seed: int, forget: Sequence[int]) -> np.ndarray:
    """Mask order: pairs ranked by score over all codebooks together, the highest first; a score of 0 is never masked.

    Args:
        scores: (C, M), 0 or more.
        seed, forget: what ties fall by (ids, sorted).

    Returns:
        (C, M) int32, see `dkvb.bottleneck.mask_order`.
    """
    flat = scores.ravel()
    scored = np.flatnonzero(flat > 0)
    shuffled = generator(seed, "unlearn", "ties", *forget).permutation(scored)
    ranked = shuffled[np.argsort(-flat[shuffled], kind="stable")]
    order = np.full(flat.shape, NEVER, np.int32)
    order[ranked] = np.arange(len(ranked), dtype=np.int32)
    return order.reshape(scores.shape)
