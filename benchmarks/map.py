#!/usr/bin/env python3
"""What the settings of a bottleneck cost and bring: the map behind the defaults for own data.

    python benchmarks/map.py RECIPE VARIANT [VARIANT …] [--seeds 1] [--method votes] [--workspace FOLDER]

On whatever data the recipe names. A variant is a list of settings laid over the recipe, such as
`keys.top_k=10,keys.dim=14,train.lr=0.3`, or `-` for the recipe as it is. Runs the stages for each (and finds them done
when run again) and prints a row per variant, means over seeds: test accuracy of the bottleneck and of the linear head;
the first N of the method's sweep with forget accuracy at chance and at zero on test data, as a share of all pairs;
retain accuracy before, there, and at the end of the sweep; that of a logit mask; seconds for keys and codes, training,
and the sweep with its evaluation; and the model's size.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from dkvb import recipe
from dkvb.records.unlearn import SweepPoint
from dkvb.stages import embed, quantize, train, unlearn
from dkvb.workspace.artifacts import Workspace

COLUMNS = (
    *("test", "linear", "forget before", "N/all chance", "N/all zero"),
    *("retain before", "at chance", "at zero", "at end", "logit mask"),
    *("keys s", "train s", "sweep s", "values MB"),
)


def settings(variant: str) -> dict[str, dict[str, Any]]:
    """`keys.top_k=10,train.values=zeros` as sections of a recipe."""
    sections: dict[str, dict[str, Any]] = {}
    for part in variant.split(",") if variant != "-" else []:
        name, value = part.split("=")
        section, key = name.split(".")
        try:
            parsed = tomllib.loads(f"x = {value}")["x"]
        except tomllib.TOMLDecodeError:
            parsed = value
        sections.setdefault(section, {})[key] = parsed
    return sections


def first_at(curve: list[SweepPoint], level: float) -> tuple[float, float]:
    """N and retain accuracy of the first point whose forget accuracy is at most a level; NaN where there is none."""
    for point in curve:
        if point.forget_test is not None and point.forget_test <= level:
            return point.n, np.nan if point.retain_test is None else point.retain_test
    return np.nan, np.nan


def measure(chosen: recipe.Recipe, workspace: Workspace, method: str) -> np.ndarray:
    """(seeds, columns)."""
    embed.run(chosen, workspace)
    keys = {entry.seed: entry for entry in quantize.run(chosen, workspace)}
    models = {(entry.seed, entry.model): entry for entry in train.run(chosen, workspace)}
    started = time.perf_counter()
    unlearned = {(entry.seed, entry.method): entry for entry in unlearn.run(chosen, workspace)}
    swept = (time.perf_counter() - started) / len(chosen.run.seeds)
    pairs = chosen.keys.codebooks * chosen.keys.pairs
    rows = []
    for seed in chosen.run.seeds:
        bottleneck, masked = models[seed, "dkvb"], unlearned[seed, method]
        curve, before = masked.curve or [], masked.before
        chance, zero = (first_at(curve, level) for level in (1 / len(bottleneck.classes), 0.0))
        accuracies = [bottleneck.test, models[seed, "linear"].test, before.forget_test]
        shares = [chance[0] / pairs, zero[0] / pairs]
        retained = [before.retain_test, chance[1], zero[1], curve[-1].retain_test]
        control = unlearned[seed, "logit-mask"].after.retain_test
        percent = 100 * np.array([*accuracies, *shares, *retained, control], np.float64)
        cost = [keys[seed].seconds, bottleneck.seconds, swept, bottleneck.parameters * 4 / 1e6]
        rows.append(np.concatenate([percent, np.array(cost, np.float64)]))
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("variants", nargs="+")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--forget", default="best")
    parser.add_argument("--method", default="votes", help="how pairs are masked: votes, activations or examples")
    parser.add_argument(
        "--workspace", type=Path, help="keep what the stages make here, rather than in a temporary folder"
    )
    arguments = parser.parse_args()
    base = recipe.load(arguments.recipe)
    print(" | ".join(("variant", *COLUMNS)), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        workspace = Workspace(arguments.workspace or Path(temporary), Path(temporary))
        for variant in arguments.variants:
            over = settings(variant)
            unlearning = {"method": [arguments.method, "logit-mask"], "sweep": True, "forget": arguments.forget}
            chosen = base.with_(**over, unlearn=unlearning, run={"seeds": list(range(arguments.seeds))})
            means = measure(chosen, workspace, arguments.method).mean(0)
            print(" | ".join((variant, *(f"{value:.1f}" for value in means))), flush=True)


if __name__ == "__main__":
    main()
