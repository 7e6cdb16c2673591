"""Keys of many codebooks fitted together on a GPU: the procedure of `dkvb.bottleneck.keys`, a torch operation for all
of them at a time.

One codebook's step is far too small for a GPU, and a FAISS index would have to be filled anew at each of them. Every
operation here is deterministic: sums are matrix products with a one-hot matrix, where `index_add_` on a GPU adds in any
order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch

from dkvb.bottleneck.keys import EPSILON, PERIOD, REPLACE_BELOW, replacement_rows, start_keys
from dkvb.bottleneck.projection import UNIT

SHARE = 0.5
"""Share of a card's free memory that fitting may take; the rest is for what libraries keep to themselves."""

SEARCHES = 3 * 2**29
"""Bytes that FAISS reserves on a card for its searches."""


def bytes_held(group: int, rows: int, pairs: int, dim: int, batch_size: int) -> int:
    """Bytes of GPU memory that `fit_keys_batched` holds for a group of codebooks at the most.

    For each codebook these are the queries (N, d) float32; of a batch the distances (B, M) float32 or, after them, who
    is assigned to whom, as bool and as float32, which is 5 bytes for each of B M; queries and centred queries of the
    batch; and a dozen arrays of the keys' size (M, d). All share two orders of the rows, this epoch's and the last's.
    """
    batch = min(batch_size, rows)
    keys = 12 * 4 * pairs * dim + 8 * (2 * pairs + PERIOD)
    return group * (4 * rows * dim + 5 * batch * pairs + 12 * batch * dim + keys) + 16 * rows


def codebooks_at_once(free: int, codebooks: int, rows: int, pairs: int, dim: int, batch_size: int) -> int:
    """How many codebooks to fit together: `UNIT` doubled as often as the free memory of a card holds, and no more than
    there are.

    A step's products are so small that a card is busy only with many of them. Steps of two, since the size of a group
    may show in the last bits: another program's few megabytes shall not.

    Args:
        free: bytes.
    """
    spare = SHARE * free - SEARCHES
    at_once = UNIT
    while at_once < codebooks and bytes_held(2 * at_once, rows, pairs, dim, batch_size) <= spare:
        at_once *= 2
    return at_once


def fit_keys_batched(
    queries: np.ndarray,
    *,
    pairs: int,
    epochs: int,
    batch_size: int,
    decay: float,
    init: Literal["official", "sample"],
    order: Callable[[int], np.ndarray],
    rngs: Sequence[np.random.Generator],
    device: str,
) -> np.ndarray:
    """Fit the keys of G codebooks; for the formulas and the other arguments see `dkvb.bottleneck.keys.fit_keys`.

    Distances are rounded otherwise than by FAISS, so that keys agree with those of a CPU until the first near tie.
    Memory: `bytes_held`; it is the distances (G, B, M) of a batch that make the most of it.

    Args:
        queries: (G, N, d) float32 training queries.
        rngs: one generator a codebook.
        device: a torch device.

    Returns:
        (G, M, d) float32.
    """
    rows = queries.shape[1]
    keys = torch.from_numpy(
        np.stack([start_keys(q, pairs, init, rng) for q, rng in zip(queries, rngs, strict=True)])
    ).to(device)
    table = torch.from_numpy(np.stack([replacement_rows(rng, pairs, batch_size) for rng in rngs])).to(device)
    placed = torch.from_numpy(queries).to(device)
    centre = placed.mean(1, keepdim=True, dtype=torch.float64).float()
    sums, counts = keys.clone(), keys.new_full(keys.shape[:2], init == "sample")
    threshold = REPLACE_BELOW * batch_size / pairs if init == "official" else 0.0
    shifted, ids, step = keys - centre, torch.arange(pairs, device=device)[:, None], 0
    for epoch in range(epochs):
        shuffled = torch.from_numpy(order(epoch)).to(device)
        for start in range(0, rows, batch_size):
            batch = placed[:, shuffled[start : start + batch_size]]
            centred = batch - centre
            squares = shifted.square().sum(2)
            nearest = torch.baddbmm(squares[:, None], centred, shifted.transpose(1, 2), alpha=-2).argmin(2)
            assigned = (nearest[:, None] == ids).float()
            counts = decay * counts + (1 - decay) * assigned.sum(2)
            sums = decay * sums + (1 - decay) * torch.bmm(assigned, batch)
            del assigned  # the largest there is, and not to lie beside the next step's distances
            total = counts.sum(1, keepdim=True)
            smoothed = total * (counts + EPSILON) / (total + pairs * EPSILON)
            shifted = sums / smoothed[:, :, None] - centre
            if threshold:
                drawn = table[:, step % PERIOD : step % PERIOD + pairs] % batch.shape[1]
                spare = centred.gather(1, drawn[:, :, None].expand(-1, -1, centred.shape[2]))
                shifted = torch.where((counts < threshold)[:, :, None], spare, shifted)
            step += 1
    return np.asarray((shifted + centre).cpu())
