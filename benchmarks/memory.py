#!/usr/bin/env python3
"""Resident memory while embedding a large data set: it should not grow with the number of rows.

    python benchmarks/memory.py [--rows 1281167]

The images are made up on the fly, 16 x 32 grey pixels (512 features); hashing, encoding, writing and checking are the real ones.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from dkvb import embed, progress
from dkvb.recipe import load
from dkvb.sources import ImageSource, ImageSplit
from dkvb.workspace import Workspace


class Numbers:
    """Row numbers as ids, without a list of them."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, row: int) -> str:
        return str(row)


def picture(row: int) -> Image.Image:
    pixels = np.random.Generator(np.random.Philox(key=row)).integers(0, 256, (16, 32), np.uint8)
    return Image.fromarray(pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_281_167)
    rows = parser.parse_args().rows
    splits = {name: ImageSplit(Numbers(n), np.arange(n) % 1000, picture) for name, n in (("train", rows), ("test", 50_000))}  # type: ignore[arg-type]
    source = ImageSource([str(c) for c in range(1000)], lambda: "synthetic", [], splits, "L")
    embed.open_source = lambda data: source  # type: ignore[assignment]
    process, seen, stop = psutil.Process(), [], threading.Event()

    def watch() -> None:
        while not stop.wait(1.0):
            seen.append(process.memory_info().rss)

    threading.Thread(target=watch, daemon=True).start()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        recipe = load("digits").with_(encoder={"name": "pixels"})
        entry = embed.run(recipe, Workspace(Path(folder) / "data", Path(folder) / "reports"))[0]
    stop.set()
    progress.note(f"{platform.machine()}, Python {platform.python_version()}")
    tenths = [max(part) / 1e9 for part in np.array_split(np.array(seen), 10)]
    seconds = time.perf_counter() - started
    print(f"{entry['train']:,} + {entry['test']:,} rows in {seconds:.0f} s; peak resident memory {max(seen) / 1e9:.2f} GB")
    print("peak GB in each tenth of the time:", " ".join(f"{peak:.2f}" for peak in tenths))


if __name__ == "__main__":
    main()
