"""Means over seeds, as `--json` adds them beside the entries of each seed."""

from __future__ import annotations

from typing import ClassVar, Literal

from dkvb.records.accuracies import Model
from dkvb.records.base import Record


class OverSeeds(Record):
    """Mean over seeds; of a single seed, no deviation and no interval."""

    mean: float
    """Mean over the seeds that have a number."""
    sd: float | None
    """Sample standard deviation."""
    low: float | None
    high: float | None
    """Ends of Student's 95% interval of the mean, no further than a value can go. It is of training alone: all seeds
    share the test samples."""
    least: float | None = None
    """The least of the seeds' values: of two or three, their range says more than an interval."""
    most: float | None = None
    """The largest of them."""
    seeds: int
    """How many those are."""


class AccuraciesOverSeeds(Record):
    """`Accuracies` over seeds, each None where no seed has samples."""

    absent: ClassVar[frozenset[str]] = frozenset({"retain_validation", "forget_validation"})

    retain_test: OverSeeds | None
    forget_test: OverSeeds | None
    retain_train: OverSeeds | None
    forget_train: OverSeeds | None
    retain_validation: OverSeeds | None = None
    forget_validation: OverSeeds | None = None


class TrainSummary(Record):
    """A model over its seeds."""

    stage: Literal["train"] = "train"
    model: Model
    train: OverSeeds | None
    test: OverSeeds | None
    seconds: OverSeeds | None


class UnlearnSummary(Record):
    """A method on one forget set over the seeds."""

    stage: Literal["unlearn"] = "unlearn"
    method: str
    forget: list[int]
    before: AccuraciesOverSeeds
    after: AccuraciesOverSeeds
    change: AccuraciesOverSeeds
    """After less before, seed by seed."""
    n: OverSeeds | None
    masked: OverSeeds | None
    seconds: OverSeeds | None
