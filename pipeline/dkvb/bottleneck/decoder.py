"""The trainable head: values looked up by cached codes, and a gradient that is never allocated (paper, section 4).

The gradients of a step are added into one buffer that lives as long as the decoder, by a kernel that reads ids as they
are, so that a step costs little more than Adam's pass over values, gradient and moments.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from scipy.sparse import _sparsetools
from torch.nn import functional

from dkvb.bottleneck.values import Pool
from dkvb.runtime.seeding import integer

CHUNK = 2**16
"""Selections that a second thread is worth."""


class ByRows(Protocol):
    """Takes gradients of the rows that a step selects, where it is not all values that a step changes."""

    def bring(self, ids: torch.Tensor) -> None:
        """Called before flat ids (B, C * k) are looked up for a step."""

    def accumulate(self, gradient: torch.Tensor) -> None:
        """Take the gradients (B, L) of their logits."""


class Decoder(torch.nn.Module):
    """Values (C * M, L), looked up by flat ids (B, C * k) and averaged; `sum` adds the k of a codebook instead.

    Args:
        values: (C * M, L) float32.
        available: (C,) keys allowed in each codebook, where some have fewer than k: a codebook averages the keys there
            are, and one without any casts no vote. Ids beyond them stand for nothing, whatever they are.
        folder: where the values lie, if not in memory.
    """

    def __init__(
        self,
        values: torch.Tensor,
        top_k: int,
        pool: Pool,
        available: np.ndarray | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__()
        self.values = torch.nn.Parameter(values)
        self.scale = float(top_k) if pool == "sum" else 1.0
        self.weights = None if available is None or (available >= top_k).all() else _weights(available, top_k, pool)
        self.gradient: torch.Tensor | None = None
        self.by_rows: ByRows | None = None
        self.folder = folder

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Flat ids (B, C * k) int32 -> logits (B, L)."""
        if self.by_rows is not None and torch.is_grad_enabled():
            self.by_rows.bring(ids)
        return _Vote.apply(self.values, ids, self)

    def vote(self, ids: torch.Tensor) -> torch.Tensor:
        if self.weights is None:
            return functional.embedding_bag(ids, self.values, mode="mean") * self.scale
        return functional.embedding_bag(
            ids, self.values, mode="sum", per_sample_weights=self.weights.expand(ids.shape).contiguous()
        )

    def accumulate(self, ids: torch.Tensor, gradient: torch.Tensor) -> None:
        """Add the gradients (B, L) of logits to those of the values that ids (B, C * k) selected."""
        if self.by_rows is not None:
            self.by_rows.accumulate(gradient)
            return
        if self.gradient is None:
            self.gradient = torch.empty_like(self.values)
        if self.values.grad is None:  # a new step
            self.values.grad = self.gradient.zero_()
        if self.weights is None:
            gradient = gradient * (self.scale / ids.shape[1])
        add_rows(
            self.gradient.numpy(),
            ids.numpy(),
            gradient.contiguous().numpy(),
            None if self.weights is None else self.weights.numpy(),
        )


class _Vote(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, ids: torch.Tensor, decoder: Decoder) -> torch.Tensor:
        ctx.ids, ctx.decoder = ids, decoder
        return decoder.vote(ids)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, None, None]:
        ctx.decoder.accumulate(ctx.ids, gradients[0])
        return None, None, None


def _weights(available: np.ndarray, top_k: int, pool: Pool) -> torch.Tensor:
    present = np.arange(top_k) < available[:, None]
    share = np.maximum(present.sum(1, keepdims=True), 1) if pool == "mean" else 1
    return torch.from_numpy((present / share / len(available)).astype(np.float32).ravel())


def add_rows(total: np.ndarray, rows: np.ndarray, added: np.ndarray, weights: np.ndarray | None = None) -> None:
    """total[rows[b, j]] += weights[j] * added[b] for every b and j, in that order, whatever the number of threads.

    Args:
        total: (R, L) float32, changed in place; rows: (B, J) int32, columns of its halves never sharing a row (codebook
            by codebook); added: (B, L) float32; weights: (J,) float32 or None for ones.
    """
    flat, vectors = total.reshape(-1), added.reshape(-1)

    def add(columns: slice) -> None:
        part = np.ascontiguousarray(rows[:, columns])
        data = np.ones(part.size, np.float32) if weights is None else np.tile(weights[columns], len(part))
        starts = np.arange(0, part.size + 1, part.shape[1], dtype=np.int32)
        # the product of a sparse matrix in columns, by SciPy's own kernel: its public form allocates a new result for
        # every call
        _sparsetools.csc_matvecs(len(total), len(part), total.shape[1], starts, part.reshape(-1), data, vectors, flat)

    half = rows.shape[1] // 2
    if rows.size < CHUNK or half == 0 or torch.get_num_threads() == 1:
        add(slice(None))
        return
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, (slice(0, half), slice(half, None))))


def start_values(
    kind: Literal["normal", "zeros", "uniform"],
    codebooks: int,
    pairs: int,
    classes: int,
    seed: int,
    into: torch.Tensor | None = None,
) -> torch.Tensor:
    """(C * M, L) float32: N(0, 1), zeros, or uniform in [0, 1) (Table 4).

    Args:
        into: zeros of that shape which are to hold them, if not new memory.
    """
    values = torch.zeros((codebooks * pairs, classes)) if into is None else into
    source = torch.Generator().manual_seed(integer(seed, "train", "values"))
    if kind == "zeros":
        return values
    return values.normal_(generator=source) if kind == "normal" else values.uniform_(generator=source)


def flat_ids(codes: np.ndarray, pairs: int) -> torch.Tensor:
    """Codes (C, N, k), none missing, as row numbers of the flat values: (N, C * k) int32."""
    codebooks, rows, top_k = codes.shape
    ids = np.empty((rows, codebooks, top_k), np.int32)
    for codebook in range(codebooks):
        np.add(codes[codebook], codebook * pairs, out=ids[:, codebook], dtype=np.int32)
    return torch.from_numpy(ids.reshape(rows, -1))
