#!/usr/bin/env python3
"""What a search for the nearest keys costs by d, k and M, and how near it comes to the processor's multiply-adds.

    python benchmarks/lookups.py [--rounds 5] [--queries 8192]

One thread, normal queries and keys. Peers take turns in one run: FAISS with the settings dkvb gives it, FAISS's
reservoir in place of its heap, and, at k 1, one product of all distances with a search for the least. Rates are
10^9 distances in a second of the processor; "of peak" is the share of the rate of a large product's multiply-adds that
a search's d a distance come to. `FAISS_OPT_LEVEL=generic|avx2|avx512` has FAISS use another of its builds, where the
processor can.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import faiss
import numpy as np
from quantize import faiss_settings
from threadpoolctl import threadpool_limits
from turns import Side, machine, ratio, take_turns

from dkvb.bottleneck.lookup import nearest

SHAPES = [
    *((dim, 1, 4096) for dim in (8, 12, 14, 16)),
    (14, 1, 512),
    (8, 10, 4096),
    (14, 10, 4096),
    *((14, k, 512) for k in (2, 10, 40)),
    (8, 3, 128),
]
"""d, k and M: the paper's (8; 1, 10; 4096), those for own data (14, 10, 512) with the longer searches of a sweep, and
those of digits (8, 3, 128)."""

SQUARE = 1024


def on_processor(work: Callable[[], object]) -> Side:
    """Seconds of the processor that some work takes."""

    def run() -> float:
        started = time.process_time()
        work()
        return time.process_time() - started

    return run


def by_product(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The nearest key of each query (N, d), by a product of 64 queries with all keys and a search for the least."""
    norms, turned = (keys**2).sum(1), np.ascontiguousarray(-2 * keys.T)
    return np.concatenate(
        [(queries[start : start + 64] @ turned + norms).argmin(1) for start in range(0, len(queries), 64)]
    )


def sides(queries: np.ndarray, keys: np.ndarray, k: int) -> dict[str, Side]:
    """dkvb first, then its peers."""
    search = partial(faiss.knn, queries, keys, k)

    def reservoir() -> None:
        with faiss_settings({"min_k_reservoir": 1}):
            search()

    found = {"dkvb": on_processor(partial(nearest, queries, keys, k)), "FAISS": on_processor(search)}
    if k == 1:
        return found | {"product and least": on_processor(partial(by_product, queries, keys))}
    return found | {"FAISS, reservoir": on_processor(reservoir)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--queries", type=int, default=8192)
    arguments = parser.parse_args()
    machine("faiss-gpu", "numpy")
    print(f"FAISS compiled with {faiss.get_compile_options()}")
    rng = np.random.default_rng(0)
    faiss.omp_set_num_threads(1)
    with threadpool_limits(1):
        square = rng.standard_normal((SQUARE, SQUARE), np.float32)
        taken = take_turns({"": on_processor(lambda: square @ square)}, arguments.rounds + 2)[""]
        peak = SQUARE**3 / min(taken) / 1e9
        print(f"a large product: {peak:.1f} G multiply-adds/s\n")
        print("| d | k | M | dkvb, G/s | of peak | peers: G/s, and how many times as long |\n|---|---|---|---|---|---|")
        for dim, k, pairs in SHAPES:
            queries = rng.standard_normal((arguments.queries, dim), np.float32)
            keys = rng.standard_normal((pairs, dim), np.float32)
            seconds = take_turns(sides(queries, keys, k), arguments.rounds)
            rate = {name: len(queries) * pairs / statistics.median(each) / 1e9 for name, each in seconds.items()}
            others = "; ".join(
                f"{name} {rate[name]:.2f}, {ratio(seconds[name], seconds['dkvb']):.2f}" for name in list(seconds)[1:]
            )
            ours = f"{rate['dkvb']:.2f} | {rate['dkvb'] * dim / peak:.2f}"
            print(f"| {dim} | {k} | {pairs} | {ours} | {others} |", flush=True)


if __name__ == "__main__":
    main()
