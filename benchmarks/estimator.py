#!/usr/bin/env python3
"""`KeyValueClassifier.fit` beside `dkvb quantize` and `dkvb train` on the same features, one after the other.

    python benchmarks/estimator.py [--rows 50000] [--width 1024] [--classes 10] [--codebooks 256] [--rounds 1]

On made-up features, a Gaussian blob a class, with the defaults for own data; a tenth more rows are the stages' test
set, which they code and measure beside what the estimator does. `train` also trains the linear head, so that the ratio
to quantize and train of the bottleneck alone, by its artifact's own seconds, is printed too. Forgetting a class, and
forgetting ten samples, are timed once, and the values of both sides are compared to the bit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from turns import machine, timed

import dkvb
from dkvb.evaluation.seed import TrainedSeed
from dkvb.recipe import Recipe
from dkvb.runtime import progress
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


def by_stages(recipe: Recipe, source: object, folder: Path) -> tuple[float, float, float, np.ndarray]:
    """Seconds of quantize, of train, and of training the bottleneck alone; the values (C, M, L)."""
    workspace = Workspace(folder / "data", folder / "reports")
    embed.run(recipe, workspace, source=source)
    coded, learned = (timed(lambda stage=stage: stage.run(recipe, workspace))() for stage in (quantize, train))
    trained = TrainedSeed(recipe, workspace, need_features(recipe, workspace), recipe.run.seeds[0])
    return coded, learned, trained.dkvb_artifact.seconds, trained.bottleneck.values


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
            coded, learned, alone, values = by_stages(recipe, source, Path(folder))
        model = dkvb.KeyValueClassifier(codebooks=asked.codebooks)
        fitting = timed(lambda model=model: model.fit(x, y))()
        same = "the same to the bit" if np.array_equal(model.model_.values, values) else "not the same"
        print(
            f"{asked.rows:,} x {asked.width:,}: quantize {coded:.1f} s, train {learned:.1f} s (the bottleneck"
            f" {alone:.1f} s), fit {fitting:.1f} s: {fitting / (coded + learned):.2f} of quantize and train,"
            f" {fitting / (coded + alone):.2f} of quantize and the bottleneck; values {same}",
            flush=True,
        )
    started = time.perf_counter()
    model.forget(y[0])
    print(
        f"forget a class {time.perf_counter() - started:.1f} s, {int(model.model_.mask.sum()):,} pairs masked",
        flush=True,
    )
    print(f"forget ten samples {timed(lambda: model.forget_samples(range(10)))():.1f} s")


if __name__ == "__main__":
    main()
