"""The numbers of a run as tables: what lies beside its page as Parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from dkvb.metrics.intervals import Stat, stat
from dkvb.pages.facts.retraining import points_table
from dkvb.pages.facts.runs import ACCURACIES, MethodResult, ReportRun, When, accuracy
from dkvb.records.unlearn import UnlearnResult

PLAIN = ("seed", "n", "masked", "seconds", "seconds_counts", "seconds_choose", "flops", "flops_adam", "flops_counts")

WHEN: tuple[When, When] = ("before", "after")


@dataclass(frozen=True)
class Measure:
    """One of the recipe's metrics on one result, over seeds."""

    result: MethodResult
    name: str
    before: Stat | None
    after: Stat | None


def run_tables(run: ReportRun) -> dict[str, pl.DataFrame]:
    """Every table that has rows, by name."""
    tables = {
        "curve": pl.concat(_labelled(run, "means"), how="diagonal_relaxed") if run.sweeps else pl.DataFrame(),
        "counts": pl.concat(_labelled(run, "counts"), how="diagonal_relaxed") if run.sweeps else pl.DataFrame(),
        "classes": class_table(run),
        "methods": method_table(run),
        "retraining": points_table(run),
    }
    return {name: frame for name, frame in tables.items() if not frame.is_empty()}


def _labelled(run: ReportRun, which: str) -> list[pl.DataFrame]:
    """One of the frames of every sweep, with its method and model."""
    return [
        getattr(sweep, which).select(pl.lit(method).alias("method"), pl.lit(model).alias("model"), pl.all())
        for (method, model), sweep in run.sweeps.items()
    ]


def class_table(run: ReportRun) -> pl.DataFrame:
    """A row per result and class: test accuracy before and after, over seeds."""
    rows = []
    for result in run.methods:
        columns = {when: result.per_class(when) for when in WHEN}
        for index, name in enumerate(run.setup.classes):
            row: dict[str, Any] = {"method": result.label, "model": result.setup.model, "class": index, "name": name}
            row["forget"] = index in run.forget
            for when, column in columns.items():
                mean = column[index]
                row |= {when: mean and mean.mean, f"{when}_sd": mean and mean.sd, f"{when}_ci95": mean and mean.ci95}
            rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def method_table(run: ReportRun) -> pl.DataFrame:
    """A row per result and seed, with every split before and after."""
    rows = []
    for result in run.methods:
        for one in result.results:
            row: dict[str, Any] = {"method": result.label, "model": result.setup.model}
            row |= {name: getattr(one, name) for name in PLAIN}
            row |= {f"{when}_{split}": accuracy(one, when, split) for split in ACCURACIES for when in WHEN}
            rows.append(row | {f"{when}_{name}": pair.get(when) for name, pair in _measured(one) for when in WHEN})
    return pl.DataFrame(rows, infer_schema_length=None)


def measures(run: ReportRun) -> list[Measure]:
    """A row per result and metric; empty where no metrics were asked for."""
    rows = []
    for result in run.methods:
        pairs: dict[str, list[Mapping[str, float | None]]] = {}
        for one in result.results:
            for name, pair in _measured(one):
                pairs.setdefault(name, []).append(pair)
        rows += [
            Measure(result, name, *(stat(pair.get(when) for pair in each) for when in WHEN))
            for name, each in pairs.items()
        ]
    return rows


def _measured(result: UnlearnResult) -> list[tuple[str, Mapping[str, float | None]]]:
    """The metrics of a result: name and value before and after."""
    return list((result.model_dump().get("measures") or {}).items())
