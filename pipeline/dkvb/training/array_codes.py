"""Keys fitted and every sample coded in memory: what `dkvb.training.codes` does of stored features, to the same
bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dkvb.bottleneck.lookup import make_lookup
from dkvb.bottleneck.projection import draw_projections, groups
from dkvb.evaluation.queries import projected
from dkvb.runtime import progress
from dkvb.runtime.parallel import one_thread_per_worker
from dkvb.training.codebooks import Fit
from dkvb.workspace.arrays import SHARD


@dataclass(frozen=True)
class Coded:
    """Projections, keys and codes of one seed."""

    projection: np.ndarray
    """(C, D, d) float32."""
    keys: np.ndarray
    """(C, M, d) float32."""
    codes: list[np.ndarray]
    """(C, n, k) uint16 of each set of rows that was to be coded."""


def quantize(features: np.ndarray, fit: Fit, coded: list[np.ndarray]) -> Coded:
    """Fit keys to some rows of features (N, D) float32 and code sets of rows, (n,) each."""
    settings = fit.keys
    projection = draw_projections(fit.seed, settings.codebooks, features.shape[1], settings.dim)
    keys = np.empty((settings.codebooks, settings.pairs, settings.dim), np.float32)
    codes = [np.empty((settings.codebooks, len(rows), settings.top_k), np.uint16) for rows in coded]

    def work(codebook: int, queries: np.ndarray, fitted: np.ndarray | None) -> None:
        keys[codebook] = fit.one(codebook, queries) if fitted is None else fitted
        selected = make_lookup(keys[codebook], fit.device).search(queries, settings.top_k)
        for own, rows in zip(codes, coded, strict=True):
            own[codebook] = selected[rows]

    with (
        progress.task(f"fit seed {fit.seed}: keys and codes", settings.codebooks, "codebooks") as task,
        # one thread on a GPU: a set of FAISS GPU resources serves one at a time
        one_thread_per_worker(1 if fit.on_gpu else None) as pool,
    ):
        for group in groups(settings.codebooks):
            of_group = projection[group.start : group.stop]
            queries = projected(lambda start: features[start : start + SHARD], len(features), of_group, pool)
            fitted = fit.together(group, queries) if fit.on_gpu else [None] * len(group)
            for _ in pool.map(work, group, queries, fitted):
                task.advance()
    return Coded(projection, keys, codes)


def code(features: np.ndarray, projection: np.ndarray, keys: np.ndarray, top_k: int) -> np.ndarray:
    """Codes (C, N, k) uint16 of new features (N, D) float32 by keys (C, M, d), searched on the CPU. `projection`: (C,
    D, d)."""
    codes = np.empty((len(keys), len(features), top_k), np.uint16)

    def work(codebook: int, queries: np.ndarray) -> None:
        codes[codebook] = make_lookup(keys[codebook]).search(queries, top_k)

    with one_thread_per_worker() as pool:
        for group in groups(len(keys)):
            of_group = projection[group.start : group.stop]
            queries = projected(lambda start: features[start : start + SHARD], len(features), of_group, pool)
            list(pool.map(work, group, queries))
    return codes
