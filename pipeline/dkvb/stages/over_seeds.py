"""Results of stages over training seeds: means with a 95 % interval, a row per model or per method and forget set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from dkvb.metrics.intervals import stat
from dkvb.records.accuracies import Accuracies
from dkvb.records.over_seeds import AccuraciesOverSeeds, OverSeeds, TrainSummary, UnlearnSummary
from dkvb.records.train import TrainResult
from dkvb.records.unlearn import UnlearnResult


def over_seeds(
    values: Iterable[float | None], lowest: float = -math.inf, highest: float = math.inf
) -> OverSeeds | None:
    """Mean, deviation, range and interval of a value per seed; None where no seed has one.

    Args:
        lowest, highest: what a value can be, at which the interval is cut off.
    """
    known = stat(values)
    if known is None:
        return None
    half, mean = known.ci95, known.mean
    if half is None:
        return OverSeeds(mean=mean, sd=None, low=None, high=None, seeds=1)
    ends = {"low": max(lowest, mean - half), "high": min(highest, mean + half)}
    return OverSeeds(mean=mean, sd=known.sd, **ends, least=known.least, most=known.most, seeds=known.count)


def train_summary(entries: Iterable[TrainResult]) -> list[TrainSummary]:
    """A row per model."""
    grouped: dict[str, list[TrainResult]] = {}
    for entry in entries:
        grouped.setdefault(entry.model, []).append(entry)
    return [
        TrainSummary(
            model=same[0].model,
            train=over_seeds((entry.train for entry in same), 0, 1),
            test=over_seeds((entry.test for entry in same), 0, 1),
            seconds=over_seeds((entry.seconds for entry in same), 0),
        )
        for same in grouped.values()
    ]


def unlearn_summary(entries: Iterable[UnlearnResult]) -> list[UnlearnSummary]:
    """A row per method and forget set."""
    grouped: dict[tuple[str, tuple[int, ...]], list[UnlearnResult]] = {}
    for entry in entries:
        grouped.setdefault((entry.method, tuple(entry.forget)), []).append(entry)
    return [
        UnlearnSummary(
            method=same[0].method,
            forget=same[0].forget,
            before=_accuracies([_shares(entry.before) for entry in same]),
            after=_accuracies([_shares(entry.after) for entry in same]),
            change=_accuracies([_change(entry) for entry in same], -1),
            n=over_seeds((entry.n for entry in same), 0),
            masked=over_seeds((entry.masked for entry in same), 0),
            seconds=over_seeds((entry.seconds for entry in same), 0),
        )
        for same in grouped.values()
    ]


Shares = dict[str, float | None]
"""Name of an accuracy ("retain_test", …) -> its value."""


def _shares(accuracies: Accuracies) -> Shares:
    return accuracies.model_dump()


def _change(entry: UnlearnResult) -> Shares:
    """After less before; None where either is missing."""
    before, after = _shares(entry.before), _shares(entry.after)
    pairs = {name: (before[name], after[name]) for name in before}
    return {name: None if was is None or now is None else now - was for name, (was, now) in pairs.items()}


def _accuracies(by_seed: Sequence[Shares], lowest: float = 0) -> AccuraciesOverSeeds:
    return AccuraciesOverSeeds(**{name: over_seeds((of.get(name) for of in by_seed), lowest, 1) for name in by_seed[0]})
