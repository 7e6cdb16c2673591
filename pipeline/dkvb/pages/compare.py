"""The page that compares methods on one trained bottleneck, over every class that was forgotten and every seed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import polars as pl

from dkvb.metrics.intervals import Stat, stat
from dkvb.pages.charts import compare as compare_charts
from dkvb.pages.charts import palette
from dkvb.pages.facts import words
from dkvb.pages.facts.records import Collected, MethodResult, ReportRun, Setup
from dkvb.pages.page import Page, data_name, render
from dkvb.workspace.files import canonical_hash

CONTROL = "logit-mask"


@dataclass(frozen=True)
class Summary:
    """One method over all forgotten sets and seeds."""

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

    @property
    def name(self) -> str:
        return compare_charts.name_of(self.method, self.model)


def pages(found: Collected) -> list[Page]:
    """A page per bottleneck from which something was unlearned."""
    by_setup: dict[str, list[ReportRun]] = defaultdict(list)
    for run in found.runs:
        if run.methods:
            by_setup[run.setup.key].append(run)

    def one(setup: Setup, runs: list[ReportRun]) -> Page:
        inputs = [
            [run.page, canonical_hash(artifact.manifest)]
            for run in runs
            for result in run.methods
            for artifact in result.artifacts
        ]
        title = f"Methods compared on {setup.data}"
        about = (
            f"{setup.encoder}, {setup.shape}: every method over {words.plural(len(runs), 'forget set', 'forget sets')}"
            " and all seeds"
        )
        return Page(setup.compare, title, about, [setup.key, inputs], lambda: page(setup, runs), "compare")

    return [one(setup, by_setup[setup.key]) for setup in found.setups if setup.key in by_setup]


def page(setup: Setup, runs: list[ReportRun]) -> tuple[str, dict[str, pl.DataFrame]]:
    """The page's HTML, and its data."""
    runs = sorted(runs, key=lambda run: run.forget)
    results = pl.DataFrame(_rows(runs), infer_schema_length=None)
    changes = pl.DataFrame(_changes(runs), infer_schema_length=None)
    tables = {"results": results, "changes": changes}
    found = summaries(results)
    charts = {
        "left": compare_charts.strip(results, "forget", runs),
        "change": compare_charts.strip(results, "change", runs),
        "matrix": compare_charts.matrix(changes, runs),
    }
    html = render(
        "compare.html",
        setup=setup,
        runs=runs,
        found=found,
        charts={name: spec for name, spec in charts.items() if spec},
        cells=_cells(changes),
        control=palette.look(CONTROL).name,
        has_control=any(one.control for one in found if one.method != CONTROL),
        several=max((one.seeds for one in found), default=1) > 1 or len(runs) > 1,
        tables={name: data_name(setup.compare, name) for name in tables},
        links=[("index.html", "All reports"), (setup.inside, "Inside the bottleneck")],
    )
    return html, tables


def _latest(run: ReportRun) -> list[MethodResult]:
    """The most recent setting of each method and model."""
    latest = {(result.method, result.setup.model): result for result in run.methods}
    return sorted(latest.values(), key=lambda result: (palette.rank(result.method), result.method))


def _rows(runs: list[ReportRun]) -> list[dict[str, Any]]:
    """A row per forget set, method and seed."""
    return [
        {
            "forgotten": words.forgotten(run),
            "page": run.page,
            "method": result.method,
            "model": result.setup.model,
            "seed": one["seed"],
            "n": one.get("n"),
            "forget": one["after"].get("forget_test"),
            "retain": one["after"].get("retain_test"),
            "change": _less(one["after"].get("retain_test"), one["before"].get("retain_test")),
            "seconds": one.get("seconds"),
        }
        for run in runs
        for result in _latest(run)
        for one in result.results
    ]


def _changes(runs: list[ReportRun]) -> list[dict[str, Any]]:
    """A row per forget set, method and class: the mean change of its test accuracy over seeds."""
    rows = []
    for run in runs:
        for result in _latest(run):
            for index, name in enumerate(run.setup.classes):
                found = stat(
                    _less(one["per_class_after"][index], one["per_class_before"][index]) for one in result.results
                )
                row = {
                    "forgotten": words.forgotten(run),
                    "method": result.method,
                    "model": result.setup.model,
                    "class": index,
                    "name": name,
                }
                rows.append(
                    row | {"mine": index in run.forget, "change": found and found.mean, "sd": found and found.sd}
                )
    return rows


def _less(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def summaries(results: pl.DataFrame) -> list[Summary]:
    """Every method over all forget sets and seeds; against the control, pair by pair."""
    control = {
        (row["forgotten"], row["seed"]): row["retain"] for row in results.filter(pl.col("method") == CONTROL).to_dicts()
    }
    found = []
    for (method, model), part in results.group_by("method", "model", maintain_order=True):
        rows = part.to_dicts()
        ahead = (
            [_less(row["retain"], control.get((row["forgotten"], row["seed"]))) for row in rows]
            if method != CONTROL
            else []
        )
        measured = [stat(row[key] for row in rows) for key in ("forget", "retain", "change", "seconds")]
        found.append(
            Summary(
                str(method),
                str(model),
                measured[0],
                measured[1],
                measured[2],
                # another model's control says nothing about this one
                stat(ahead) if model == "dkvb" else None,
                measured[3],
                len({row["forgotten"] for row in rows}),
                len({row["seed"] for row in rows}),
            )
        )
    return sorted(found, key=lambda one: (palette.rank(one.method), one.method, one.model))


def _cells(changes: pl.DataFrame) -> list[dict[str, Any]]:
    """Per method and forget set, the other class that lost most and the one that gained most."""
    rows = []
    for (method, model, forgotten), part in changes.group_by("method", "model", "forgotten", maintain_order=True):
        others = part.filter(~pl.col("mine")).drop_nulls("change").sort("change")
        if others.is_empty():
            continue
        first, last = others.row(0, named=True), others.row(-1, named=True)
        rows.append(
            {
                "method": method,
                "name": compare_charts.name_of(str(method), str(model)),
                "forgotten": forgotten,
                "worst": first["name"],
                "lost": first["change"],
                "best": last["name"],
                "gained": last["change"],
                "moved": others.filter(pl.col("change").abs() > words.CLOSE).height,
                "of": others.height,
            }
        )
    return rows
