#!/usr/bin/env python3
"""`KeyValueClassifier.fit` beside `dkvb quantize` and `dkvb train` on the same features, one after the other.

    python benchmarks/estimator.py [--rows 50000] [--width 1024] [--classes 10] [--codebooks 256] [--rounds 1]

On made-up features, a Gaussian blob a class, with the defaults for own data; a tenth more rows are the stages' test
set, which they code and measure beside what the estimator does, and `train` trains the linear head as well. Forgetting
a class, and forgetting ten samples, are timed once, and the values of both sides are compared to the bit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from turns import machine

import dkvb
from dkvb.evaluation.seed import TrainedSeed
from dkvb.recipe import Recipe
from dkvb.runtime import progress
from dkvb.sources.base import FeatureSource
from dkvb.stages import embed, quantize, train
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features


def blobs(rows: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) float32 and labels (N,), class by class in turn."""
    rng = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    features = rng.standard_normal((rows, width), np.float32)
    features += rng.standard_normal((classes, width), np.float32)[labels] * np.float32(0.2)
    return features, labels


@dataclass(frozen=True)
class Took:
    """Seconds on the wall, and of the processor, which other work on the machine does not stretch."""

    wall: float
    processor: float

    @classmethod
    def by(cls, work: Callable[[], object]) -> Took:
        started, worked = time.perf_counter(), time.process_time()
        work()
        return cls(time.perf_counter() - started, time.process_time() - worked)

    def __str__(self) -> str:
        return f"{self.wall:.1f} s ({self.processor:.1f} s of the processor)"


def by_stages(recipe: Recipe, source: FeatureSource, folder: Path) -> tuple[Took, Took, np.ndarray]:
    """What quantize took, and train; the values (C, M, L)."""
    workspace = Workspace(folder / "data", folder / "reports")
    embed.run(recipe, workspace, source=source)
    coded, learned = (Took.by(partial(stage.run, recipe, workspace)) for stage in (quantize, train))
    trained = TrainedSeed(recipe, workspace, need_features(recipe, workspace), recipe.run.seeds[0])
    return coded, learned, trained.bottleneck.values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"rows": 50_000, "width": 1024, "classes": 10, "codebooks": 256, "rounds": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    progress.silence()
    machine("torch", "faiss-gpu", "scikit-learn")
    x, y = blobs(asked.rows + asked.rows // 10, asked.width, asked.classes)
    (x, x_test), (y, y_test) = (np.split(array, [asked.rows]) for array in (x, y))
    source = dkvb.from_arrays(x, y, test=(x_test, y_test))
    recipe = dkvb.load_recipe("arrays").with_(keys={"codebooks": asked.codebooks})
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory() as folder:
            coded, learned, values = by_stages(recipe, source, Path(folder))
        print(f"{asked.rows:,} x {asked.width:,}: quantize {coded}, train {learned}", flush=True)
        model = dkvb.KeyValueClassifier(codebooks=asked.codebooks)
        fitting = Took.by(partial(model.fit, x, y))
        same = "the same to the bit" if np.array_equal(model.model_.values, values) else "not the same"
        print(
            f"fit {fitting}: {fitting.wall / (coded.wall + learned.wall):.2f} of both together, of the processor"
            f" {fitting.processor / (coded.processor + learned.processor):.2f}; values {same}",
            flush=True,
        )
    print(f"forget a class {Took.by(partial(model.forget, y[0]))}, {int(model.model_.mask.sum()):,} pairs masked")
    print(f"forget ten samples {Took.by(partial(model.forget_samples, range(10)))}")


if __name__ == "__main__":
    main()
