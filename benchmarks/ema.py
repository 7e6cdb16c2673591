"""A step of the EMA fit of all codebooks, and its peers: the part `ema` of benchmarks/quantize.py, which runs it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import faiss
import numpy as np
import torch
from torch.nn import functional
from turns import Side, show, take_turns, timed

from dkvb.bottleneck.keys import EPSILON, REPLACE_BELOW, fit_keys
from dkvb.bottleneck.lookup import nearest

PAIRS, DIM, BATCH, DECAY = 4096, 8, 256, 0.95
THRESHOLD = REPLACE_BELOW * BATCH / PAIRS
Init = Literal["official", "sample"]


def data(kind: str, rows: int, seed: int = 0) -> np.ndarray:
    """Queries (rows, d): normal, or fifty normal clusters."""
    rng = np.random.default_rng(seed)
    queries = rng.standard_normal((rows, DIM), np.float32)
    return (
        queries
        if kind == "normal"
        else 3 * rng.standard_normal((50, DIM), np.float32)[rng.integers(50, size=rows)] + queries
    )


def permutation(epoch: int, rows: int) -> np.ndarray:
    return np.random.default_rng(epoch).permutation(rows)


def fit(queries: np.ndarray, init: Init, epochs: int, seed: int = 0) -> np.ndarray:
    order, rng = partial(permutation, rows=len(queries)), np.random.default_rng(seed)
    return fit_keys(queries, pairs=PAIRS, epochs=epochs, batch_size=BATCH, decay=DECAY, init=init, order=order, rng=rng)


def last_epoch(
    fitting: Callable[[Callable[[int], np.ndarray]], object], rows: int, wait: Callable[[], None] = lambda: None
) -> float:
    """Seconds of the last epoch of a fit, which starts where the fit asks for its order."""
    stamps = []

    def order(epoch: int) -> np.ndarray:
        drawn = permutation(epoch, rows)
        wait()
        stamps.append(time.perf_counter())
        return drawn

    fitting(order)
    wait()
    return time.perf_counter() - stamps[-1]


def dense_step(queries: torch.Tensor, keys: torch.Tensor, sums: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """The official procedure in its own formulation, queries (G, B, d); updates sums and counts, returns the keys."""
    distances = (
        queries.square().sum(2)[:, :, None]
        - 2 * torch.einsum("gbd,gmd->gbm", queries, keys)
        + keys.square().sum(2)[:, None]
    )
    assigned = functional.one_hot(distances.argmin(2), PAIRS).float()
    counts.mul_(DECAY).add_(assigned.sum(1), alpha=1 - DECAY)
    sums.mul_(DECAY).add_(torch.einsum("gbd,gbm->gmd", queries, assigned), alpha=1 - DECAY)
    total = counts.sum(1, keepdim=True)
    smoothed = total * (counts + EPSILON) / (total + PAIRS * EPSILON)
    rows = torch.randint(queries.shape[1], counts.shape, device=queries.device)
    spare = queries.gather(1, rows[:, :, None].expand(-1, -1, DIM))
    return torch.where((counts < THRESHOLD)[:, :, None], spare, sums / smoothed[:, :, None])


def dense_side(codebooks: int, at_once: int, timed_codebooks: int) -> Side:
    """Seconds of a step of all codebooks, `at_once` to an operation, scaled up from as many of them as are timed."""
    keys = torch.randn(at_once, PAIRS, DIM)
    state = [keys, keys.clone(), torch.ones(at_once, PAIRS)]
    queries, calls = torch.randn(at_once, BATCH, DIM), timed_codebooks // at_once

    def steps() -> None:
        for _ in range(calls):
            state[0] = dense_step(queries, *state)

    return lambda: timed(steps)() * codebooks / timed_codebooks


def library_side(codebooks: int, heads: int, timed_codebooks: int) -> Side | None:
    """The same with vector-quantize-pytorch, without its projections and losses; None where it is not installed."""
    try:
        from vector_quantize_pytorch import VectorQuantize
    except ImportError:
        return None
    shape: dict[str, Any] = {"dim": heads * DIM, "codebook_dim": DIM, "codebook_size": PAIRS, "heads": heads}
    ema = {
        "separate_codebook_per_head": heads > 1,
        "ema_update": True,
        "decay": DECAY,
        "threshold_ema_dead_code": THRESHOLD,
    }
    model = VectorQuantize(**shape, **ema, commitment_weight=0.0, rotation_trick=False).train()
    queries, calls = torch.randn(1, BATCH, heads * DIM), timed_codebooks // heads

    @torch.no_grad()
    def steps() -> None:
        for _ in range(calls):
            model(queries)

    return lambda: timed(steps)() * codebooks / timed_codebooks


def ema(rounds: int, codebooks: int) -> None:
    steps, few = 100, min(16, codebooks)
    inits: tuple[Init, ...] = ("official", "sample")
    sides: dict[str, Side] = {}
    for kind in ("normal", "clustered"):
        for init in inits:
            own: dict[str, Any] = {"pairs": PAIRS, "epochs": 2, "batch_size": BATCH, "decay": DECAY, "init": init}

            queries = data(kind, steps * BATCH)

            def own_side(queries: np.ndarray = queries, own: dict[str, Any] = own) -> float:
                fitting = lambda order: fit_keys(queries, order=order, rng=np.random.default_rng(0), **own)  # noqa: E731
                return last_epoch(fitting, len(queries)) / steps * codebooks

            sides[f"dkvb, {init} start, {kind} data"] = own_side
    queries, keys = data("normal", steps * BATCH), fit(data("normal", steps * BATCH), "official", 1)
    batches = np.split(queries, steps)
    searches = timed(lambda: [faiss.knn(batch, keys, 1) for batch in batches])
    sides["FAISS's searches alone"] = lambda: searches() / steps * codebooks
    matrix = torch.randn(1536, 1536)
    product = timed(lambda: matrix @ matrix)
    sides["floor: multiply-adds of the distances"] = lambda: product() / 1536**3 * codebooks * BATCH * PAIRS * DIM
    sides["official formulation, at once"] = dense_side(codebooks, codebooks, codebooks)
    sides["official formulation, one by one"] = dense_side(codebooks, 1, few)
    for label, heads, count in (("at once", codebooks, codebooks), ("one by one", 1, few)):
        library = library_side(codebooks, heads, count)
        if library is None:
            print("vector-quantize-pytorch is not installed: skipped")
            break
        sides[f"vector-quantize-pytorch, {label}"] = library
    for name in list(sides)[
        :-4
    ]:  # once, so that nobody's first call is among the timed ones; a step of the last is too long for that
        sides[name]()
    seconds = take_turns(sides, rounds)
    title = f"EMA step of {codebooks} codebooks, M {PAIRS}, d {DIM}, batch {BATCH}, one thread"
    show(title, seconds, ["dkvb, official start, normal data", "floor: multiply-adds of the distances"])
    print(f"this machine's sgemm: {1536**3 / min(product() for _ in range(5)) / 1e9:.1f} G multiply-adds/s, one thread")
    step_parts(batches, keys, statistics.median(seconds["dkvb, official start, normal data"]) / codebooks)


def step_parts(batches: list[np.ndarray], keys: np.ndarray, whole: float) -> None:
    """Where a step's time goes: the array operations of `fit_keys`, on its shapes, with a clock between them."""
    names = ("search", "decay", "scatter", "K = S / n", "replacement")
    moments, smoothed, shift = np.stack([keys, np.ones_like(keys)]), np.empty_like(keys), np.zeros_like(keys)
    flat, axes = moments.reshape(-1), np.concatenate([np.arange(DIM), np.arange(DIM) + PAIRS * DIM])
    shifted, table = keys.copy(), np.random.default_rng(0).integers(BATCH, size=PAIRS)
    increments, spent = np.full(BATCH * 2 * DIM, 0.05, np.float32), []
    for batch in batches:
        stamps = [time.perf_counter()]
        found = nearest(batch, shifted, 1)
        stamps.append(time.perf_counter())
        moments *= np.float32(DECAY)
        stamps.append(time.perf_counter())
        np.add.at(flat, (found * DIM + axes).reshape(-1), increments)
        stamps.append(time.perf_counter())
        np.add(moments[1], np.float32(EPSILON), out=smoothed)
        np.divide(moments[0], smoothed, out=shifted)
        shifted *= np.float32(1.001)
        shifted -= shift
        stamps.append(time.perf_counter())
        expired = np.flatnonzero(moments[1][:, 0] < np.float32(THRESHOLD))
        shifted[expired] = batch[table[expired]]
        spent.append(np.diff([*stamps, time.perf_counter()]))
    parts = dict(zip(names, np.median(spent, 0), strict=True))
    parts["rest: batches, Python, what the clock misses"] = whole - sum(parts.values())
    print(f"\none codebook's step of {whole * 1e6:.0f} us, official start, normal data:")
    for name, taken in parts.items():
        print(f"  {name:46} {taken * 1e6:8.1f} us {taken / whole:6.1%}", flush=True)
