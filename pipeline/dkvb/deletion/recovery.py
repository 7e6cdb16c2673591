"""What lifting the mask of forgotten classes would bring back: everything, until a purge has erased the values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dkvb.deletion.erased_checks import share_erased
from dkvb.evaluation.seed import TrainedSeed
from dkvb.records.proportions import Accuracy
from dkvb.records.verdict import Recovered, Recovery


def erased_share(trained: TrainedSeed, mask: np.ndarray) -> float | None:
    """The share of the pairs under a mask (C, M) bool whose values are all zero or no numbers; None where none is
    masked."""
    return share_erased(trained.bottleneck.values, mask)


def recovery(
    trained: TrainedSeed, mask: np.ndarray, forget: Sequence[int], masked: np.ndarray, lifted: np.ndarray
) -> Recovery:
    """Accuracy on the forgotten classes under the mask (C, M), and without it.

    Args:
        masked, lifted: test predictions (N,) with the mask and without.
    """
    labels, names = trained.splits.labels["test"], trained.splits.classes
    erased = erased_share(trained, mask)
    classes = {
        names[c]: Recovered(
            class_id=c,
            masked=Accuracy.on(masked, labels, [c]),
            unmasked=Accuracy.on(lifted, labels, [c]) if erased != 1 else None,
        )
        for c in forget
    }
    possible = erased is not None and erased < 1
    return Recovery(possible=possible, erased=erased, detail=_in_words(erased), classes=classes)


def _in_words(erased: float | None) -> str:
    if erased is None:
        return "no pair is masked: there is nothing to lift"
    if erased == 1:
        return "the values of all masked pairs are gone: lifting the mask brings nothing back"
    if erased:
        return (
            f"the values of {erased:.1%} of the masked pairs are gone; lifting the mask brings back what the others"
            " hold"
        )
    return (
        "the values of masked pairs are still there: lifting the mask brings the class back until the request is purged"
    )
