"""Methods side by side on one trained bottleneck, over every class that was forgotten and every seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from dkvb.metrics.intervals import Stat, stat
from dkvb.pages.facts import methods
from dkvb.pages.facts.methods import CONTROL
from dkvb.pages.facts.runs import MethodResult, ReportRun, accuracy, latest, less
from dkvb.pages.facts.words import CLOSE, forgotten, percent, plural, points


@dataclass(frozen=True)
class Summary:
    """One method over all forget sets and seeds."""

    method: str
    model: str
    forget: Stat | None
    retain: Stat | None
    change: Stat | None
    """After less before, on the classes that stay."""
    control: Stat | None
    """Retain accuracy less the control's, pair by pair."""
    seconds: Stat | None
    sets: int
    seeds: int
    not_learned: int
    """Of its results, those of a linear head that had not learned the class: they are no baseline."""

    @property
    def name(self) -> str:
        return methods.title_among(self.method, self.model)


@dataclass(frozen=True)
class Extremes:
    """One method on one forget set: which of the other classes lost most and which gained most, in accuracy."""

    method: str
    name: str
    forgotten: str
    worst: str
    lost: float
    best: str
    gained: float
    moved: int
    """Classes whose accuracy moved by more than a point, of `of`."""
    of: int


def _results(run: ReportRun) -> list[MethodResult]:
    """The most recent setting of each method and model."""
    return sorted(latest(run.methods), key=lambda result: (methods.rank(result.method), result.method))


def results_table(runs: Sequence[ReportRun]) -> pl.DataFrame:
    """A row per forget set, method and seed: test accuracies after, and the change on the classes that stay."""
    rows = [
        {
            "forgotten": forgotten(run),
            "page": run.page,
            "method": result.method,
            "model": result.setup.model,
            "seed": one.seed,
            "n": one.n,
            "forget": one.after.forget_test,
            "retain": one.after.retain_test,
            "change": less(accuracy(one, "after", "retain_test"), accuracy(one, "before", "retain_test")),
            "seconds": one.seconds,
            "learned": run.no_baseline(one) is None,
        }
        for run in runs
        for result in _results(run)
        for one in result.results
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def changes_table(runs: Sequence[ReportRun]) -> pl.DataFrame:
    """A row per forget set, method and class: the mean change of its test accuracy over seeds."""
    rows: list[dict[str, Any]] = []
    for run in runs:
        for result in _results(run):
            about = {"forgotten": forgotten(run), "method": result.method, "model": result.setup.model}
            for index, name in enumerate(run.setup.classes):
                pairs = [(one.per_class_after[index], one.per_class_before[index]) for one in result.results]
                change = stat(less(after, before) for after, before in pairs)
                row = {"class": index, "name": name, "mine": index in run.forget}
                rows.append(about | row | {"change": change and change.mean, "sd": change and change.sd})
    return pl.DataFrame(rows, infer_schema_length=None)


def summaries(results: pl.DataFrame) -> list[Summary]:
    """Every method of `results_table` over all forget sets and seeds; against the control, pair by pair."""
    controls = results.filter(pl.col("method") == CONTROL).to_dicts()
    control = {(row["forgotten"], row["seed"]): row["retain"] for row in controls}
    rows = []
    for (method, model), part in results.group_by("method", "model", maintain_order=True):
        ones = part.to_dicts()
        ahead = [less(one["retain"], control.get((one["forgotten"], one["seed"]))) for one in ones]
        # another model's control says nothing about this one
        compared = method != CONTROL and model == "dkvb"
        rows.append(
            Summary(
                method=str(method),
                model=str(model),
                forget=stat(one["forget"] for one in ones),
                retain=stat(one["retain"] for one in ones),
                change=stat(one["change"] for one in ones),
                control=stat(ahead) if compared else None,
                seconds=stat(one["seconds"] for one in ones),
                sets=len({one["forgotten"] for one in ones}),
                seeds=len({one["seed"] for one in ones}),
                not_learned=sum(not one["learned"] for one in ones),
            )
        )
    return sorted(rows, key=lambda row: (methods.rank(row.method), row.method, row.model))


def answer(rows: Sequence[Summary]) -> str:
    """Which method leaves next to nothing of the forgotten classes at the least cost to the others, and how the first
    one and the retrained model do. Controls are left out. "" where nothing was measured."""
    tried = [row for row in rows if row.forget and row.change and methods.rank(row.method) < len(methods.order())]
    own = [row for row in tried if row.method != CONTROL and not row.method.startswith("retrain")]
    done = [row for row in own if _left(row) <= CLOSE]
    if not own:
        return ""
    sentences = []
    if done:
        best = max(done, key=_change)
        sentences.append(
            f"Of the {plural(len(own), 'method', 'methods')}, {len(done)} leave{'s' if len(done) == 1 else ''} no more"
            f" than {percent(CLOSE)} of the forgotten classes; of these {best.name} keeps the others best"
            f" ({points(_change(best))} points)."
        )
    else:
        sentences.append(f"No method brings the forgotten classes to {percent(CLOSE)}.")
    sentences += [
        f"{row.name}: {percent(_left(row))} left, the others {points(_change(row))} points."
        for row in (*own[:1], *(row for row in tried if row.method == "retrain"))
    ]
    return " ".join(sentences)


def _left(row: Summary) -> float:
    return row.forget.mean if row.forget else 1.0


def _change(row: Summary) -> float:
    return row.change.mean if row.change else -1.0


def extremes(changes: pl.DataFrame) -> list[Extremes]:
    """Of `changes_table`, per method and forget set, the other class that lost most and the one that gained most."""
    rows = []
    for (method, model, forgot), part in changes.group_by("method", "model", "forgotten", maintain_order=True):
        others = part.filter(~pl.col("mine")).drop_nulls("change").sort("change")
        if others.is_empty():
            continue
        first, last = others.row(0, named=True), others.row(-1, named=True)
        rows.append(
            Extremes(
                method=str(method),
                name=methods.title_among(str(method), str(model)),
                forgotten=str(forgot),
                worst=first["name"],
                lost=first["change"],
                best=last["name"],
                gained=last["change"],
                moved=others.filter(pl.col("change").abs() > CLOSE).height,
                of=others.height,
            )
        )
    return rows
