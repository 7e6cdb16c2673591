#!/usr/bin/env python3
"""Images per second of an encoder: the bare forward pass, dkvb's loop from files, and a plain DataLoader loop, side by
side.

    python benchmarks/embed.py [--images FOLDER] [--encoder clip-vit-b32] [--weights random] [--batch 64] [--count 320]

On the images in FOLDER, `{train,test}/<class>/<image>`, or on random PNGs of 32×32 pixels. The sides take turns,
`--rounds` times, so that a machine whose speed changes treats them alike; ratios are medians over rounds, each against
the bare loop of the same round. The bare loop runs the same model on tensors that are ready in memory: nothing that
reads files can be expected to be faster.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from dkvb.encoders.base import FrozenEncoder, stack
from dkvb.encoders.batches import encode_rows
from dkvb.encoders.networks import load_encoder
from dkvb.recipe import Data, Encoder
from dkvb.runtime.device import choose_device
from dkvb.runtime.parallel import cores
from dkvb.sources.base import ImageSplit
from dkvb.sources.opening import open_source


class Files(Dataset[torch.Tensor]):
    """The data set that a user would write."""

    def __init__(self, split: ImageSplit, encoder: FrozenEncoder, count: int) -> None:
        self.split, self.encoder, self.count = split, encoder, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> torch.Tensor:
        return self.encoder.preprocess(self.split.read(row))


def make_images(folder: Path, count: int) -> Path:
    """Random PNGs, the same number for each of two classes."""
    pixels = np.random.default_rng(0)
    for split, n in (("train", count), ("test", 2)):
        for i in range(n):
            place = folder / split / ("even", "odd")[i % 2]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.integers(0, 256, (32, 32, 3), np.uint8)).save(place / f"{i:06}.png")
    return folder


def sides(split: ImageSplit, encoder: FrozenEncoder, batch: int, count: int) -> dict[str, Callable[[], np.ndarray]]:
    starts = range(0, count, batch)
    ready = [stack([encoder.preprocess(split.read(row)) for row in range(start, start + batch)]) for start in starts]

    def bare() -> np.ndarray:
        return np.concatenate([encoder.encode(images).numpy() for images in ready])

    def ours() -> np.ndarray:
        return encode_rows(split, range(count), encoder, batch).features

    def loader(workers: int) -> Callable[[], np.ndarray]:
        images = DataLoader(
            Files(split, encoder, count), batch, num_workers=workers, pin_memory=encoder.device != "cpu"
        )
        return lambda: np.concatenate([encoder.encode(part).numpy() for part in images])

    return {"bare loop": bare, "dkvb": ours, "DataLoader 0": loader(0), f"DataLoader {cores()}": loader(cores())}


def floor(split: ImageSplit, encoder: FrozenEncoder, count: int) -> tuple[float, float]:
    """Milliseconds per image to decode and to preprocess, on one core."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    images = [split.read(row) for row in range(count)]
    decoded = time.perf_counter()
    for image in images:
        encoder.preprocess(image)
    return (decoded - started) / count * 1e3, (time.perf_counter() - decoded) / count * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images")
    parser.add_argument("--encoder", default="clip-vit-b32")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--count", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--bare-and-dkvb", action="store_true", help="leave the DataLoader loops out")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    device, reason = choose_device(asked.device)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(asked.images) if asked.images else make_images(Path(temporary), asked.count)
        source: Any = open_source(Data(source="folder", path=str(folder)))
        split = source.splits["train"]
        # whole batches, so that the bare loop has the same forward passes
        count = min(asked.count, len(split)) // asked.batch * asked.batch
        if not count:
            parser.error(f"{folder} holds {len(split)} training images, which is less than a batch of {asked.batch}")
        encoder = load_encoder(
            Encoder(name=asked.encoder, weights=asked.weights, precision=asked.precision), device, source.mode
        )
        print(
            f"{platform.machine()}, {cores()} of {os.cpu_count()} cores, Python {platform.python_version()}, torch"
            f" {torch.__version__}"
        )
        print(
            f"{asked.encoder} ({asked.weights}, {asked.precision}) on {device} ({reason}); {count} images, batches of"
            f" {asked.batch}"
        )
        compared = sides(split, encoder, asked.batch, count)
        if asked.bare_and_dkvb:
            compared = {name: side for name, side in compared.items() if not name.startswith("DataLoader")}
        encoder.encode(stack([encoder.preprocess(split.read(0))] * asked.batch))
        seconds: dict[str, list[float]] = {name: [] for name in compared}
        outputs = {}
        for _ in range(asked.rounds):
            for name, side in compared.items():
                started = time.perf_counter()
                outputs[name] = side()
                seconds[name].append(time.perf_counter() - started)
                print(f"  {name}: {count / seconds[name][-1]:.2f} images/s", file=sys.stderr, flush=True)
        print(f"{'':14} {'images/s':>9} {'of bare':>8}  rounds")
        for name, taken in seconds.items():
            ratios = [bare / own for bare, own in zip(seconds["bare loop"], taken, strict=True)]
            rates = f"{count / statistics.median(taken):9.2f} {statistics.median(ratios):8.3f}"
            print(f"{name:14} {rates}  {' '.join(f'{ratio:.3f}' for ratio in ratios)}", flush=True)
        same = all(np.array_equal(output, outputs["bare loop"]) for output in outputs.values())
        print(f"features of all sides are {'' if same else 'NOT '}the same to the bit")
        decoding, preprocessing = floor(split, encoder, min(count, 64))
        print(f"one core: decoding {decoding:.2f} ms, preprocessing {preprocessing:.2f} ms an image")


if __name__ == "__main__":
    main()
