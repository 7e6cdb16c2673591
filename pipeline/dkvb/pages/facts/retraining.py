"""Training on after unlearning (paper, section 5.4): accuracy per epoch, on the classes that stay and on the forgotten
one."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from dkvb.metrics.intervals import Stat, stat
from dkvb.pages.facts import methods
from dkvb.pages.facts.runs import ReportRun
from dkvb.pages.facts.sweeps import Role

MEASURED = (
    "epoch",
    *("retain_test", "forget_test", "retain_train", "forget_train", "retain_validation", "forget_validation"),
)


@dataclass(frozen=True)
class EpochMean:
    """One method after one epoch: test accuracies by seed."""

    method: str
    epoch: int
    retain_each: list[tuple[int, float | None]]
    forget_each: list[tuple[int, float | None]]
    """(seed, test accuracy)."""

    @property
    def name(self) -> str:
        return methods.title(self.method)

    @property
    def seeds(self) -> int:
        return len(self.retain_each)

    @property
    def retain(self) -> Stat | None:
        return stat(value for _, value in self.retain_each)

    @property
    def forget(self) -> Stat | None:
        return stat(value for _, value in self.forget_each)

    def of(self, role: Role) -> Stat | None:
        return self.retain if role == "retain" else self.forget

    def each(self, role: Role) -> list[tuple[int, float | None]]:
        return self.retain_each if role == "retain" else self.forget_each


def points_table(run: ReportRun) -> pl.DataFrame:
    """One row per method, model, seed and epoch, with what was measured there."""
    rows = [
        {"method": made.result.method, "model": made.result.model, "seed": made.result.seed, "n": made.result.n}
        | {name: value for name in MEASURED if (value := getattr(point, name)) is not None}
        for made in run.retraining
        for point in made.result.points
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def epoch_means(run: ReportRun) -> list[EpochMean]:
    """A row per method and epoch; of several settings of a method, the most recent."""
    latest = {(made.result.method, made.result.model, made.result.seed): made.result for made in run.retraining}
    rows: dict[tuple[str, str, int], EpochMean] = {}
    for (method, model, seed), result in sorted(latest.items(), key=lambda item: methods.rank(item[0][0])):
        for point in result.points:
            row = rows.setdefault((method, model, point.epoch), EpochMean(method, point.epoch, [], []))
            row.retain_each.append((seed, point.retain_test))
            row.forget_each.append((seed, point.forget_test))
    return list(rows.values())
