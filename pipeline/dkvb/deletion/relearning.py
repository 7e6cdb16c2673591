"""Relearning speed: how fast a forgotten class comes back when the values are trained on a few of its samples.

Protocol, the same for the unlearned model and for the oracle that never saw the class: n samples of the forgotten class
and as many of each retain class (evenly fewer where those would be more than `RETAIN` together), drawn from the seed
and the class, the smaller draws being the beginnings of the larger; a fresh Adam at the recipe's learning rate and
batch size, a fixed number of epochs (`[verify] epochs`); masked pairs stay masked; then forget accuracy on test.
Samples of the class come from the training split, else (a purge has removed them) from the validation split, else from
one half of its test samples, drawn from the seed: accuracy is then that on the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from dkvb.bottleneck.decoder import Decoder
from dkvb.evaluation.selections import masked_ids
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.metrics.proportions import retain_classes
from dkvb.recipe import Recipe
from dkvb.records.proportions import Accuracy, Difference
from dkvb.records.verdict import RelearnRow
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
    def test(self) -> torch.Tensor:
        """(N, C * k) int32, what the test samples select under the mask."""
        return masked_ids(self.model, "test", self.mask)

    def ids(self, split: str, rows: np.ndarray) -> torch.Tensor:
        """(n, C * k) int32, what some rows (n,) of a split select under the mask; no others are searched."""
        return self.test[rows] if split == "test" else masked_ids(self.model, split, self.mask, rows)

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
            return predict(self.decoder(self.values), self.test)
        finally:
            if change is not None and before is not None:
                self.values[change[0]] = before


@dataclass(frozen=True)
class ClassSamples:
    """The samples of a forgotten class that are left to learn from."""

    source: str
    """The split that they come from."""
    rows: np.ndarray
    """Its rows of the class, in the order in which they are drawn."""
    test: np.ndarray
    """The test rows to measure on."""


def samples_of(model: StoredBottleneck, forgotten: int, seed: int) -> ClassSamples:
    """Of the training split, else of the validation split, else one half of the test split."""
    labels = model.splits.labels
    rng = generator(seed, STAGE, "forget", forgotten)
    test = np.flatnonzero(labels["test"] == forgotten)
    for split in ("train", "validation"):
        rows = np.flatnonzero(labels[split] == forgotten)
        if len(rows):
            return ClassSamples(split, rng.permutation(rows), test)
    drawn = rng.permutation(test)
    half = len(drawn) // 2
    return ClassSamples("test", drawn[:half], np.sort(drawn[half:]))


def retain_samples(model: StoredBottleneck, forget: Sequence[int], n: int, seed: int) -> np.ndarray:
    """Training rows of n samples of each retain class, or evenly fewer."""
    labels = model.splits.labels["train"]
    classes = retain_classes(len(model.splits.classes), forget)
    each = min(n, max(1, RETAIN // max(1, len(classes))))
    parts = [generator(seed, STAGE, "retain", c).permutation(np.flatnonzero(labels == c))[:each] for c in classes]
    return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))


def relearning(
    recipe: Recipe,
    models: Mapping[str, Masked],
    forget: Sequence[int],
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> list[RelearnRow]:
    """A row per forgotten class and number of samples, 0 first: accuracies of both models on test.

    Args:
        models: "unlearned" and "oracle".
        advance: called once a row.
    """
    start = {name: model.predictions() for name, model in models.items()}
    again = _Relearning(recipe, models, start, list(forget), seed)
    rows = []
    for c in forget:
        samples = samples_of(again.bottleneck, c, seed)
        for n in [0, *recipe.verify.samples]:
            advance()
            rows.append(again.row(c, samples, n))
    return rows


@dataclass(frozen=True)
class _Relearning:
    """Two models that learn forgotten classes again, each time from where they started."""

    recipe: Recipe
    models: Mapping[str, Masked]
    start: Mapping[str, np.ndarray]
    """Each model's test predictions (N,) before anything is learned again."""
    forget: list[int]
    seed: int

    @property
    def bottleneck(self) -> StoredBottleneck:
        return self.models["unlearned"].model

    def row(self, c: int, samples: ClassSamples, n: int) -> RelearnRow:
        """Both models once they have learned from n samples of a class."""
        splits, used = self.bottleneck.splits, min(n, len(samples.rows))
        row = RelearnRow(class_id=c, name=splits.classes[c], samples=n, used=used, source=samples.source)
        if n and used == 0:
            return row.model_copy(update={"note": "no samples of the class are left: not measured"})
        predicted = self._predictions(c, samples, n) if n else self.start
        labels, test = splits.labels["test"], samples.test
        kept = retain_classes(len(splits.classes), self.forget)
        on_retain = {f"{name}_retain": Accuracy.on(those, labels, kept) for name, those in predicted.items()}
        on_class = {name: Accuracy.on(those[test], labels[test], [c]) for name, those in predicted.items()}
        note = f"only {used} samples of the class are left in the {samples.source} split" if used < n else None
        ahead = Difference.of(*(predicted[name][test] == c for name in ("unlearned", "oracle")))
        update = {"note": note, **on_retain, **on_class, **_compared(ahead, on_class["oracle"])}
        return row.model_copy(update=update)

    def _predictions(self, c: int, samples: ClassSamples, n: int) -> dict[str, np.ndarray]:
        """Test predictions (N,) of each model after learning from n samples of the class and of every retain class."""
        splits, rows = self.bottleneck.splits, samples.rows[:n]
        retain = retain_samples(self.bottleneck, self.forget, n, self.seed)
        wanted = np.concatenate([splits.labels[samples.source][rows], splits.labels["train"][retain]])
        # one unit for both: they see the samples in the same order
        unit = f"{STAGE} {splits.classes[c]} {n}"
        predicted = {}
        for name, model in self.models.items():
            ids = torch.cat([model.ids(samples.source, rows), model.ids("train", retain)])
            learned = model.relearned(ids, torch.from_numpy(wanted), self.recipe, self.seed, unit)
            predicted[name] = model.predictions(learned)
        return predicted


def _compared(ahead: Difference | None, oracle: Accuracy | None) -> dict[str, float | None]:
    if ahead is None or oracle is None:
        return {}
    share = oracle.accuracy + ahead.difference
    return {
        "difference": ahead.difference,
        "low": ahead.low,
        "high": ahead.high,
        "ratio": share / oracle.accuracy if oracle.accuracy else None,
    }
