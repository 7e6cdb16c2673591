"""The paper's own figures: retain against forget accuracy along a sweep, and misclassifications per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from dkvb.pages.charts import palette
from dkvb.pages.charts.base import MANY, SHOWN, Row, Spec, data, ends, finish, layered, percent_axis
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts.sweeps import Swept
from dkvb.pages.facts.words import count, percent, short

Published = Sequence[tuple[int, float, float]]
"""(N, forget, retain) of the points that the paper spells out."""


def trade(sweep: Swept, published: Published = ()) -> Spec | None:
    """Figures 2, 3, 7 and 8: a mark per N of the sweep, retain test accuracy above forget test accuracy; None without
    test samples. Published points are crosses."""
    rows = _trade_rows(sweep)
    if not rows:
        return None
    said = [{"n": n, "forget": forget, "retain": retain} for n, forget, retain in published]
    x, y, fine = _trade_axes(rows, said)
    colour = f"@{palette.look(sweep.method).colour}"
    tips = [
        alt.Tooltip("n:Q", title="N", format=",.0f"),
        alt.Tooltip("forget:Q", title="forgotten class", format=".2%"),
        alt.Tooltip("retain:Q", title="other classes", format=".2%"),
        alt.Tooltip("masked:Q", title="pairs masked", format=",.0f"),
    ]
    base = alt.Chart(data(rows)).encode(x=x)
    marks = base.mark_point(filled=True, size=46, opacity=1, color=colour, stroke="@page", strokeWidth=1)
    layers = [
        base.mark_rule(color=colour, opacity=0.35).encode(y=alt.Y("low:Q", axis=fine), y2=alt.Y2("high:Q")),
        base.mark_line(color=colour, strokeWidth=1, opacity=0.5).encode(y=y, order=alt.Order("n:Q")),
        marks.encode(y=y, tooltip=tips),
    ]
    if said:
        crosses = alt.Chart(data(said)).mark_point(shape="cross", size=70, filled=True, opacity=1, color="@ink")
        layers.append(crosses.encode(x=x, y=y, tooltip=tips[:3]))
    return finish(layered(layers, 230), _trade_words(rows, said))


def _trade_rows(sweep: Swept) -> list[Row]:
    rows = []
    for at, retain, forget in sweep.both():
        row = {"n": at.n, "retain": retain.mean, "forget": forget.mean, "masked": at.masked}
        rows.append(row | ends(retain))
    return rows


def _trade_axes(rows: list[Row], said: list[Row]) -> tuple[Any, Any, Any]:
    """Both axes, and the upright one's labels."""
    low = min([row["low"] for row in rows] + [point["retain"] for point in said])
    high = max([row["high"] for row in rows] + [point["retain"] for point in said])
    margin = 0.15 * (high - low) + 0.005
    fine = alt.Axis(format=".1%", tickCount=5, title=None)
    x = alt.X(
        "forget:Q",
        title="accuracy on the forgotten class",
        scale=alt.Scale(domain=[0, 1], reverse=True),
        axis=percent_axis(grid=False),
    )
    domain = [max(0, low - margin), min(1, high + margin)]
    return x, alt.Y("retain:Q", title=None, scale=alt.Scale(domain=domain, zero=False), axis=fine), fine


def _trade_words(rows: list[Row], said: list[Row]) -> str:
    first, last = rows[0], rows[-1]
    words = (
        f"Retain test accuracy against forget test accuracy as N grows from 0 to {count(last['n'])}: from"
        f" {percent(first['retain'])} at {percent(first['forget'])} to {percent(last['retain'])} at"
        f" {percent(last['forget'])}."
    )
    if not said:
        return words
    ended = said[-1]
    return (
        f"{words} Crosses: the paper's, ending at {percent(ended['retain'])} and {percent(ended['forget'])}, N ="
        f" {count(ended['n'])}."
    )


def missed(table: pl.DataFrame) -> Spec | None:
    """Figure 5, of `paper_numbers.missed_table`: fewest first, the forgotten classes in their colour; None without
    classes."""
    if table.is_empty():
        return None
    ranked = [row | {"short": short(row["name"], 20)} for row in table.sort("missed", "class").to_dicts()]
    drawn = ranked if len(ranked) <= MANY else ranked[:SHOWN]
    drawn += [row for row in ranked[SHOWN:] if len(ranked) > MANY and row["forget"]]
    x = alt.X("missed:Q", title="misclassified test samples", axis=alt.Axis(tickCount=5))
    y = alt.Y("short:N", title=None, sort=[row["short"] for row in drawn], axis=alt.Axis(labelLimit=0))
    tips = [alt.Tooltip("name:N", title="class"), alt.Tooltip("missed:Q", title="misclassified", format=",.1f")]
    colour = alt.ColorValue("@retain", condition={"test": "datum.forget", "value": "@forget"})
    bars = alt.Chart(data(drawn)).mark_bar(cornerRadiusEnd=2).encode(x=x, y=y, color=colour, tooltip=tips)
    best = ranked[0]
    description = (
        f"Bars of misclassified test samples per class, fewest first: {best['name']} with"
        f" {count(round(best['missed']))}."
    )
    return finish(bars.properties(height=max(120, 18 * len(drawn))), description)
