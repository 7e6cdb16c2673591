#!/usr/bin/env python3
"""Keys, codes and sweeps against their peers and their floors: same run, same data, same threads, taking turns.

    python benchmarks/quantize.py [--only ema coding threads sweep gpu] [--rounds 3] [--codebooks 256]

On made-up queries of CIFAR-10's shape: C 256, M 4096, d 8.

ema      A step of the EMA fit of all codebooks, batch 256, one thread. Peers: the official formulation (all distances,
         one-hot matrices) and vector-quantize-pytorch, each for all codebooks at once and one by one; FAISS's searches
         alone. Floor: the multiply-adds of the distances at this machine's sgemm rate. Then where a step's time goes.
coding   50,000 queries x 4096 keys, k 1, 10 and 64, one and two threads: dkvb against FAISS's best over its settings,
         in 10^9 distances a second; masked against unmasked, and FAISS's own IDSelector.
threads  Whole codebooks (ten epochs on 45,000 rows, codes, neighbour lists of 10,000 rows), and coding alone, on one
         and on two threads.
sweep    21 values of N_a on 10,000 test rows (L 10; the real stages on made-up features) against one evaluation.
gpu      Coding and an epoch of the fit of 16 codebooks, with what bounds them, and whether CPU and GPU agree.

Times are medians over rounds with their extremes; a ratio is the median of the rounds' own. vector-quantize-pytorch
comes with the `bench` extra. The sweep takes about 500 MB of temporary disk, the peers of `ema` about 6 GB of memory
(less with fewer codebooks).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import torch
from ema import BATCH, DECAY, DIM, PAIRS, data, dense_step, ema, fit, last_epoch
from threadpoolctl import threadpool_limits
from turns import Side, machine, ratio, show, take_turns, timed

from dkvb.bottleneck.lookup import CpuLookup, gpu_ready, make_lookup
from dkvb.bottleneck.mask_order import order_by_count, selection_counts
from dkvb.evaluation.splits import Splits
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.recipe import load
from dkvb.runtime.parallel import cores, one_thread_per_worker
from dkvb.sources.base import FeatureSource, FeatureSplit
from dkvb.stages import embed, quantize
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.keys_spec import quantize_spec
from dkvb.workspace.requests import need_features

ROWS, TEST, LISTED = 50_000, 10_000, 64
CVAR = "distance_compute_"
SETTINGS = [{"blas_threshold": 10**9, "min_k_reservoir": r} for r in (1, 100)] + [
    {"blas_threshold": 1, "min_k_reservoir": r, "blas_query_bs": q, "blas_database_bs": b}
    for r in (1, 100)
    for q in (64, 1024, 4096)
    for b in (256, 1024)
]


@contextmanager
def faiss_settings(settings: dict[str, int]) -> Iterator[None]:
    """FAISS's process-wide settings, put back afterwards."""
    before = {name: getattr(faiss.cvar, CVAR + name) for name in settings}
    for name, value in settings.items():
        setattr(faiss.cvar, CVAR + name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(faiss.cvar, CVAR + name, value)


def on_threads(threads: int, work: Callable[[int], object], units: int) -> Side:
    def run() -> None:
        with one_thread_per_worker(threads) as pool:
            list(pool.map(work, range(units)))

    return timed(run)


def raw_side(queries: list[np.ndarray], keys: np.ndarray, k: int, settings: dict[str, int], threads: int) -> Side:
    """FAISS by itself, each thread with queries of its own."""

    def work(unit: int) -> None:
        faiss.omp_set_num_threads(1)
        faiss.knn(queries[unit], keys, k)

    def run() -> float:
        with faiss_settings(settings):
            return on_threads(threads, work, len(queries))()

    return run


def best_settings(queries: np.ndarray, keys: np.ndarray, k: int, keep: int = 2) -> list[dict[str, int]]:
    """The fastest settings on a share of the queries."""
    sides = {str(i): raw_side([queries[: ROWS // 4]], keys, k, settings, 1) for i, settings in enumerate(SETTINGS)}
    taken = take_turns(sides, 2)
    return [SETTINGS[i] for i in sorted(range(len(SETTINGS)), key=lambda i: min(taken[str(i)]))[:keep]]


def coding(rounds: int) -> None:
    queries, keys = [data("normal", ROWS, seed) for seed in (1, 2)], data("normal", PAIRS, 3)
    lookup, index = CpuLookup(keys), faiss.IndexFlatL2(DIM)
    index.add(keys)
    for k in (1, 10, 64):
        settings = best_settings(queries[0], keys, k)
        for threads in range(1, min(2, cores()) + 1):
            own = queries[:threads]

            def work(unit: int, k: int = k, allowed: np.ndarray | None = None) -> None:
                lookup.search(queries[unit], k, allowed)

            sides: dict[str, Side] = {f"dkvb, {threads} thread(s)": on_threads(threads, work, threads)}
            for each in settings:
                sides["FAISS " + " ".join(f"{n.split('_')[-1]}={v}" for n, v in each.items())] = raw_side(
                    own, keys, k, each, threads
                )
            for share in (0.2, 0.5) if threads == 1 else ():
                allowed = np.random.default_rng(0).random(PAIRS) >= share
                sides[f"dkvb, {share:.0%} masked"] = on_threads(1, partial(work, allowed=allowed), 1)
                selector = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little")))
                search = partial(index.search, queries[0], k, params=selector)
                sides[f"FAISS IDSelector, {share:.0%} masked"] = on_threads(1, lambda _, search=search: search(), 1)
            distances = ROWS * PAIRS * threads
            title = (
                f"coding {ROWS:,} queries x {PAIRS} keys, d {DIM}, k {k}, {threads} thread(s), {threads} codebook(s)"
            )
            rate = lambda name, s, n=distances: "" if "masked" in name else f"{n / s / 1e9:.2f} G/s"  # noqa: E731
            seconds = take_turns(sides, rounds)
            show(title, seconds, [next(iter(sides))], rate)
            first, *raw = [taken for name, taken in seconds.items() if "masked" not in name]
            fastest = min(raw, key=statistics.median)
            print(f"dkvb's rate is {ratio(fastest, first):.2f} of FAISS's best", end="")
            masked = [
                f"{ratio(first, taken):.2f} with {name[6:]}"
                for name, taken in seconds.items()
                if name.endswith("masked") and "dkvb" in name
            ]
            print("; unmasked takes " + ", ".join(masked) + ", times the masked time" if masked else "")


def threads(rounds: int) -> None:
    if cores() < 2:
        print("\nthreads: one core, skipped")
        return
    queries = [data("normal", ROWS, seed) for seed in range(4)]
    lookup = CpuLookup(data("normal", PAIRS, 9))

    def whole(unit: int) -> None:
        train = queries[unit][: ROWS - TEST // 2]
        own = CpuLookup(fit(train, "official", 10, unit))
        own.search(queries[unit], 1)
        own.search(queries[unit][:TEST], LISTED)

    for name, work in (
        ("whole codebooks", whole),
        ("coding, k 1", lambda unit: lookup.search(queries[unit], 1)),
        ("coding, k 10", lambda unit: lookup.search(queries[unit], 10)),
    ):
        seconds = take_turns({f"{n} thread(s)": on_threads(n, work, 4) for n in (1, 2)}, rounds)
        show(f"{name}: 4 codebooks of {ROWS:,} rows", seconds, ["2 thread(s)"])


def sweep(rounds: int, codebooks: int) -> None:
    rng = np.random.default_rng(0)
    centres = 2 * rng.standard_normal((10, 512), np.float32)
    splits = {}
    for name in ("train", "test"):
        labels = rng.integers(10, size=TEST)
        splits[name] = FeatureSplit(
            [str(i) for i in range(TEST)], labels, centres[labels] + rng.standard_normal((TEST, 512), np.float32)
        )
    source = FeatureSource([str(c) for c in range(10)], lambda: "made up", [], splits)
    embed.open_source = lambda data: source  # type: ignore[assignment]
    grid = [int(n) for n in np.linspace(0, 200_000 * codebooks / 256, 21)]
    for top_k in (1, 10):
        with tempfile.TemporaryDirectory() as folder:
            workspace = Workspace(Path(folder) / "data", Path(folder) / "reports")
            keys = {
                "codebooks": codebooks,
                "pairs": PAIRS,
                "dim": DIM,
                "epochs": 1,
                "init": "sample",
                "top_k": top_k,
                "neighbours": LISTED,
            }
            recipe = load("digits").with_(data={"validation": 0.0}, keys=keys)
            embed.run(recipe, workspace)
            quantize.run(recipe, workspace)
            features = need_features(recipe, workspace)
            codes = workspace.need_spec(quantize_spec(recipe, 0, features), "The codes")
            values = rng.standard_normal((codebooks, PAIRS, 10), np.float32)
            model = StoredBottleneck(Splits(features, 0.0, 0), codes, values, "mean")
            chosen = np.flatnonzero(splits["train"].labels == 1)
            order = order_by_count(selection_counts(model.codes("train")[:, chosen], PAIRS), rng)
            sides = {
                f"one evaluation, N_a {grid[-1]:,}": timed(
                    partial(masked_predictions, model, order, grid[-1:], "test")
                ),
                "21 values of N_a": timed(partial(masked_predictions, model, order, grid, "test")),
            }
            take_turns(sides, 1)
            title = f"sweep, {TEST:,} rows, C {codebooks}, M {PAIRS}, L 10, k {top_k}, lists of {LISTED}"
            show(title, take_turns(sides, rounds), [next(iter(sides))])


def gpu(rounds: int) -> None:
    if not (gpu_ready() and torch.cuda.is_available()):
        print("\ngpu: this FAISS or torch sees none, skipped")
        return
    from dkvb.bottleneck.keys_gpu import fit_keys_batched

    count, device = 16, torch.device("cuda")
    queries = np.stack([data("normal", ROWS, seed) for seed in range(count)])
    keys = np.stack([data("normal", PAIRS, 100 + seed) for seed in range(count)])
    on_device, keys_there = torch.from_numpy(queries).to(device), torch.from_numpy(keys).to(device)
    bandwidth_copy = torch.empty(2**28, device=device)
    copied = torch.empty_like(bandwidth_copy)

    def copy() -> None:
        copied.copy_(bandwidth_copy)
        torch.cuda.synchronize()

    take_turns({"copy": timed(copy)}, 2)
    bandwidth = 2 * 4 * 2**28 / min(take_turns({"copy": timed(copy)}, 5)["copy"])
    print(f"\n{torch.cuda.get_device_name(0)}, {bandwidth / 1e9:.0f} GB/s copied, read and written")
    for k in (1, 10):
        lookups = [make_lookup(own, "cuda") for own in keys]
        resources = faiss.StandardGpuResources()

        def by_torch(k: int = k) -> None:
            for own, q in zip(keys_there, on_device, strict=True):
                torch.cdist(q, own).topk(k, largest=False)
            torch.cuda.synchronize()

        sides = {
            "dkvb": timed(
                lambda k=k, lookups=lookups: [own.search(q, k) for own, q in zip(lookups, queries, strict=True)]
            ),
            "torch cdist + topk, on the device": timed(by_torch),
            "faiss.knn_gpu": timed(
                lambda k=k, r=resources: [faiss.knn_gpu(r, q, own, k) for own, q in zip(keys, queries, strict=True)]
            ),
        }
        take_turns(sides, 1)
        show(f"coding {count} codebooks, {ROWS:,} queries, k {k}", take_turns(sides, rounds), ["dkvb"])
        print(
            "bound: queries, keys and ids once,"
            f" {count * 4 * (ROWS * (DIM + k) + PAIRS * DIM) / bandwidth * 1e3:.3f} ms"
        )
        _agreement(queries, keys, lookups, k)
    names = {"pairs": PAIRS, "epochs": 2, "batch_size": BATCH, "decay": DECAY, "init": "official"}
    rngs = [np.random.default_rng(seed) for seed in range(count)]
    fitting = lambda order: fit_keys_batched(queries, order=order, rngs=rngs, device="cuda", **names)  # type: ignore[arg-type] # noqa: E731
    steps = -(-ROWS // BATCH)
    state = [keys_there, keys_there.clone(), torch.ones(count, PAIRS, device=device)]

    def dense() -> None:
        for start in range(0, ROWS, BATCH):
            state[0] = dense_step(on_device[:, start : start + BATCH], *state)
        torch.cuda.synchronize()

    sides = {"dkvb": lambda: last_epoch(fitting, ROWS, torch.cuda.synchronize), "official formulation": timed(dense)}
    take_turns(sides, 1)
    show(f"EMA epoch of {count} codebooks, {steps} steps", take_turns(sides, rounds), ["dkvb"])
    moved = steps * count * PAIRS * (3 * DIM + 2) * 4 * 2
    print(f"bound: keys, sums and counts read and written in every step, {moved / bandwidth * 1e3:.1f} ms")


def _agreement(queries: np.ndarray, keys: np.ndarray, lookups: list, k: int) -> None:
    """Codes of GPU and CPU that differ, and by how much the keys' distances do."""
    differing, worst = 0, 0.0
    for lookup, own, q in zip(lookups, keys, queries, strict=True):
        here, there = CpuLookup(own).search(q, k), lookup.search(q, k)
        rows, places = np.nonzero(here != there)
        apart = [((q[rows].astype(np.float64) - own[ids[rows, places]]) ** 2).sum(1) for ids in (here, there)]
        differing += len(rows)
        worst = max(worst, float(np.abs(apart[0] - apart[1]).max(initial=0.0)))
    print(
        f"CPU and GPU codes differ in {differing} of {queries.shape[0] * queries.shape[1] * k}, distances there by"
        f" {worst:.1e} at most"
    )


def main() -> None:
    parts = ("ema", "coding", "threads", "sweep", "gpu")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codebooks", type=int, default=256)
    arguments = parser.parse_args()
    machine("torch", "faiss-gpu", "numpy", "vector-quantize-pytorch")
    if "ema" in arguments.only:
        with threadpool_limits(1):
            torch.set_num_threads(1)
            ema(arguments.rounds, arguments.codebooks)
    if "coding" in arguments.only:
        coding(arguments.rounds)
    if "threads" in arguments.only:
        threads(arguments.rounds)
    if "sweep" in arguments.only:
        sweep(arguments.rounds, arguments.codebooks)
    if "gpu" in arguments.only:
        gpu(arguments.rounds)


if __name__ == "__main__":
    main()
