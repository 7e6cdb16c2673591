#!/usr/bin/env python3
"""Time and resident memory at ImageNet-1k's size, 1,281,167 + 50,000 rows of 512 features: neither stage may need more
for more rows.

    python benchmarks/memory.py embed [--rows 1281167]
    python benchmarks/memory.py quantize [--codebooks 8] [--memory 4]

On made-up data. `embed`: images are made on the fly, 16 x 32 grey pixels; hashing, encoding, writing and checking are
the real ones. `quantize`: features in a thousand clusters; keys (M 4096, d 8, ten epochs) and codes of the first
codebooks of 256, and what all of them would take.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from dkvb.recipe import Recipe, load
from dkvb.records.embed import EmbedResult
from dkvb.sources.base import FeatureSource, FeatureSplit, ImageSource, ImageSplit
from dkvb.stages import embed, quantize
from dkvb.workspace.artifacts import Workspace

WIDTH, CLASSES, TEST = 512, 1000, 50_000


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

    def __init__(self, rows: int) -> None:
        self.shape = (rows, WIDTH)
        self.centres = np.random.default_rng(0).standard_normal((CLASSES, WIDTH), np.float32)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng((1, int(rows[0]))).standard_normal((len(rows), WIDTH), np.float32)
        return self.centres[rows % CLASSES] + noise


def picture(row: int) -> Image.Image:
    pixels = np.random.Generator(np.random.Philox(key=row)).integers(0, 256, (16, 32), np.uint8)
    return Image.fromarray(pixels)


class Watch:
    """Resident memory once a second, while it is entered."""

    def __enter__(self) -> Watch:
        self.seen: list[int] = []
        self.stop, self.started = threading.Event(), time.perf_counter()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self

    def _look(self) -> None:
        process = psutil.Process()
        while not self.stop.wait(1.0):
            self.seen.append(process.memory_info().rss)

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
    made = {name: Clusters(n) for name, n in (("train", rows), ("test", TEST))}
    splits = {name: FeatureSplit(Numbers(x.shape[0]), np.arange(x.shape[0]) % CLASSES, x) for name, x in made.items()}  # type: ignore[arg-type]
    return FeatureSource([str(c) for c in range(CLASSES)], lambda: "synthetic", [], splits)


def run_embed(workspace: Workspace, source: Any, recipe: Recipe) -> None:
    embed.open_source = lambda data: source  # type: ignore[assignment]
    with Watch() as watch:
        entry = embed.run(recipe, workspace)[0]
    assert isinstance(entry, EmbedResult)  # no range of shards was asked for
    print(f"embed, {entry.train:,} + {entry.test:,} rows: {watch}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["embed", "quantize"])
    parser.add_argument("--rows", type=int, default=1_281_167)
    parser.add_argument("--codebooks", type=int, default=8)
    parser.add_argument("--memory", type=float, default=4.0)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "data", Path(folder) / "reports")
        if arguments.stage == "embed":
            run_embed(workspace, pictures(arguments.rows), load("digits").with_(encoder={"name": "pixels"}))
            return
        keys = {"codebooks": arguments.codebooks, "pairs": 4096, "dim": 8, "epochs": 10, "init": "official"}
        recipe = load("digits").with_(data={"validation": 0.0}, keys=keys, run={"memory": arguments.memory})
        run_embed(workspace, features(arguments.rows), recipe)
        with Watch() as watch:
            entry = quantize.run(recipe, workspace)[0]
        print(f"quantize, {arguments.codebooks} codebooks within {arguments.memory} GiB: {watch}")
        print(f"used {entry.used:.3f}, quantisation error {entry.quantisation_error:.3f}")
        print(f"256 codebooks at this pace: {watch.seconds * 256 / arguments.codebooks / 60:.0f} minutes")


if __name__ == "__main__":
    main()
