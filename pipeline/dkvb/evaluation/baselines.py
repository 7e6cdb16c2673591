"""Whether a baseline has learned the class that it forgets: otherwise its figures say nothing of forgetting."""

from __future__ import annotations

from dkvb.metrics.accuracy import percent
from dkvb.records.train import TrainResult
from dkvb.records.unlearn import UnlearnResult

SHARE = 0.5
"""A baseline that is right on the class less than this many times as often as the bottleneck has not learned it."""


def no_baseline(result: UnlearnResult, bottleneck: TrainResult | None) -> str | None:
    """Why a result on the linear head is no baseline, in words; None where it is one, and on the bottleneck itself.

    It is none where, before unlearning, the head's test accuracy on the forget set is at most chance (one in the number
    of classes), or below `SHARE` times that of the bottleneck of the same seed.
    """
    before = result.before.forget_test
    if result.model != "linear" or before is None:
        return None
    reached = bottleneck.test_accuracy(result.forget) if bottleneck else None
    if before > 1 / len(result.classes) and (reached is None or before >= SHARE * reached):
        return None
    beside = "" if reached is None else f", the bottleneck {percent(reached)}"
    word = "class" if len(result.forget) == 1 else "classes"
    return f"has not learned the {word} ({percent(before)} before unlearning{beside}): no baseline"
