#!/usr/bin/env python3
"""Time and resident memory at ImageNet-1k's size, 1,281,167 + 50,000 rows of 512 features: no stage may need more for
more rows.

    python benchmarks/memory.py embed [--rows 1281167]
    python benchmarks/memory.py quantize [--codebooks 8] [--memory 4]
    python benchmarks/memory.py verify [--codebooks 8] [--epochs 1] [--adam rows]
    python benchmarks/memory.py values [--codebooks 256] [--steps 40] [--adam rows] [--top-k 1] [--folder DIR]

On made-up data. `embed`: images are made on the fly, 16 x 32 grey pixels; hashing, encoding, writing and checking are
the real ones. `quantize`: features in a thousand clusters; keys (M 4096, d 8, ten epochs) and codes of the first
codebooks of 256, and what all of them would take. `verify`: those, then values and linear head trained, a class
unlearned by votes with a sweep, a request opened and verified beside its oracles. `values`: steps of training values
(C, 4096, 1000) alone, 4.2 GB at 256 codebooks, on codes drawn at random; what lies on disk lies in a folder. A limit
set from outside (a control group's) is part of what is measured.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image
from turns import machine

from dkvb.bottleneck.decoder import flat_ids
from dkvb.deletion import forget, verify
from dkvb.recipe import Keys, Recipe, Train, load
from dkvb.records.embed import EmbedResult
from dkvb.records.train import TrainResult
from dkvb.records.unlearn import UnlearnResult
from dkvb.records.verdict import Verdict
from dkvb.runtime.memory import machine_memory
from dkvb.sources.base import FeatureSource, FeatureSplit, ImageSource, ImageSplit
from dkvb.stages import embed, quantize, train, unlearn
from dkvb.training.loop import Schedule, Unit, fit
from dkvb.training.values import new_decoder
from dkvb.workspace.artifacts import Workspace

WIDTH, CLASSES, TRAIN, TEST = 512, 1000, 1_281_167, 50_000
PAIRS, BATCH = 4096, 256


class Numbers:
    """Row numbers as ids, without a list of them."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, row: int) -> str:
        return str(row)


class Clusters:
    """Features (N, D) float32 made when a block of rows is asked for: a thousand class centres and noise about them."""

    dtype = np.dtype(np.float32)

    def __init__(self, rows: int, seed: int) -> None:
        self.shape, self.seed = (rows, WIDTH), seed
        self.centres = np.random.default_rng(0).standard_normal((CLASSES, WIDTH), np.float32)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng((self.seed, int(rows[0]))).standard_normal((len(rows), WIDTH), np.float32)
        return self.centres[rows % CLASSES] + noise


def picture(row: int) -> Image.Image:
    pixels = np.random.Generator(np.random.Philox(key=row)).integers(0, 256, (16, 32), np.uint8)
    return Image.fromarray(pixels)


class Watch:
    """Resident memory at once and once a second, while it is entered."""

    def __enter__(self) -> Watch:
        self.seen: list[int] = []
        self.stop, self.started = threading.Event(), time.perf_counter()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def _look(self) -> None:
        process = psutil.Process()
        while True:
            self.seen.append(process.memory_info().rss)
            if self.stop.wait(1.0):
                return

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.started
        self.stop.set()
        self.thread.join()

    def __str__(self) -> str:
        tenths = " ".join(f"{max(part) / 2**30:.2f}" for part in np.array_split(np.array(self.seen), 10) if len(part))
        return (
            f"{self.seconds:.0f} s; peak resident memory {max(self.seen) / 2**30:.2f} GiB, in each tenth of the time:"
            f" {tenths}"
        )


def pictures(rows: int) -> ImageSource:
    sizes = (("train", rows), ("test", TEST))
    splits = {name: ImageSplit(Numbers(n), np.arange(n) % CLASSES, picture) for name, n in sizes}  # type: ignore[arg-type]
    return ImageSource([str(c) for c in range(CLASSES)], lambda: "synthetic", [], splits, "L")


def features(rows: int) -> FeatureSource:
    made = {"train": Clusters(rows, 1), "test": Clusters(TEST, 2)}
    splits = {name: FeatureSplit(Numbers(x.shape[0]), np.arange(x.shape[0]) % CLASSES, x) for name, x in made.items()}  # type: ignore[arg-type]
    return FeatureSource([str(c) for c in range(CLASSES)], lambda: "synthetic", [], splits)


def run_embed(workspace: Workspace, source: Any, recipe: Recipe) -> None:
    embed.open_source = lambda data: source  # type: ignore[assignment]
    with Watch() as watch:
        entry = embed.run(recipe, workspace)[0]
    assert isinstance(entry, EmbedResult)  # no range of shards was asked for
    print(f"embed, {entry.train:,} + {entry.test:,} rows: {watch}", flush=True)


def run_verify(workspace: Workspace, recipe: Recipe) -> None:
    """From keys and codes to a verdict, each step under watch."""
    steps: dict[str, Callable[[], Any]] = {
        "train": lambda: train.run(recipe, workspace),
        "unlearn by votes, with a sweep": lambda: unlearn.run(recipe, workspace),
        "forget": lambda: forget.run(recipe, workspace, [0]),
        "verify": lambda: verify.run(recipe, workspace),
    }
    for name, step in steps.items():
        with Watch() as watch:
            (entry, *more) = step()
        print(f"{name}: {watch}", flush=True)
        for said in (entry, *more):
            print("   ", _short(said), flush=True)


def _short(entry: Any) -> str:
    """What an entry says of accuracy."""
    match entry:
        case TrainResult():
            return f"{entry.model}: test {entry.test:.1%}, train {entry.train:.1%}"
        case UnlearnResult():
            return f"N_v {entry.n:,}: forget {entry.before.forget_test:.1%} -> {entry.after.forget_test:.1%}"
        case Verdict():
            return f"verdict: {entry.verdict}, retain {entry.accuracy.test.retain}"
    return f"request {entry.request}"


def run_values(arguments: argparse.Namespace) -> None:
    """Some steps of training values on codes drawn at random, each timed."""
    rows, books, top_k = BATCH * arguments.steps, arguments.codebooks, arguments.top_k
    keys = Keys(codebooks=books, pairs=PAIRS, top_k=top_k)
    settings = Train(epochs=1, lr=0.3, values="zeros", adam=arguments.adam)
    decoder = new_decoder(settings, keys, CLASSES, 0, arguments.folder)
    where = "on disk" if decoder.folder else "in memory"
    codes = np.random.default_rng(0).integers(0, PAIRS, (books, rows, top_k), np.uint16)
    ids, labels = flat_ids(codes, PAIRS), torch.arange(rows) % CLASSES
    with Watch() as watch:
        fit(decoder, ids, labels, Schedule.of(settings), Unit("train dkvb", 0))
    size = books * PAIRS * CLASSES * 4 / 1e9
    print(f"values of {size:.1f} GB {where}, adam {arguments.adam}, k {top_k}: {arguments.steps} steps, {watch}")
    print(f"{watch.seconds / arguments.steps:.2f} s a step; an epoch of ImageNet-1k at this pace:", end=" ")
    print(f"{watch.seconds / arguments.steps * TRAIN / BATCH / 3600:.1f} h")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["embed", "quantize", "verify", "values"])
    parser.add_argument("--rows", type=int, default=TRAIN)
    parser.add_argument("--codebooks", type=int, default=8)
    parser.add_argument("--memory", type=float, default=4.0)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--adam", choices=["dense", "rows"], default="dense")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--top-k", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None, help="where temporary files lie")
    arguments = parser.parse_args()
    machine("torch", "faiss-gpu")
    print(f"{machine_memory() / 2**30:.1f} GiB", flush=True)
    if arguments.stage == "values":
        run_values(arguments)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        workspace = Workspace(Path(folder) / "data", Path(folder) / "reports")
        if arguments.stage == "embed":
            run_embed(workspace, pictures(arguments.rows), load("digits").with_(encoder={"name": "pixels"}))
            return
        recipe = load("imagenet1k").with_(
            data={"validation": 0.0},
            keys={"codebooks": arguments.codebooks, "top_k": arguments.top_k},
            train={"epochs": arguments.epochs, "adam": arguments.adam},
            unlearn={"method": "votes", "forget": [0], "nv": "auto", "choose": "validation", "sweep": True},
            run={"memory": arguments.memory},
        )
        run_embed(workspace, features(arguments.rows), recipe)
        with Watch() as watch:
            entry = quantize.run(recipe, workspace)[0]
        print(f"quantize, {arguments.codebooks} codebooks within {arguments.memory} GiB: {watch}")
        print(f"used {entry.used:.3f}, quantisation error {entry.quantisation_error:.3f}")
        print(f"256 codebooks at this pace: {watch.seconds * 256 / arguments.codebooks / 60:.0f} minutes", flush=True)
        if arguments.stage == "verify":
            run_verify(workspace, recipe)


if __name__ == "__main__":
    main()
