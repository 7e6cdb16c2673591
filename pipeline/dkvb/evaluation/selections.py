"""What every sample of a split selects under a mask, as the rows of values that training reads."""

from __future__ import annotations

import numpy as np
import torch

from dkvb.bottleneck.decoder import Decoder, flat_ids
from dkvb.bottleneck.lookup import NONE, CpuLookup, reselect
from dkvb.bottleneck.projection import groups
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.runtime.parallel import one_thread_per_worker


class Rows(torch.nn.Module):
    """A decoder that takes row numbers (B,), so that the ids of a part of a split are no second copy."""

    def __init__(self, decoder: Decoder, ids: torch.Tensor) -> None:
        super().__init__()
        self.decoder, self.ids = decoder, ids

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.ids[rows])  # type: ignore[no-any-return]


def masked_ids(
    bottleneck: StoredBottleneck, split: str, masked: np.ndarray, only: np.ndarray | None = None
) -> torch.Tensor:
    """What rows of a split select under a mask, exactly, as row numbers of the flat values.

    Args:
        masked: (C, M) bool.
        only: the rows (n,) that are wanted; None takes all N.

    Returns:
        (n, C * k) int32, nearest first; where a codebook has fewer than k allowed keys, its last places hold an id that
        `Decoder(available=…)` passes over.
    """
    codes = bottleneck.codes(split) if only is None else bottleneck.codes(split)[:, only]
    if not masked.any():
        return flat_ids(codes, bottleneck.pairs)
    codebooks, rows, top_k = codes.shape
    features = None if only is None else bottleneck.features(split, only)
    ids = np.empty((rows, codebooks, top_k), np.int32)
    with one_thread_per_worker() as pool:
        for group in groups(codebooks):
            fallen = [np.flatnonzero(masked[c][codes[c]].any(1)) for c in group]
            queries = None
            if any(map(len, fallen)):
                queries = (
                    bottleneck.queries(split, group, pool) if features is None else bottleneck.project(features, group)
                )

            def fill(
                place: int,
                group: range = group,
                fallen: list[np.ndarray] = fallen,
                queries: np.ndarray | None = queries,
            ) -> None:
                codebook, again = group[place], fallen[place]
                selected = codes[codebook].astype(np.int32)
                if queries is not None and len(again):
                    lookup = CpuLookup(bottleneck.keys[codebook])
                    selected[again] = reselect(again, top_k, ~masked[codebook], lookup, queries[place], None)
                    selected[selected == NONE] = 0
                ids[:, codebook] = selected + codebook * bottleneck.pairs

            list(pool.map(fill, range(len(group))))
    return torch.from_numpy(ids.reshape(rows, -1))
