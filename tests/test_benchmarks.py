"""Every benchmark still runs, on little data; what they measure is for docs/measurements.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dkvb

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
RUNS = {
    "stages.py": ("digits", "together"),
    "start.py": ("--rounds 1", "five pages again"),
    "map.py": ("digits -", "variant | test"),
    "rankings.py": ("digits --seeds 1 --classes 2", "own votes | 2"),
    "fidelity.py": ("digits --seeds 1", "digits sample"),
    "memory.py": ("embed --rows 9000", "peak resident memory"),
    "embed.py": ("--encoder pixels --weights default --count 16 --batch 8 --rounds 1", "the same to the bit"),
    "backends.py": ("--encoder timm:resnet18 --batch 2 --rounds 1 --only channels_last", "cosine"),
    "listing.py": ("--files 200 --classes 4 --rounds 1", "fingerprint"),
    "lookups.py": ("--rounds 1 --queries 512", "of peak"),
    "quantize.py": ("--only sweep --rounds 1 --codebooks 8", "21 values of N_a"),
    "deletion.py": ("digits 3 --rounds 1", "million distances"),
    "estimator.py": ("--rows 400 --width 16 --codebooks 8", "values the same to the bit"),
    "oracles.py": ("digits --models 2 --rounds 1 --epoch 0.5", "with one order"),
    "train.py": ("--only cifar10 --rounds 1 --threads 1", "floor"),
    "scale.py": (
        "--only quantize costs predict --rounds 1 --rows 2000 --codebooks 8 --tasks 50",
        "the same to the bit",
    ),
    "page_loads.py": (f"{BENCHMARKS.parent / 'reports/sample'} --loads 1", "charts | wall, s | processor, s"),
    "sources.py": ("--images 200 --per-tar 50", "webdataset"),
}
"""Script -> how it is run here, and what it then prints."""


def test_every_benchmark_is_run_here() -> None:
    scripts = {path.name for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    assert scripts == set(RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("script", RUNS)
def test_benchmarks_run(script: str) -> None:
    flags, printed = RUNS[script]
    command = [sys.executable, str(BENCHMARKS / script), *flags.split()]
    package = os.environ | {"PYTHONPATH": str(Path(dkvb.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, env=package)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout
