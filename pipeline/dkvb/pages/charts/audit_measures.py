"""One measure of an audit in small: a row for each kind of model, its methods beside retrained models and doing
nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dkvb.pages.charts.audit import COLOURS, OURS
from dkvb.pages.charts.base import Row, Spec, data, finish, layered
from dkvb.pages.charts.lazy import alt
from dkvb.pages.charts.palette import PENTAGON
from dkvb.pages.facts.audited import Group, own
from dkvb.pages.facts.words import measure

ROW = 40
"""Height of a row."""


def small(groups: Sequence[Group], name: str) -> Spec | None:
    """None where no method has the measure."""
    dots = [row for group in groups for row in _dots(group, name)]
    kinds = [group for group in groups if any(row["kind"] == group.short for row in dots)]
    if not dots:
        return None
    beside = [row for group in kinds for row in _beside(group, name)]
    y = alt.Y("kind:N", sort=[one.short for one in kinds], title=None, axis=alt.Axis(labelColor="@ink", labelLimit=90))
    x = alt.X("v:Q", title=None, scale=alt.Scale(zero=False, nice=True, padding=8), axis=alt.Axis(tickCount=4))
    colour = alt.Color(
        "kind:N",
        legend=None,
        scale=alt.Scale(domain=[one.short for one in kinds], range=[COLOURS[one.kind] for one in kinds]),
    )
    shape = alt.Shape("shape:N", legend=None, scale=alt.Scale(domain=["method", OURS], range=["circle", PENTAGON]))
    layers: list[Any] = []
    if any(row["low"] is not None for row in beside):
        band = alt.Chart(data([row for row in beside if row["low"] is not None]))
        layers.append(_band(band.mark_bar(height=ROW - 10, color="@retrain", opacity=0.28, minBandSize=3), y))
    for field, ink in (("null", "@retrain"), ("nothing", "@ink")):
        there = [
            {"kind": row["kind"], "v": row[field], "said": row[f"{field}_said"]}
            for row in beside
            if row[field] is not None
        ]
        if there:
            tick = alt.Chart(data(there)).mark_tick(size=ROW - 10, thickness=2, color=ink)
            layers.append(tick.encode(x=x, y=y, tooltip=alt.Tooltip("said:N", title=None)))
    # this package's own lie on top, and are larger
    base = alt.Chart(data(sorted(dots, key=lambda row: row["ours"])))
    size = alt.SizeValue(55, condition={"test": "datum.ours", "value": 130})
    dot = base.mark_point(filled=True, opacity=0.85, stroke="@page", strokeWidth=1)
    layers.append(dot.encode(x=x, y=y, color=colour, shape=shape, size=size, tooltip=_tips()))
    chart = layered(layers, ROW * len(kinds))
    return finish(chart, _said(kinds, dots, name), 4)


def _band(bar: Any, y: Any) -> Any:
    return bar.encode(
        x=alt.X("low:Q"), x2=alt.X2("high:Q"), y=y, tooltip=alt.Tooltip("band:N", title="retrained models")
    )


def _dots(group: Group, name: str) -> list[Row]:
    return [
        {
            "kind": group.short,
            "what": entry.label,
            "v": one.value,
            "said": measure(one.value),
            "ends": "–" if one.low is None else f"{measure(one.low)} to {measure(one.high)}",
            "ours": own(entry),
            "shape": OURS if own(entry) else "method",
        }
        for entry in group.methods
        if (one := entry.measures.get(name))
    ]


def _beside(group: Group, name: str) -> list[Row]:
    one = group.beside(name)
    if one is None:
        return []
    return [
        {
            "kind": group.short,
            "null": one.null,
            "low": one.null_low,
            "high": one.null_high,
            "nothing": one.nothing,
            "band": f"{measure(one.null_low)} to {measure(one.null_high)}",
            "null_said": f"retrained models, mean: {measure(one.null)}",
            "nothing_said": f"nothing unlearned: {measure(one.nothing)}",
        }
    ]


def _tips() -> list[Any]:
    return [
        alt.Tooltip("what:N", title="method"),
        alt.Tooltip("kind:N", title="model"),
        alt.Tooltip("said:N", title="value"),
        alt.Tooltip("ends:N", title="95% interval"),
    ]


def _said(kinds: Sequence[Group], dots: list[Row], name: str) -> str:
    parts = []
    for group in kinds:
        values = [row["v"] for row in dots if row["kind"] == group.short]
        one = group.beside(name)
        null = f", retrained models {measure(one.null)}" if one and one.null is not None else ""
        parts.append(f"{group.short}: methods from {measure(min(values))} to {measure(max(values))}{null}")
    return f"Strip chart of {name} of every method, a row for each kind of model. {'; '.join(parts)}."
