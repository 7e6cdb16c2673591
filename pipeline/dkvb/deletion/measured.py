"""What masking does to accuracies: the measures that a request is opened with, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dkvb.evaluation.accuracies import Counted, count, measure
from dkvb.evaluation.chosen_rows import ChosenRows
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.metrics.accuracy import per_class
from dkvb.metrics.evenly import evenly
from dkvb.metrics.proportions import retain_classes
from dkvb.records.masking import CorrectCounts

RETAINED = 2_000
"""Training samples of the retained classes that are measured at most. Nothing is decided on them, and all of a large
training set would take longer than forgetting itself."""


def measured(
    trained: TrainedSeed,
    masked_before: np.ndarray,
    masked_after: np.ndarray,
    forget: Sequence[int],
    earlier: Sequence[int],
    looked: Mapping[int, tuple[int, int]] | None = None,
) -> dict[str, Any]:
    """The fields of `dkvb.records.masking.Masking` that hold accuracies: together on train, test and validation, per
    class on the last two.

    Args:
        masked_before, masked_after: (C, M) bool.
        forget: ids of the classes that are forgotten.
        earlier: ids of those that were forgotten before, which count as neither retained nor forgotten.
        looked: forget class -> how many of its training rows are recognised under `masked_before` and `masked_after`,
            where somebody has looked at them already: searching them takes longer than all else here.
    """
    order = np.where(masked_after, 0, trained.no_mask)  # allowed at N = 0 and masked at N = 1
    order[masked_before] = -1  # masked at both
    predicted = {
        split: masked_predictions(trained.bottleneck, order, [0, 1], split) for split in trained.splits.evaluation
    }
    rows = _training_rows(trained, forget, earlier)
    on_train = _on_train(trained, (masked_before, masked_after), rows, looked or {})
    retained = retain_classes(len(trained.splits.classes), forget)
    fields: dict[str, Any] = {"retain_train_rows": int(on_train[0].total[retained].sum())}
    correct: dict[str, list[int]] = {}
    for i, when in enumerate(("before", "after")):
        counts = count(trained.splits, {split: both[i] for split, both in predicted.items()})
        fields[when] = measure({**counts, "train": on_train[i]}, forget, leave_out=earlier)
        for split in trained.splits.evaluation:
            fields[f"per_class_{split}_{when}"] = counts[split].per_class
            correct |= _as_lists(counts[split], split, when)
    return fields | {"correct": CorrectCounts(**correct)}


def _on_train(
    trained: TrainedSeed,
    masks: tuple[np.ndarray, np.ndarray],
    rows: np.ndarray,
    looked: Mapping[int, tuple[int, int]],
) -> list[Counted]:
    """Correct training rows per class before and after; of classes that were looked at, what was found then."""
    labels, classes = trained.splits.labels["train"], len(trained.splits.classes)
    left = rows[~np.isin(labels[rows], list(looked))]
    chosen = ChosenRows.at(trained.bottleneck, {"train": left})
    always = trained.no_mask < 0
    counted = [Counted(*per_class(chosen.logits(always | mask).argmax(1), labels[left], classes)) for mask in masks]
    for when, counts in enumerate(counted):
        for c, correct in looked.items():
            counts.correct[c], counts.total[c] = correct[when], (labels[rows] == c).sum()
    return counted


def before_and_after(
    then: tuple[TrainedSeed, np.ndarray],
    now: tuple[TrainedSeed, np.ndarray],
    forget: Sequence[int],
    earlier: Sequence[int],
) -> dict[str, Any]:
    """Like `measured`, of two models that have values of their own, each with the pairs (C, M) bool masked in it."""
    was, fields = (measured(model, masked, masked, forget, earlier) for model, masked in (then, now))
    fields |= {name: value for name, value in was.items() if name.endswith("before")}
    counts = {name: value for name, value in was["correct"] if name.endswith("before")}
    return fields | {"correct": fields["correct"].model_copy(update=counts)}


def _training_rows(trained: TrainedSeed, forget: Sequence[int], earlier: Sequence[int]) -> np.ndarray:
    """All training rows of the forget classes, and of the retained classes all or, of many, evenly spaced ones."""
    labels = trained.splits.labels["train"]
    retained = np.flatnonzero(~np.isin(labels, [*forget, *earlier]))
    return np.union1d(np.flatnonzero(np.isin(labels, forget)), evenly(retained, RETAINED))


def _as_lists(counted: Counted, split: str, when: str) -> dict[str, list[int]]:
    return {f"{split}_{when}": counted.correct.tolist(), f"{split}_total": counted.total.tolist()}
