#!/usr/bin/env python3
"""How close masking comes to a model that never saw the class, by each ranking of pairs.

    python benchmarks/rankings.py RECIPE [--seeds 3] [--classes 10] [--workspace FOLDER]

For every class (or some, evenly spaced) and seed: pairs are masked by activations, by examples and by votes in their
three rankings, each at the smallest N that leaves none of the class's training and validation rows recognised. Beside
them the logit mask; two ways of leaving pairs in place ("damped": each pair's values are scaled by what the other
classes have in it over what this one has, as SSD does with weights, as little as leaves no row recognised; "own votes":
the method of that name); and SCRUB on the linear head.

Judge is the oracle: the same keys with values trained without the class; of SCRUB, the head trained without it. Prints
a row each, means over classes and seeds: pairs masked, forget accuracy on test, validation and training rows, retain
accuracy on test data less the oracle's in points (mean, and the worst), and on the class's test samples, over the
probabilities of the retained classes, KL(oracle || model), total variation, and the share that both take for the same
class. "two oracles" is the same between the oracle and one that starts and is trained as the next seed would, for the
first class of each seed; "before" is the model that has forgotten nothing. Trains what is missing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dkvb import recipe
from dkvb.bottleneck.votes import own_votes, weighted_votes
from dkvb.evaluation.chosen_rows import ChosenRows
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_logits
from dkvb.methods.base import CurvePoint, make
from dkvb.methods.pair_masking import Masking
from dkvb.metrics.proportions import mean_total_variation, softmax
from dkvb.stages import embed, train
from dkvb.training.on_retain_set import load_bottleneck, load_head
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features

RANKINGS = {
    "activations": ("activations", "value"),
    "examples": ("examples", "value"),
    "votes, by value": ("votes", "value"),
    "votes, counted": ("votes", "counted"),
    "votes, by share": ("votes", "share"),
}
COLUMNS = ("masked %", "test %", "validation %", "train %", "retain - oracle", "KL", "TV %", "same %", "choosing s")
SPLITS = ("test", "validation", "train")
HALVINGS = 12
"""Steps of the search for the least damping."""


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
        return [100 * (right[0] - right[1]), kl, 100 * mean_total_variation(p, q), 100 * same]


def measure(trained: TrainedSeed, forget: int, first: bool) -> Iterator[tuple[str, list[float]]]:
    """A name and its figures, for each ranking and control.

    Args:
        first: whether a second oracle is compared as well.
    """
    model, labels = trained.bottleneck, trained.splits.labels["test"]
    oracle, order = load_bottleneck(trained, [forget], "retrain")
    judge = Judge(masked_logits(oracle, order, 0, "test"), labels, forget)
    if first:
        another, order = load_bottleneck(trained, [forget], "retrain", again=True)
        yield "two oracles", [0.0, 0.0, 0.0, 0.0, *judge.compare(masked_logits(another, order, 0, "test")), 0.0]
    rows = ChosenRows.of(model, [*trained.splits.evaluation, "train"], [forget])
    as_trained = masked_logits(model, trained.no_mask, 0, "test")
    yield "before", [0.0, *shares(rows, trained.no_mask < 0), *judge.compare(as_trained), 0.0]
    forbidden = as_trained.copy()
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
        recognised = shares(rows, mask | (trained.no_mask < 0))
        order = np.where(mask, -1, trained.no_mask)
        yield name, [100 * mask.mean(), *recognised, *judge.compare(masked_logits(model, order, 0, "test")), seconds]
    for name, alter in (("damped", damped), ("own votes", taken_back)):
        started = time.perf_counter()
        altered, order = alter(trained, forget, rows)
        seconds = time.perf_counter() - started
        recognised = shares(replace(rows, model=altered, _last={}), order < 0)
        logits = masked_logits(altered, order, 0, "test")
        yield name, [100 * (order < trained.no_mask).mean(), *recognised, *judge.compare(logits), seconds]
    yield "SCRUB", scrubbed(trained, forget)


def shares(rows: ChosenRows, masked: np.ndarray) -> list[float]:
    """Percent of the class's rows that are recognised, by split; NaN where there are none."""
    recognised = rows.recognised(masked)
    return [
        100 * recognised[rows.splits == split].mean() if (rows.splits == split).any() else np.nan for split in SPLITS
    ]


def used(trained: TrainedSeed) -> np.ndarray:
    """(L, C, M): how much each class has in each pair."""
    values, counts = trained.bottleneck.values, trained.counts()
    return np.stack([weighted_votes(votes, counts[:, c]).T for c, votes in enumerate(values)], 1)


def damped(trained: TrainedSeed, forget: int, rows: ChosenRows) -> tuple[StoredBottleneck, np.ndarray]:
    """Values scaled by min(1, s * what others have / what the class has), at the largest s that forgets all rows."""
    importance = used(trained)
    mine = importance[forget]
    ratio = (importance.sum(0) - mine) / np.maximum(mine, 1e-12)

    def at(exponent: float) -> StoredBottleneck:
        scale = np.where(mine > 0, np.minimum(1, 10.0**exponent * ratio), 1)
        return trained.bottleneck.with_values((trained.bottleneck.values * scale[:, :, None]).astype(np.float32))

    low, high = -6.0, 3.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        model = replace(rows, model=at(middle), _last={})
        forgotten = not (model.logits_as_trained().argmax(1) == rows.labels)[rows.splits != "test"].any()
        low, high = (middle, high) if forgotten else (low, middle)
    return at(low), trained.no_mask


def taken_back(trained: TrainedSeed, forget: int, rows: ChosenRows) -> tuple[StoredBottleneck, np.ndarray]:
    """As the method `own-votes` does it."""
    values, own = own_votes(trained.bottleneck.values, [forget], trained.counts())
    return trained.bottleneck.with_values(values), np.where(own, -1, trained.no_mask)


def scrubbed(trained: TrainedSeed, forget: int) -> list[float]:
    """SCRUB's figures beside a linear head that was trained without the class."""
    labels, features = trained.splits.labels, trained.splits.features_of
    oracle = load_head(trained, [forget])
    judge = Judge(features("test") @ oracle["weight"].T + oracle["bias"], labels["test"], forget)
    method = make("scrub", trained, [forget])
    started = time.perf_counter()
    points = [point for point in method.sweep(method.grid(), lambda _: None) if point.split == "validation"]
    curve = []
    for at in points:
        others = np.arange(len(at.total)) != forget
        retain, gone = at.correct[others].sum() / at.total[others].sum(), at.correct[forget] / max(1, at.total[forget])
        curve.append(CurvePoint(at.n, retain, gone))
    outcome = method.forget(method.choose(curve, 0.0)[0])
    seconds = time.perf_counter() - started
    logits = {split: features(split) @ outcome.arrays["weight"].T + outcome.arrays["bias"] for split in SPLITS}
    recognised = [100 * (logits[split].argmax(1) == forget)[labels[split] == forget].mean() for split in SPLITS]
    return [0.0, *recognised, *judge.compare(logits["test"]), seconds]


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
                for name, row in measure(trained, int(forget), forget == 0):
                    figures[name].append(row)
                    print(
                        f"seed {seed}, class {forget}, {name}: {np.round(row, 3).tolist()}", file=sys.stderr, flush=True
                    )
    print(" | ".join(("ranking", "runs", *COLUMNS, "worst retain - oracle", "worst train %")))
    for name, rows in figures.items():
        table = np.array(rows)
        worst = (table[:, COLUMNS.index("retain - oracle")].min(), np.nanmax(table[:, COLUMNS.index("train %")]))
        print(" | ".join((name, str(len(rows)), *(f"{value:.3f}" for value in (*np.nanmean(table, 0), *worst)))))


if __name__ == "__main__":
    main()
