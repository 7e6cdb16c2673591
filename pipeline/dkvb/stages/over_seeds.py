"""Results of stages over training seeds: means with a 95 % interval, a row per model or per method and forget set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dkvb.metrics.intervals import stat
from dkvb.records.accuracies import Accuracies
from dkvb.records.over_seeds import AccuraciesOverSeeds, OverSeeds, TrainSummary, UnlearnSummary
from dkvb.records.train import TrainResult
from dkvb.records.unlearn import UnlearnResult


def over_seeds(values: Iterable[float | None]) -> OverSeeds | None:
    """Mean, deviation and interval of a value per seed; None where no seed has one."""
    known = stat(values)
    if known is None:
        return None
    half = known.ci95
    low, high = (None, None) if half is None else (known.mean - half, known.mean + half)
    return OverSeeds(mean=known.mean, sd=known.sd, low=low, high=high, seeds=known.count)


def train_summary(entries: Iterable[TrainResult]) -> list[TrainSummary]:
    """A row per model."""
    grouped: dict[str, list[TrainResult]] = {}
    for entry in entries:
        grouped.setdefault(entry.model, []).append(entry)
    return [
        TrainSummary(
            model=same[0].model,
            train=over_seeds(entry.train for entry in same),
            test=over_seeds(entry.test for entry in same),
            seconds=over_seeds(entry.seconds for entry in same),
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
            change=_accuracies([_change(entry) for entry in same]),
            n=over_seeds(entry.n for entry in same),
            masked=over_seeds(entry.masked for entry in same),
            seconds=over_seeds(entry.seconds for entry in same),
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


def _accuracies(by_seed: Sequence[Shares]) -> AccuraciesOverSeeds:
    return AccuraciesOverSeeds(**{name: over_seeds(of.get(name) for of in by_seed) for name in by_seed[0]})
