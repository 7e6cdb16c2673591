#!/usr/bin/env python3
"""Commands on one and on two processes, what processes cost beside the work, and what follows for a hundred of them.

    python benchmarks/scale.py [--only embed quantize each audit costs predict] [--rounds 3] [--figure FILE.svg]
    python benchmarks/scale.py --only units

Each command is run as a user would, `dkvb … --workers W`, on a copy of the same workspace, with 1 and 2 workers in
turns. A side with W workers has W cores and one thread in each process (1 is a single process, without Dask), so that
it is processes that are compared. Times are whole commands, imports and the start of a local cluster included; results
are compared byte by byte.

embed     `dkvb embed`, encoder pixels, made-up JPEGs in four shards: decoding, resizing, hashing, writing.
quantize  `dkvb quantize` of made-up features.
each      `dkvb unlearn --each --sweep`, votes and activations, of ten classes.
audit     `dkvb audit`: originals and retrained models, values and linear heads, and three methods.
costs     What a local cluster, imports, handing out a task, and reading and writing take.
units     A unit of work of large jobs, on one core; takes half an hour, and is not among what is run by default.
predict   Time and efficiency of large jobs on 1, 2, 10 and 100 workers, by the formula of docs/scale_out.md.

"done" is the same command where all units of work are done: what only one process does. Medians over rounds. "bound"
is what the processor's seconds leave of a speed-up of two, were both cores free and busy throughout: on a machine with
other work, where wall time means little, it is what can be compared, and `--bound` draws it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import scale_costs
import scale_jobs
from PIL import Image
from scale_figure import draw
from turns import machine, ratio

IMAGES = """
name = "images"
[data]
source = "folder"
path = "images"
[encoder]
name = "pixels"
size = 16
"""
FEATURES = """
name = "features"
[data]
source = "features"
path = "features"
validation = 0.1
[keys]
codebooks = {codebooks}
pairs = 512
init = "sample"
epochs = 3
[train]
epochs = 3
[linear]
epochs = 10
[unlearn]
method = ["votes", "activations"]
na = "auto"
"""
SHARD, WIDTH, CLASSES = 8192, 256, 10


@dataclass(frozen=True)
class Work:
    """A command that is measured."""

    recipe: str
    words: tuple[str, ...]
    before: tuple[str, ...]
    """Commands whose results it starts from."""
    undone: str
    """Manifests, as a pattern, without which it has to look after its artifact although all units are done."""


WORKS = {
    "embed": Work("images.toml", ("embed",), (), "embed/*/manifest.json"),
    "quantize": Work("features.toml", ("quantize",), ("embed",), "quantize/*/manifest.json"),
    "each": Work("features.toml", ("unlearn", "--each", "--sweep"), ("embed", "train"), ""),
    "audit": Work(
        "features.toml",
        ("audit", "--id", "0", "--kinds", "values,linear", "--methods", "votes,own-votes,logit-mask", "--oracles"),
        ("embed", "train"),
        "",
    ),
}


def make_images(folder: Path, count: int) -> None:
    """JPEGs of 192 x 192 pixels in two classes, three quarters of them for training; 64 contents, over and over."""
    rng, contents = np.random.default_rng(0), []
    for _ in range(64):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
        held = BytesIO()
        coarse.resize((192, 192), Image.Resampling.BICUBIC).save(held, "JPEG", quality=90)
        contents.append(held.getvalue())
    for split, rows in (("train", 3 * count // 4), ("test", count // 4)):
        for name in ("a", "b"):
            (folder / split / name).mkdir(parents=True)
        for i in range(rows):
            (folder / split / "ab"[i % 2] / f"{i:06}.jpg").write_bytes(contents[i % 64])


def make_features(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLASSES, WIDTH)) * 0.4
    folder.mkdir(parents=True)
    for split, count in (("train", rows), ("test", rows // 5)):
        y = np.arange(count) % CLASSES
        x = (centres[y] + rng.standard_normal((count, WIDTH))).astype(np.float32)
        np.savez(folder / f"{split}.npz", x=x, y=y)


def dkvb(folder: Path, data: str, work: Work, words: tuple[str, ...], workers: int) -> scale_costs.Seconds:
    places = ["--recipe", str(folder / work.recipe), "--data-dir", str(folder / data)]
    reports = ["--reports-dir", str(folder / "reports"), "--workers", str(workers)]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "dkvb", *words, *places, *reports]
    return scale_costs.command(command, os.environ | one, cores=workers)


def same(folder: Path, one: str, two: str) -> str:
    """Whether two workspaces hold the same, but for what says when and where it was made."""

    def held(data: str) -> dict[str, bytes]:
        found = {}
        for path in sorted((folder / data).rglob("*")):
            parts = path.relative_to(folder / data).parts
            if path.is_file() and path.name != "manifest.json" and "done" not in parts and parts[0][0] != ".":
                found["/".join(parts)] = path.read_bytes()
        return found

    first, second = held(one), held(two)
    wrong = [name for name in first.keys() | second.keys() if first.get(name) != second.get(name)]
    return f"{len(first)} files, the same to the bit" if not wrong else f"{len(wrong)} files DIFFER: {wrong[:3]}"


def measure(name: str, folder: Path, rounds: int, oracles: int) -> tuple[float, float]:
    """A row of the table; returns how many times as fast two workers are, and could be by the processor's seconds."""
    work = WORKS[name]
    words = (*work.words, str(oracles)) if name == "audit" else work.words
    for command in work.before:
        dkvb(folder, "base", work, (command,), 1)
    sides: dict[int, list[scale_costs.Seconds]] = {1: [], 2: []}
    done = []
    for _ in range(rounds):
        for workers, taken in sides.items():
            data = f"workers-{workers}"
            shutil.rmtree(folder / data, ignore_errors=True)
            if work.before:
                shutil.copytree(folder / "base", folder / data)
            taken.append(dkvb(folder, data, work, words, workers))
        told = same(folder, "workers-1", "workers-2")
        for manifest in (folder / "workers-1").glob(work.undone) if work.undone else ():
            manifest.unlink()
        done.append(dkvb(folder, "workers-1", work, words, 1))
    shutil.rmtree(folder / "base", ignore_errors=True)
    walls, processors = ([[taken[i] for taken in of] for of in sides.values()] for i in (0, 1))
    speed_up, bound = ratio(*walls), 2 * ratio(*processors)
    middle = [statistics.median(of) for of in (*walls, *processors, [d[0] for d in done], [d[1] for d in done])]
    print(f"{name:10}{''.join(f'{value:9.1f}' for value in middle)}{speed_up:10.2f}{bound:8.2f}  {told}", flush=True)
    return speed_up, bound


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [*WORKS, "costs", "predict"]
    parser.add_argument("--only", nargs="+", choices=[*default, "units"], default=default)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=4 * SHARD)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--codebooks", type=int, default=128)
    parser.add_argument("--oracles", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--figure", type=Path, help="write the speed-ups as an SVG file")
    parser.add_argument("--bound", action="store_true", help="draw what the processor's seconds leave of them")
    asked = parser.parse_args()
    machine("distributed", "torch", "numpy")
    speed_ups = {}
    if chosen := [name for name in WORKS if name in asked.only]:
        columns = ("wall 1", "wall 2", "proc 1", "proc 2", "done", "proc")
        print(f"{'seconds':10}{''.join(f'{column:>9}' for column in columns)}{'speed-up':>10}{'bound':>8}")
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / "images.toml").write_text(IMAGES, encoding="utf-8")
            (folder / "features.toml").write_text(FEATURES.format(codebooks=asked.codebooks), encoding="utf-8")
            if "embed" in chosen:
                make_images(folder / "images", asked.images)
            make_features(folder / "features", asked.rows)
            speed_ups = {name: measure(name, folder, asked.rounds, asked.oracles) for name in chosen}
    if asked.figure and speed_ups:
        drawn = {name: both[asked.bound] for name, both in speed_ups.items()}
        asked.figure.write_text(draw(drawn, asked.bound), encoding="utf-8")
    if "costs" in asked.only:
        scale_costs.imports(asked.rounds)
        scale_costs.tasks(asked.rounds, asked.tasks)
        scale_costs.store(max(asked.rounds, 3))
    if "units" in asked.only:
        import scale_units  # needs psutil, of the `bench` extra

        scale_units.show()
    if "predict" in asked.only:
        scale_jobs.show()


if __name__ == "__main__":
    main()
