"""What every sample of a split selects under a mask, as the rows of values that training reads."""

from __future__ import annotations

import numpy as np
import torch

from dkvb.bottleneck.decoder import Decoder, flat_ids
from dkvb.bottleneck.lookup import NONE, CpuLookup, first_allowed
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
    ids = np.empty((rows, codebooks, top_k), np.int32)

    def from_lists(codebook: int) -> np.ndarray:
        """Fill in a codebook, as far as stored codes and neighbour lists go; the rows that have to be searched."""
        selected = codes[codebook].astype(np.int32)
        fallen = np.flatnonzero(masked[codebook][codes[codebook]].any(1))
        near = bottleneck.neighbours(split, codebook) if len(fallen) else None
        if near is not None:
            lists = near[fallen] if only is None else near[only[fallen]]
            selected[fallen], short = first_allowed(lists, ~masked[codebook], top_k)
            fallen = fallen[short]
        ids[:, codebook] = selected + codebook * bottleneck.pairs
        return fallen

    def search(codebook: int, again: np.ndarray, queries: np.ndarray) -> None:
        selected = CpuLookup(bottleneck.keys[codebook]).search(queries, top_k, ~masked[codebook])
        selected[selected == NONE] = 0
        ids[again, codebook] = selected + codebook * bottleneck.pairs

    with one_thread_per_worker() as pool:
        for group in groups(codebooks):
            again = list(pool.map(from_lists, group))
            wanted = np.unique(np.concatenate(again))
            if not len(wanted):
                continue
            if only is None and len(wanted) > rows // 4:
                queries = bottleneck.queries(split, group, pool)[:, wanted]
            else:
                queries = bottleneck.project(
                    bottleneck.features(split, wanted if only is None else only[wanted]), group
                )
            mine = (of_all[np.searchsorted(wanted, places)] for of_all, places in zip(queries, again, strict=True))
            list(pool.map(search, group, again, mine))
    return torch.from_numpy(ids.reshape(rows, -1))
