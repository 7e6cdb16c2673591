"""Retraining after unlearning (paper, section 5.4): accuracy per epoch, on the classes that stay and on the forgotten
one."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from dkvb.metrics.intervals import stat
from dkvb.pages.charts import palette
from dkvb.pages.charts.base import PERCENT, SEEDS, Legend, data, finish, seeds_text, spread_tips
from dkvb.pages.facts.records import ReportRun
from dkvb.pages.facts.words import forgotten, others, percent

WHICH = {"retain": "the classes that stay", "forget": "the forgotten class"}


def table(run: ReportRun) -> pl.DataFrame:
    """One row per method, model, seed and epoch, with what was measured there."""
    rows = [
        {
            "method": artifact.result["method"],
            "model": artifact.result["model"],
            "seed": artifact.result["seed"],
            "n": artifact.result.get("n"),
        }
        | {key: value for key, value in point.items() if isinstance(value, int | float)}
        for artifact in run.retraining
        for point in artifact.result["points"]
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def means(run: ReportRun) -> list[dict[str, Any]]:
    """A row per method and epoch: test accuracies over seeds; of several settings of a method, the most recent."""
    latest = {(found.result["method"], found.result["model"], found.result["seed"]): found for found in run.retraining}
    points: dict[tuple[str, str, int], list[tuple[int, dict[str, Any]]]] = {}
    for (method, model, seed), artifact in sorted(latest.items(), key=lambda item: palette.rank(item[0][0])):
        for point in artifact.result["points"]:
            points.setdefault((method, model, point["epoch"]), []).append((seed, point))
    rows = []
    for (method, _, epoch), found in points.items():
        name = palette.look(method).name
        row: dict[str, Any] = {"method": method, "name": name, "epoch": epoch, "seeds": len(found)}
        for which in WHICH:
            row[which] = stat(point.get(f"{which}_test") for _, point in found)
            row[f"{which}_each"] = [(seed, point.get(f"{which}_test")) for seed, point in found]
        rows.append(row)
    return rows


def charts(run: ReportRun) -> dict[str, dict[str, Any]]:
    """`retraining-retain` and `retraining-forget`; empty where nothing was retrained."""
    rows = means(run)
    found = {f"retraining-{which}": _chart(run, which, rows) for which in WHICH}
    return {name: spec for name, spec in found.items() if spec}


def _chart(run: ReportRun, which: str, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    lines = [
        {
            "name": row["name"],
            "epoch": row["epoch"],
            "a": mean.mean,
            "ci": spread_tips(mean)["ci"],
            "each": seeds_text(row[f"{which}_each"]),
        }
        | {"low": mean.mean - (mean.ci95 or 0), "high": mean.mean + (mean.ci95 or 0)}
        for row in rows
        if (mean := row[which])
    ]
    if not lines:
        return None
    several = any(row["seeds"] > 1 for row in rows)
    look = Legend({row["method"] for row in rows})
    low, high = min(row["a"] for row in lines), max(row["a"] for row in lines)
    domain = (
        [0, 1]
        if which == "forget"
        else [max(0, low - 0.2 * (high - low) - 0.01), min(1, high + 0.2 * (high - low) + 0.01)]
    )
    last = max(row["epoch"] for row in lines) or 1
    x = alt.X(
        "epoch:Q",
        title="epochs of retraining on the classes that stay",
        scale=alt.Scale(domain=[0, last], nice=False, padding=8),
        axis=alt.Axis(tickMinStep=1, grid=False, format="d"),
    )
    y = alt.Y(
        "a:Q",
        scale=alt.Scale(domain=domain, zero=False),
        axis=PERCENT if which == "forget" else alt.Axis(format=".1~%", title=None),
    )
    base = alt.Chart(data(lines)).transform_filter(look.shown).encode(x=x, color=look.colour)
    tips = [
        alt.Tooltip("name:N", title="method"),
        alt.Tooltip("epoch:Q"),
        alt.Tooltip("a:Q", title="accuracy", format=".2%"),
    ]
    tips += [alt.Tooltip("ci:N", title="95% interval"), alt.Tooltip("each:N", title="by seed")]
    layers: list[Any] = []
    if several:
        layers.append(base.mark_area(opacity=0.14, clip=True).encode(y=alt.Y("low:Q", title=None), y2="high:Q"))
        single = [
            {"name": row["name"], "epoch": row["epoch"], "seed": seed, "a": value}
            for row in rows
            for seed, value in row[f"{which}_each"]
            if value is not None
        ]
        thin = alt.Chart(data(single)).transform_filter(f"seeds && {look.shown}").mark_line(strokeWidth=1, opacity=0.6)
        layers.append(thin.encode(x=x, y=y, color=look.colour, detail="seed:N"))
    layers += [
        base.mark_line().encode(y=y),
        base.mark_point(filled=True, size=45, opacity=1).encode(y=y, shape=look.shape, tooltip=tips),
    ]
    ends = {row["name"]: row for row in lines}
    words = "; ".join(f"{name} ends at {percent(row['a'])}" for name, row in ends.items())
    who = others(run) if which == "retain" else forgotten(run)
    chart = alt.layer(*layers).add_params(look.off, *([SEEDS] if several else [])).properties(height=260)
    return finish(chart, f"Line chart of test accuracy on {who} by epoch of retraining: {words}.", 8, look.entries)
