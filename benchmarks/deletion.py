#!/usr/bin/env python3
"""How long a request keeps somebody waiting: `dkvb forget` of a class, `dkvb verify`, `dkvb restore`, each as a process
of its own, from the command to the prompt.

    python benchmarks/deletion.py RECIPE CLASS [--data-dir DIR] [--rounds 3] [--verify]

On the workspace in DIR, of which a copy is used, or on one that is made here; `digits 3` needs no data. Prints medians
and extremes of wall and of processor seconds over the rounds, and peak memory; every round begins without the request.
The first round of a copy also hashes what it reads, which later ones remember. Then what a look at the class takes at
least: the distances of its training rows to all keys.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from turns import machine

from dkvb.deletion.wanted import first_model, wanted_ids
from dkvb.recipe import load
from dkvb.workspace.artifacts import Workspace
from stages import measure


def row(name: str, taken: list[tuple[float, float, float]]) -> None:
    walls, cpus, peaks = zip(*taken, strict=True)
    columns = "".join(
        f" {statistics.median(seconds):8.1f} {min(seconds):6.1f} {max(seconds):6.1f}" for seconds in (walls, cpus)
    )
    print(f"{name:10}{columns} {max(peaks):8.2f}", flush=True)


def look(recipe: str, data: Path, name: str) -> str:
    """What looking at all training rows of a class takes at least."""
    trained = first_model(load(recipe), Workspace(data, data.parent / "reports"))
    rows = int(np.isin(trained.splits.labels["train"], wanted_ids(trained, [name])).sum())
    codebooks, pairs, dim = trained.bottleneck.keys.shape
    return (
        f"a look at {rows:,} training rows: {rows * codebooks * pairs / 1e6:,.0f} million distances of {dim} numbers,"
        f" {rows * codebooks * pairs * dim / 1e9:.1f} G multiply-adds; projecting them:"
        f" {rows * trained.splits.width * codebooks * dim / 1e9:.1f} G"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("name", metavar="CLASS")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--verify", action="store_true", help="also verify; its oracles are trained beforehand")
    arguments = parser.parse_args()
    machine("faiss-gpu", "numpy", "scipy")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        if arguments.data_dir:
            shutil.copytree(arguments.data_dir, data)
        places = ["--data-dir", str(data), "--reports-dir", f"{folder}/reports"]

        def run(command: str, *words: str) -> tuple[float, float, float]:
            return measure([sys.executable, "-m", "dkvb", command, *words, "--recipe", arguments.recipe, *places])

        if not arguments.data_dir:
            for stage in ("embed", "train"):
                run(stage)
        commands = ["forget", *(["verify"] if arguments.verify else []), "restore"]
        if arguments.verify:
            for command in commands:
                run(command, *_words(command, arguments.name, data))
        taken: dict[str, list[tuple[float, float, float]]] = {command: [] for command in commands}
        for _ in range(arguments.rounds):
            for command in commands:
                taken[command].append(run(command, *_words(command, arguments.name, data)))
        print(f"{'':10} {'wall s':>8} {'min':>6} {'max':>6} {'cpu s':>8} {'min':>6} {'max':>6} {'peak GB':>8}")
        for command, seconds in taken.items():
            row(command, seconds)
        print(look(arguments.recipe, data, arguments.name))


def _words(command: str, name: str, data: Path) -> list[str]:
    """What a command is told: the class, or the request that was opened last."""
    if command == "restore":
        return [max(path.name for path in (data / "requests").iterdir())]
    return [name] if command == "forget" else []


if __name__ == "__main__":
    main()
