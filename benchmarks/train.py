#!/usr/bin/env python3
"""A training step of the values against its peers and its floor: same run, same data, same threads, taking turns.

    python benchmarks/train.py [--only cifar10 cifar100] [--rounds 5] [--threads 1 2]

On made-up codes: steps of 256 samples, C 256, M 4096; k 1 and 10 classes (CIFAR-10's shape), k 10 and 100 classes
(CIFAR-100's). dkvb's step is that of `dkvb.training.loop`: its decoder, cross-entropy, fused Adam. The bare loop is
torch's EmbeddingBag(mode="mean") with a dense gradient and the same Adam. The official formulation measures all
distances again in every step, on one thread. The floor is Adam's pass alone, which reads value, gradient and two
moments and writes three of them back, 28 bytes a value. Peak memory is the process's own.
"""

from __future__ import annotations

import argparse
import resource
import statistics
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from turns import Side, machine, ratio, show, take_turns, timed

from dkvb.bottleneck.decoder import Decoder, flat_ids
from dkvb.training.adam import Adam

CODEBOOKS, PAIRS, DIM, BATCH, ROWS = 256, 4096, 8, 256, 10_240
SHAPES = {"cifar10": (1, 10), "cifar100": (10, 100)}
"""Data set -> k, classes."""
BYTES = 28


class Bare(torch.nn.Module):
    """The obvious way: an embedding bag whose gradient is dense."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.bag = torch.nn.EmbeddingBag.from_pretrained(
            torch.zeros(CODEBOOKS * PAIRS, classes), freeze=False, mode="mean"
        )

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.bag(ids)


class Official(torch.nn.Module):
    """Distances of every sample to every key in every step, then the values of the nearest."""

    keys: torch.Tensor

    def __init__(self, top_k: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.randn(CODEBOOKS, PAIRS, DIM))
        self.values = torch.nn.Parameter(torch.zeros(CODEBOOKS, PAIRS, classes))
        self.top_k = top_k

    def forward(self, queries: torch.Tensor) -> torch.Tensor:
        nearest = torch.cdist(queries.transpose(0, 1), self.keys).topk(self.top_k, largest=False).indices  # (C, B, k)
        selected = self.values[torch.arange(CODEBOOKS)[:, None, None], nearest]  # (C, B, k, L)
        return selected.mean(2).mean(0)


def steps(module: torch.nn.Module, inputs: torch.Tensor, labels: torch.Tensor, count: int) -> Side:
    """Seconds of a step, over `count` of them, as `dkvb.training.loop` takes it."""
    adam = Adam(module, 0.1)

    def run() -> None:
        for place in range(count):
            rows = torch.arange(place * BATCH, (place + 1) * BATCH) % len(labels)
            loss = functional.cross_entropy(module(inputs[rows]), labels[rows])
            adam.zero_grad()
            loss.backward()
            adam.step()

    return lambda: timed(run)() / count


def adam_alone(classes: int) -> Side:
    values = torch.nn.Parameter(torch.zeros(CODEBOOKS * PAIRS, classes))
    adam = Adam(torch.nn.ParameterList([values]), 0.1)
    values.grad = torch.zeros_like(values)
    return timed(adam.step)


def measure(name: str, rounds: int, threads: int) -> None:
    top_k, classes = SHAPES[name]
    rng = np.random.default_rng(0)
    ids = flat_ids(rng.integers(PAIRS, size=(CODEBOOKS, ROWS, top_k)).astype(np.uint16), PAIRS)
    labels = torch.from_numpy(rng.integers(classes, size=ROWS))
    count = 20 if classes < 50 else 3
    torch.set_num_threads(threads)
    sides: dict[str, Side] = {
        "dkvb": steps(Decoder(torch.zeros(CODEBOOKS * PAIRS, classes), top_k, "mean"), ids, labels, count),
        "embedding_bag and fused Adam": steps(Bare(classes), ids, labels, count),
        "floor: Adam's pass": adam_alone(classes),
    }
    take_turns(sides, 1)
    seconds = take_turns(sides, rounds)
    # the k nearest are distinct in truth, and repeat here now and then: no step cares
    show(
        f"{name}: a step of {BATCH}, k {top_k}, {classes} classes, {threads} thread(s)",
        seconds,
        ["dkvb", "floor: Adam's pass"],
    )
    alone = seconds["floor: Adam's pass"]
    moved = BYTES * CODEBOOKS * PAIRS * classes
    print(f"Adam's pass moves {moved / statistics.median(alone) / 1e9:.1f} GB/s")
    if name == "cifar10" and threads == 1:
        queries = torch.randn(BATCH, CODEBOOKS, DIM)
        own: dict[str, Any] = {"official formulation": steps(Official(top_k, classes), queries, labels[:BATCH], 1)}
        official = take_turns(own | {"dkvb": sides["dkvb"]}, 2)
        show("against distances in every step", official, ["dkvb"])
        print(f"dkvb is {ratio(official['official formulation'], official['dkvb']):.0f} times as fast")
    print(f"peak memory of the process so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    arguments = parser.parse_args()
    machine("torch", "numpy", "scipy")
    for name in arguments.only:
        for threads in arguments.threads:
            measure(name, arguments.rounds, threads)


if __name__ == "__main__":
    main()
