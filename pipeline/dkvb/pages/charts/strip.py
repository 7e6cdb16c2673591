"""Methods as strips: a row per method with a dot per forget set, or per seed of it, and the mean over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from dkvb.metrics.intervals import stat
from dkvb.pages.charts.base import Legend, Row, Spec, data, ends, finish, layered, percent_axis, seeds, spread_tips
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts import methods
from dkvb.pages.facts.words import percent, points, short

What = Literal["forget", "change"]
"""Accuracy on the forgotten class, or the change of accuracy on the classes that stay."""

SAID: dict[What, str] = {"forget": "test accuracy after", "change": "change of test accuracy, points"}

WHOSE: dict[What, str] = {"forget": " on the forgotten class", "change": " on the classes that stay"}

DOT: dict[str, Any] = {"filled": False, "size": 55, "strokeWidth": 1.5, "opacity": 0.75, "yOffset": 9}


@dataclass
class _Rows:
    """What the chart is drawn from."""

    means: list[Row] = field(default_factory=list)
    """One per method."""
    dots: list[Row] = field(default_factory=list)
    """One per method and forget set."""
    singles: list[Row] = field(default_factory=list)
    """One per method, forget set and seed."""


def strip(results: pl.DataFrame, what: What) -> Spec | None:
    """Of `comparison.results_table`; None where nothing was measured."""
    known = sorted(results.drop_nulls(what).to_dicts(), key=lambda row: methods.rank(row["method"]))
    if not known:
        return None
    rows = _rows(known, what)
    several = len(rows.singles) > len(rows.dots)
    look = Legend(row["method"] for row in known)
    labels = [row["label"] for row in rows.means]
    y = alt.Y("label:N", sort=labels, axis=alt.Axis(title=None, labelLimit=0, labelColor="@ink", labelPadding=10))
    x = _axis(rows, what)
    marked = {"x": x, "y": y, "color": look.colour, "shape": look.shape}
    tips = [
        alt.Tooltip("whole:N", title="method"),
        alt.Tooltip("forgotten:N"),
        alt.Tooltip("v:Q", title="value", format=_format(what)),
    ]
    layers: list[Any] = [alt.Chart(data(rows.means)).mark_rule(color="@grid").encode(y=y)]
    if what == "change":
        zero = alt.Chart(data([{"v": 0}])).mark_rule(color="@muted", strokeDash=[3, 4])
        layers.append(zero.encode(x=alt.X("v:Q", title=SAID[what])))
    dots = alt.Chart(data(rows.dots)).transform_filter("!seeds" if several else "true").mark_point(**DOT)
    layers.append(dots.encode(**marked, tooltip=[*tips, alt.Tooltip("seeds:Q", title="seeds")]))
    if several:
        singles = alt.Chart(data(rows.singles)).transform_filter("seeds").mark_point(**DOT)
        layers.append(singles.encode(**marked, tooltip=[*tips, alt.Tooltip("seed:N")]))
    layers += _means(rows.means, what, x, y, look)
    said = "; ".join(
        f"{row['label']} {percent(row['v']) if what == 'forget' else points(row['v'] / 100)}" for row in rows.means
    )
    chart = layered(layers, 46 * len(labels), *seeds(several))
    return finish(chart, f"Strip chart, a row per method, of {SAID[what]}{WHOSE[what]}: {said}.", top=8)


def _rows(known: Sequence[Row], what: What) -> _Rows:
    """`known`: rows of `comparison.results_table`. Accuracies are shares, changes points."""
    scale = 1 if what == "forget" else 100
    rows = _Rows()
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in known:
        groups.setdefault((row["method"], row["model"]), []).append(row)
    for (method, model), mine in groups.items():
        whole = methods.title_among(method, model)
        about = {"label": short(whole, 26), "whole": whole, "name": methods.title(method)}
        over = stat(row[what] for row in mine)
        assert over
        least = 0.0 if what == "forget" else -1.0
        place = {end: scale * value for end, value in ends(over, least).items()}
        row = about | {"v": scale * over.mean} | place | spread_tips(over, least)
        rows.means.append(row | {"pairs": len(mine)})
        for forgotten in dict.fromkeys(row["forgotten"] for row in mine):
            values = [row[what] for row in mine if row["forgotten"] == forgotten]
            mean = stat(values)
            assert mean
            rows.dots.append(about | {"v": scale * mean.mean, "forgotten": forgotten, "seeds": len(values)})
        rows.singles += [
            about | {"v": scale * row[what], "forgotten": row["forgotten"], "seed": row["seed"]} for row in mine
        ]
    return rows


def _axis(rows: _Rows, what: What) -> Any:
    values = [row["v"] for row in rows.singles]
    if what == "forget":
        domain, axis = [0, max(0.1, *values)], percent_axis()
    else:
        ends = [0.0, *(row[end] for row in rows.means for end in ("low", "high")), *values]
        domain, axis = [min(ends), max(ends)], alt.Axis(format="+.1f", tickCount=5)
    return alt.X("v:Q", title=SAID[what], scale=alt.Scale(domain=domain, padding=8), axis=axis)


def _format(what: What) -> str:
    return ".2%" if what == "forget" else "+.2f"


def _means(means: list[Row], what: What, x: Any, y: Any, look: Legend) -> list[Any]:
    """The means with their intervals."""
    tips = [
        alt.Tooltip("whole:N", title="method"),
        alt.Tooltip("v:Q", title="mean", format=_format(what)),
        alt.Tooltip("ci:N", title="over seeds"),
        alt.Tooltip("sd:N", title="deviation"),
        alt.Tooltip("pairs:Q", title="class × seed pairs"),
    ]
    base = alt.Chart(data(means)).encode(y=y, color=look.colour)
    mark = base.mark_point(filled=True, size=110, opacity=1, stroke="@page", strokeWidth=1.5, yOffset=-5)
    return [
        base.mark_rule(strokeWidth=2.5, yOffset=-5).encode(x=alt.X("low:Q", title=SAID[what]), x2=alt.X2("high:Q")),
        mark.encode(x=x, shape=look.shape, tooltip=tips),
    ]
