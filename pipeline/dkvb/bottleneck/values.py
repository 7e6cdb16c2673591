"""Values, and what the values of selected keys vote: logits are the mean over codebooks of their pooled values (paper,
section 4)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.sparse import _sparsetools

from dkvb.bottleneck.lookup import NONE

Pool = Literal["mean", "sum"]


def codebook_logits(codes: np.ndarray, values: np.ndarray, pool: Pool) -> np.ndarray:
    """One codebook's vote, before the mean over codebooks.

    Args:
        codes: (N, k) ids; `NONE` where fewer than k keys are allowed.
        values: (M, L) float32.

    Returns:
        (N, L): values pooled over the keys there are; zeros, no vote, where there is none.
    """
    if not (codes == NONE).any():
        votes = _summed(codes, values)
        return votes / np.float32(codes.shape[1]) if pool == "mean" and codes.shape[1] > 1 else votes
    present = codes != NONE
    votes = np.where(present[:, :, None], values[np.where(present, codes, 0)], 0).sum(1)
    return votes / np.maximum(present.sum(1), 1)[:, None].astype(np.float32) if pool == "mean" else votes


def _summed(codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(N, L): values (M, L) of the keys that codes (N, k) name, added up from the first to the last, as a loop over the
    k would; a third of its time, since no sum on the way is written to memory."""
    rows, top_k = codes.shape
    votes = np.zeros((rows, values.shape[1]), values.dtype)
    starts, ones = np.arange(0, rows * top_k + 1, top_k, dtype=np.int32), np.ones(rows * top_k, values.dtype)
    ids, flat = np.ascontiguousarray(codes, np.int32).reshape(-1), np.ascontiguousarray(values).reshape(-1)
    # SciPy's own kernel of a sparse matrix in rows times a matrix: its public form adds a copy and a check of all ids
    _sparsetools.csr_matvecs(rows, *values.shape, starts, ids, ones, flat, votes.reshape(-1))
    return votes
