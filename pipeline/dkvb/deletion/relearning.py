"""Relearning speed: how fast a forgotten class comes back when the values are trained on a few of its samples.

Protocol, the same for the unlearned model and for the oracle that never saw the class: n samples of the forgotten class
and as many of each retain class (evenly fewer where those would be more than `RETAIN` together), drawn from the seed
and the class, the smaller draws being the beginnings of the larger; a fresh Adam at the recipe's learning rate and
batch size, a fixed number of epochs (`[verify] epochs`); masked pairs stay masked; then forget accuracy on test.
Samples of the class come from the training split, else (a purge has removed them) from the validation split, else from
one half of its test samples, drawn from the seed: accuracy is then that on the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from dkvb.bottleneck.decoder import Decoder
from dkvb.evaluation.selections import masked_ids
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.metrics.proportions import accuracy_on, retain_classes
from dkvb.recipe import Recipe
from dkvb.runtime import progress
from dkvb.runtime.seeding import generator
from dkvb.training.linear_head import predict
from dkvb.training.loop import Schedule, Unit, fit

RETAIN = 1000
"""Samples of all retain classes together at the most."""


STAGE = "verify relearn"


@dataclass
class Masked:
    """A bottleneck under a mask (C, M) bool, ready to be trained on from its values; the bottleneck itself stays as it
    is."""

    model: StoredBottleneck
    mask: np.ndarray

    @cached_property
    def _ids(self) -> dict[str, torch.Tensor]:
        return {}

    def ids(self, split: str) -> torch.Tensor:
        """(N, C * k) int32, what the samples of a split select under the mask."""
        if split not in self._ids:
            self._ids[split] = masked_ids(self.model, split, self.mask)
        return self._ids[split]

    def decoder(self, values: torch.Tensor) -> Decoder:
        top_k = self.model.codes("test").shape[2]
        return Decoder(values, top_k, self.model.pool, (~self.mask).sum(1))

    @cached_property
    def values(self) -> torch.Tensor:
        """(C * M, L) float32, a copy."""
        return torch.from_numpy(self.model.values.reshape(self.mask.size, -1)).clone()

    def relearned(
        self, ids: torch.Tensor, labels: torch.Tensor, recipe: Recipe, seed: int, unit: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The rows of values that training on ids (n, C * k) and labels (n,) can move, and what it makes of them.

        Adam moves nothing that never had a gradient, so that training these rows alone gives the same as training all.
        """
        rows, compact = torch.unique(ids, return_inverse=True)
        decoder, settings = self.decoder(self.values[rows]), recipe.train
        schedule = Schedule(recipe.verify.epochs, settings.lr, settings.batch_size)
        with progress.silenced():
            fit(decoder, compact.to(torch.int32), labels, schedule, Unit(unit, seed))
        return rows, decoder.values.detach()

    def predictions(self, change: tuple[torch.Tensor, torch.Tensor] | None = None) -> np.ndarray:
        """Predicted classes of the test split, with some rows of the values replaced."""
        before = None if change is None else self.values[change[0]]
        if change is not None:
            self.values[change[0]] = change[1]
        try:
            return predict(self.decoder(self.values), self.ids("test"))
        finally:
            if change is not None and before is not None:
                self.values[change[0]] = before


def samples_of(model: StoredBottleneck, forgotten: int, seed: int) -> tuple[str, np.ndarray, np.ndarray]:
    """The split that samples of a class come from, its rows in the order in which they are drawn, and the test rows to
    measure on."""
    labels = model.splits.labels
    rng = generator(seed, STAGE, "forget", forgotten)
    test = np.flatnonzero(labels["test"] == forgotten)
    for split in ("train", "validation"):
        rows = np.flatnonzero(labels[split] == forgotten)
        if len(rows):
            return split, rng.permutation(rows), test
    drawn = rng.permutation(test)
    return "test", drawn[: len(drawn) // 2], np.sort(drawn[len(drawn) // 2 :])


def retain_samples(model: StoredBottleneck, forget: Sequence[int], n: int, seed: int) -> np.ndarray:
    """Training rows of n samples of each retain class, or evenly fewer."""
    labels = model.splits.labels["train"]
    classes = retain_classes(len(model.splits.classes), forget)
    each = min(n, max(1, RETAIN // max(1, len(classes))))
    parts = [generator(seed, STAGE, "retain", c).permutation(np.flatnonzero(labels == c))[:each] for c in classes]
    return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))


def relearning(
    recipe: Recipe,
    unlearned: Masked,
    oracle: Masked,
    forget: Sequence[int],
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """A row per forgotten class and number of samples, 0 first: accuracies of both models on test, difference and
    ratio.

    `ratio` is None where the oracle's accuracy is 0; `note` says where samples were missing.
    """
    splits = unlearned.model.splits
    found: list[dict[str, Any]] = []
    models = {"unlearned": unlearned, "oracle": oracle}
    start = {name: model.predictions() for name, model in models.items()}
    kept = retain_classes(len(splits.classes), forget)
    for c in forget:
        source, drawn, test = samples_of(unlearned.model, c, seed)
        for n in [0, *recipe.verify.samples]:
            advance()
            used = min(n, len(drawn))
            row: dict[str, Any] = {
                "class": c,
                "name": splits.classes[c],
                "samples": n,
                "used": used,
                "source": source,
                "note": None,
            }
            if n and used == 0:
                found.append(row | _compared(None, None) | {"note": "no samples of the class are left: not measured"})
                continue
            if used < n:
                row["note"] = f"only {used} samples of the class are left in the {source} split"
            retain = retain_samples(unlearned.model, forget, n, seed)
            labels = torch.from_numpy(
                np.concatenate([splits.labels[source][drawn[:used]], splits.labels["train"][retain]])
            )
            accuracy: dict[str, Any] = {}
            for name, model in models.items():
                predicted = start[name]
                if n:
                    ids = torch.cat([model.ids(source)[drawn[:used]], model.ids("train")[retain]])
                    # one unit for both: they see the samples in the same order
                    predicted = model.predictions(
                        model.relearned(ids, labels, recipe, seed, f"{STAGE} {splits.classes[c]} {n}")
                    )
                accuracy[name] = accuracy_on(predicted[test], splits.labels["test"][test], [c])
                row[f"{name}_retain"] = accuracy_on(predicted, splits.labels["test"], kept)
            found.append(row | _compared(accuracy["unlearned"], accuracy["oracle"]))
    return found


def _compared(unlearned: dict[str, Any] | None, oracle: dict[str, Any] | None) -> dict[str, Any]:
    row: dict[str, Any] = {"unlearned": unlearned, "oracle": oracle, "difference": None, "ratio": None}
    if unlearned and oracle:
        row["difference"] = unlearned["accuracy"] - oracle["accuracy"]
        row["ratio"] = unlearned["accuracy"] / oracle["accuracy"] if oracle["accuracy"] else None
    return row
