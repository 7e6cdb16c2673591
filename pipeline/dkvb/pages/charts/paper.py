"""The paper's own figures: retain against forget accuracy along a sweep, and misclassifications per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from dkvb.metrics.intervals import stat
from dkvb.pages.charts import palette
from dkvb.pages.charts.base import MANY, SHOWN, data, finish
from dkvb.pages.facts.records import ReportRun, Setup, class_label, short
from dkvb.pages.facts.words import count, percent

FINE = alt.Axis(format=".1%", tickCount=5, title=None)


def trade(
    run: ReportRun, method: str, frame: pl.DataFrame, published: Sequence[tuple[int, float, float]] = ()
) -> dict[str, Any] | None:
    """Figures 2, 3, 7 and 8: a mark per N of the sweep, retain test accuracy above forget test accuracy; None without
    test samples.

    Args:
        published: (N, forget, retain) of the points that the paper spells out, drawn as crosses.
    """
    test = frame.filter(pl.col("split") == "test").sort("n")
    if not {"retain", "forget"} <= set(test.columns):
        return None
    rows = [
        {"n": row["n"], "retain": row["retain"], "forget": row["forget"], "masked": row["masked"]}
        | {"low": row["retain"] - (row["retain_ci95"] or 0), "high": row["retain"] + (row["retain_ci95"] or 0)}
        for row in test.to_dicts()
        if row["retain"] is not None and row["forget"] is not None
    ]
    if not rows:
        return None
    said = [{"n": n, "forget": forget, "retain": retain} for n, forget, retain in published]
    low = min([row["low"] for row in rows] + [point["retain"] for point in said])
    high = max([row["high"] for row in rows] + [point["retain"] for point in said])
    margin = 0.15 * (high - low) + 0.005
    colour = f"@{palette.look(method).colour}"
    x = alt.X(
        "forget:Q", title="accuracy on the forgotten class", scale=alt.Scale(domain=[0, 1], reverse=True), axis=_axis()
    )
    y = alt.Y(
        "retain:Q",
        title=None,
        scale=alt.Scale(domain=[max(0, low - margin), min(1, high + margin)], zero=False),
        axis=FINE,
    )
    base = alt.Chart(data(rows)).encode(x=x)
    tips = [
        alt.Tooltip("n:Q", title="N", format=",.0f"),
        alt.Tooltip("forget:Q", title="forgotten class", format=".2%"),
        alt.Tooltip("retain:Q", title="other classes", format=".2%"),
        alt.Tooltip("masked:Q", title="pairs masked", format=",.0f"),
    ]
    layers = [
        base.mark_rule(color=colour, opacity=0.35).encode(y=alt.Y("low:Q", axis=FINE), y2="high:Q"),
        base.mark_line(color=colour, strokeWidth=1, opacity=0.5).encode(y=y, order="n:Q"),
        base.mark_point(filled=True, size=46, opacity=1, color=colour, stroke="@page", strokeWidth=1).encode(
            y=y, tooltip=tips
        ),
    ]
    if said:
        crosses = alt.Chart(data(said)).mark_point(shape="cross", size=70, filled=True, opacity=1, color="@ink")
        layers.append(crosses.encode(x=x, y=y, tooltip=tips[:3]))
    first, last = rows[0], rows[-1]
    description = (
        f"Retain test accuracy against forget test accuracy as N grows from 0 to {count(last['n'])}: from"
        f" {percent(first['retain'])} at {percent(first['forget'])} to {percent(last['retain'])} at"
        f" {percent(last['forget'])}."
    )
    if said:
        ended = said[-1]
        description += (
            f" Crosses: the paper's, ending at {percent(ended['retain'])} and {percent(ended['forget'])}, N ="
            f" {count(ended['n'])}."
        )
    return finish(alt.layer(*layers).properties(height=230), description)


def _axis() -> alt.Axis:
    return alt.Axis(format=".0%", tickCount=5, grid=False)


def missed(setup: Setup, forget: tuple[int, ...]) -> tuple[dict[str, Any] | None, pl.DataFrame]:
    """Figure 5: misclassified test samples of every class before unlearning, mean over seeds; the forgotten classes
    stand out."""
    columns = zip(*(trained.artifact.result.get("misclassified_test", []) for trained in setup.seeds), strict=True)
    found = [stat(float(value) for value in column) for column in columns]
    rows: list[dict[str, Any]] = [
        {
            "class": index,
            "name": short(class_label(index, setup.classes[index])),
            "missed": one.mean,
            "forget": index in forget,
        }
        for index, one in enumerate(found)
        if one
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    if not rows:
        return None, table
    ranked = sorted(rows, key=lambda row: (row["missed"], row["class"]))
    drawn = ranked if len(ranked) <= MANY else ranked[:SHOWN]
    drawn += [row for row in ranked[SHOWN:] if len(ranked) > MANY and row["forget"]]
    order = [str(row["name"]) for row in drawn]
    colour = alt.condition("datum.forget", alt.value("@forget"), alt.value("@retain"))
    chart = (
        alt.Chart(data(drawn))
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X("missed:Q", title="misclassified test samples", axis=alt.Axis(tickCount=5)),
            y=alt.Y("name:N", title=None, sort=order),
            color=colour,
            tooltip=[
                alt.Tooltip("name:N", title="class"),
                alt.Tooltip("missed:Q", title="misclassified", format=",.1f"),
            ],
        )
        .properties(height=max(120, 18 * len(drawn)))
    )
    best = ranked[0]
    description = (
        f"Bars of misclassified test samples per class, fewest first: {best['name']} with"
        f" {count(round(best['missed']))}."
    )
    return finish(chart, description), table
