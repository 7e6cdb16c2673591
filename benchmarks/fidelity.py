#!/usr/bin/env python3
"""Starting the keys as the official code does, against starting them at samples: how they end up, and what that does to
the model.

    python benchmarks/fidelity.py RECIPE [RECIPE …] [--seeds 3] [--workspace FOLDER]

On whatever data the recipes name. Runs the stages for both starts (and finds them done when run again), and prints a
row per recipe and start, mean ± standard deviation over seeds: share of keys used, distinct and dead, quantisation
error, test accuracy, and, at the first N_a of the sweep with no forget accuracy left on test data, retain accuracy
before and after unlearning.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from dkvb import recipe
from dkvb.records.quantize import QuantizeResult
from dkvb.records.train import TrainResult
from dkvb.records.unlearn import UnlearnResult
from dkvb.stages import embed, quantize, train, unlearn
from dkvb.workspace.artifacts import Workspace

COLUMNS = (
    *("used", "unique", "dead", "error"),
    *("test %", "forget %", "first N_a at 0", "retain before %", "retain after %"),
)


def seed_row(keys: QuantizeResult, model: TrainResult, unlearned: UnlearnResult) -> list[float | None]:
    """The measures of one seed, in the order of COLUMNS; None where there are none."""
    zero = next((point for point in unlearned.curve or [] if point.forget_test == 0), None)
    n, kept = (zero.n, zero.retain_test) if zero else (None, None)
    shares = [model.test, unlearned.before.forget_test, unlearned.before.retain_test, kept]
    test, forget, retain, after = (None if share is None else 100 * share for share in shares)
    shape = (keys.used, keys.unique, keys.dead, keys.quantisation_error)
    return [*shape, test, forget, n, retain, after]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--workspace", type=Path, help="keep what the stages make here, rather than in a temporary folder"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        workspace = Workspace(arguments.workspace or Path(temporary), Path(temporary))
        rows = []
        for name in arguments.recipes:
            chosen = recipe.load(name)
            for init in ("official", "sample"):
                run = {"seeds": list(range(arguments.seeds))}
                settings = chosen.with_(run=run, keys={"init": init}, unlearn={"method": "activations", "sweep": True})
                embed.run(settings, workspace)
                keys = quantize.run(settings, workspace)
                models = [entry for entry in train.run(settings, workspace) if entry.model == "dkvb"]
                forgotten = unlearn.run(settings, workspace)
                measured = np.array(
                    [seed_row(*entries) for entries in zip(keys, models, forgotten, strict=True)], np.float64
                )
                rows.append((f"{chosen.name} {init}", measured))
        print(" | ".join(("recipe and start", *COLUMNS)))
        for label, measured in rows:
            cells = []
            for name, column in zip(COLUMNS, measured.T, strict=True):
                digits = 0 if name.startswith("first") else 2 if name.endswith("%") else 3
                spread = f" ± {column.std(ddof=1):,.{digits}f}" if len(column) > 1 else ""
                cells.append(f"{column.mean():,.{digits}f}{spread}")
            print(" | ".join((label, *cells)))


if __name__ == "__main__":
    main()
