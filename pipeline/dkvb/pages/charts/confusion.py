"""Confusion as a matrix: a row per class, a column per answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dkvb.pages.charts.base import (
    MANY,
    SHOWN,
    Row,
    Spec,
    class_tip,
    column_labels,
    data,
    finish,
    layered,
    named,
    on_cells,
    where_room,
)
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts.confusion import Confusion
from dkvb.pages.facts.words import percent, points

WHEN = {"before": "Before", "after": "After", "difference": "What changed"}


def charts(found: Confusion, classes: Sequence[str], forget: Sequence[int]) -> dict[str, Spec]:
    """`confusion-before`, `-after` and `-difference`; of many classes those of which most changed."""
    drawn = list(range(len(classes))) if len(classes) <= MANY else found.moved(forget, SHOWN)
    return {f"confusion-{when}": _matrix(found, when, drawn, classes, forget) for when in WHEN}


def _matrix(found: Confusion, when: str, drawn: Sequence[int], classes: Sequence[str], forget: Sequence[int]) -> Spec:
    shares = found.shares(when)[np.ix_(drawn, drawn)]
    names = [named(index, classes[index]) for index in drawn]
    rows = [
        {"r": row["class"], "c": column["class"], "row": row["whole"], "column": column["whole"]}
        | {"share": round(float(shares[i, j]), 4), "t": _whole(shares[i, j], when)}
        for i, row in enumerate(names)
        for j, column in enumerate(names)
        if np.isfinite(shares[i, j])
    ]
    changes = when == "difference"
    plain: dict[str, Any] = {"domain": False, "ticks": False, "labelColor": "@ink"}
    order = [one["class"] for one in names]
    x = alt.X("c:N", sort=order, axis=alt.Axis(title="taken for", **plain, **column_labels(order)))
    y = alt.Y("r:N", sort=order, axis=alt.Axis(title="class", labelLimit=0, **plain))
    base = alt.Chart(data(rows)).encode(x=x, y=y)
    layers = [_cells(base, changes), *(_numbers(base) if len(drawn) <= 12 else [])]
    chart = layered(layers, max(150, min(30, 480 // len(drawn)) * len(drawn)))
    return finish(chart, _said(rows, when, [names[drawn.index(one)]["class"] for one in forget if one in drawn]), 8)


def _whole(share: float, when: str) -> str:
    """A whole percent without its sign of percent, which has no room; of a change with its sign."""
    said = f"{100 * share:+.0f}" if when == "difference" else f"{100 * share:.0f}"
    return said.replace("-", "−")


def _cells(base: Any, changes: bool) -> Any:
    if changes:
        scale = alt.Scale(domain=[-1, 0, 1], range=["@loss", "@level", "@gain"], interpolate="rgb")
    else:
        scale = alt.Scale(domain=[0, 1], range=["@level", "@gain"], interpolate="lab")
    share = alt.Tooltip("share:Q", title="change" if changes else "share", format="+.1%" if changes else ".1%")
    tips = [class_tip("class", "row"), class_tip("taken for", "column"), share]
    colour = alt.Color("share:Q", scale=scale, legend=None)
    return base.mark_rect(stroke="@page", strokeWidth=1.5).encode(color=colour, tooltip=tips)


def _numbers(base: Any) -> list[Any]:
    """Whole percents in the cells that have some, where there is room."""
    ink = on_cells("abs(datum.share) > 0.6")
    shown = base.transform_filter("abs(datum.share) >= 0.005").mark_text(fontSize=10)
    return [shown.encode(text=alt.Text("t:N"), color=ink, opacity=where_room(240))]


def _said(rows: Sequence[Row], when: str, forgotten: Sequence[str]) -> str:
    """What the matrix shows of the forgotten classes, in words."""
    mine = [row for row in rows if row["r"] in forgotten]
    largest = sorted(mine, key=lambda row: -abs(row["share"]))[:4]
    as_words = points if when == "difference" else percent
    unit = " points" if when == "difference" else ""
    said = ", ".join(f"{row['row']} taken for {row['column']} {as_words(row['share'])}{unit}" for row in largest)
    size = round(len({row["r"] for row in rows}))
    return f"Confusion matrix of {size} classes, {WHEN[when].lower()}: {said or 'no samples of the forgotten classes'}."
