"""How long an image folder takes to be listed and fingerprinted, against no other work at all.

python benchmarks/listing.py                     # 257,000 tiny files in 100 class folders, made in a temporary folder
PYTHONPATH=other/pipeline python benchmarks/listing.py --at DIR   # another version of dkvb on files that are kept
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from dkvb.recipe import Data
from dkvb.runtime import progress
from dkvb.sources.opening import open_source


def make(root: Path, files: int, classes: int) -> None:
    """Class folders of files that bear an image's name; listing opens none."""
    for c in range(classes):
        folder = root / f"class_{c:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(files // classes):
            (folder / f"{i:06d}.jpg").write_bytes(b"x")


def measure(root: Path, rounds: int) -> list[tuple[float, float]]:
    """Seconds to list and to fingerprint, of each round; the first, which warms the system's memory, is left out."""
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        source = open_source(Data(source="folder", path=str(root)))
        listed = time.perf_counter()
        _ = source.fingerprint
        times.append((listed - began, time.perf_counter() - listed))
    return times[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=257_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at", type=Path, help="made there once, and kept")
    options = parser.parse_args()
    progress.silence()
    with tempfile.TemporaryDirectory() as temporary:
        root = options.at or Path(temporary)
        if not any(root.glob("*")):
            make(root, options.files, options.classes)
        times = measure(root, options.rounds)
    for name, seconds in zip(("list", "fingerprint"), zip(*times, strict=True), strict=True):
        print(f"{name}: {statistics.median(seconds):.3f} s (median of {len(seconds)}, least {min(seconds):.3f} s)")


if __name__ == "__main__":
    main()
