#!/usr/bin/env python3
"""How close masking comes to a model that never saw the class, by each ranking of pairs.

    python benchmarks/rankings.py RECIPE [--seeds 3] [--classes 10] [--workspace FOLDER]

For every class (or some, evenly spaced) and seed: pairs are masked by activations, by examples and by votes in their
three rankings, each at the smallest N that leaves none of the class's training and validation rows recognised; beside
them the logit mask. Judge is the oracle, the same keys with values trained without the class. Prints a row per ranking,
means over classes and seeds: pairs masked, forget accuracy on test, validation and training rows, retain accuracy on
test data less the oracle's in points, and on the class's test samples, over the probabilities of the retained classes,
KL(oracle || model), total variation, and the share that both take for the same class. The line "two oracles" is the
same between oracles of two seeds of training. Trains what is missing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dkvb import recipe
from dkvb.evaluation.chosen_rows import ChosenRows
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_logits
from dkvb.methods.base import make
from dkvb.methods.pair_masking import Masking
from dkvb.metrics.proportions import mean_total_variation, softmax
from dkvb.stages import embed, train
from dkvb.training.on_retain_set import load_bottleneck
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features

RANKINGS = {
    "activations": ("activations", "value"),
    "examples": ("examples", "value"),
    "votes, by value": ("votes", "value"),
    "votes, counted": ("votes", "counted"),
    "votes, by share": ("votes", "share"),
}
COLUMNS = ("masked %", "test %", "validation %", "train %", "retain - oracle", "KL", "TV", "same %", "choosing s")


@dataclass
class Judge:
    """The test logits of an oracle, and what it is compared on."""

    logits: np.ndarray
    labels: np.ndarray
    forget: int

    def compare(self, logits: np.ndarray) -> list[float]:
        """Retain accuracy less the oracle's in points, KL, total variation and agreement in percent."""
        mine, retained = self.labels == self.forget, self.labels != self.forget
        right = [(z.argmax(1) == self.labels)[retained].mean() for z in (logits, self.logits)]
        p, q = (softmax(z[mine], without=[self.forget]) for z in (logits, self.logits))
        kl = (q * np.log(np.maximum(q, 1e-12) / np.maximum(p, 1e-12))).sum(1).mean()
        same = (p.argmax(1) == q.argmax(1)).mean()
        return [100 * (right[0] - right[1]), kl, mean_total_variation(p, q), 100 * same]


def measure(trained: TrainedSeed, forget: int) -> Iterator[tuple[str, list[float]]]:
    """A name and its figures, for each ranking and control."""
    model, labels = trained.bottleneck, trained.splits.labels["test"]
    oracle, order = load_bottleneck(trained, [forget], "retrain")
    judge = Judge(masked_logits(oracle, order, 0, "test"), labels, forget)
    rows = ChosenRows.of(model, [*trained.splits.evaluation, "train"], [forget])
    forbidden = masked_logits(model, trained.no_mask, 0, "test")
    forbidden[:, forget] = -1e9
    yield "logit mask", [0.0, 0.0, 0.0, 0.0, *judge.compare(forbidden), 0.0]
    for name, (method, rank) in RANKINGS.items():
        masking = make(method, trained, [forget])
        assert isinstance(masking, Masking)
        masking.recipe = masking.recipe.model_copy(update={"rank": rank, "counts": "forget-set"})
        started = time.perf_counter()
        chosen = masking.choose_n(target=0.0)
        seconds = time.perf_counter() - started
        mask = masking.order() < chosen.n
        recognised = rows.recognised(mask | (trained.no_mask < 0))
        shares = [
            100 * recognised[rows.splits == split].mean() if (rows.splits == split).any() else np.nan
            for split in ("test", "validation", "train")
        ]
        order = np.where(mask, -1, trained.no_mask)
        yield name, [100 * mask.mean(), *shares, *judge.compare(masked_logits(model, order, 0, "test")), seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--classes", type=int, default=10, help="at most so many, evenly spaced")
    parser.add_argument("--workspace", type=Path, help="keep what is trained here, rather than in a temporary folder")
    arguments = parser.parse_args()
    figures: dict[str, list[list[float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as temporary:
        workspace = Workspace(arguments.workspace or Path(temporary), Path(temporary))
        chosen = recipe.load(arguments.recipe).with_(run={"seeds": list(range(arguments.seeds))})
        embed.run(chosen, workspace)
        train.run(chosen, workspace)
        for seed in chosen.run.seeds:
            trained = TrainedSeed(chosen, workspace, need_features(chosen, workspace), seed)
            classes = len(trained.splits.classes)
            for forget in np.unique(np.linspace(0, classes - 1, min(classes, arguments.classes)).round().astype(int)):
                for name, row in measure(trained, int(forget)):
                    figures[name].append(row)
                    print(
                        f"seed {seed}, class {forget}, {name}: {np.round(row, 3).tolist()}", file=sys.stderr, flush=True
                    )
    print(" | ".join(("ranking", "runs", *COLUMNS)))
    for name, rows in figures.items():
        means = np.nanmean(rows, 0)
        print(" | ".join((name, str(len(rows)), *(f"{value:.3f}" for value in means))))


if __name__ == "__main__":
    main()
