"""Pairs that classes share, as a matrix."""

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
from dkvb.pages.facts.insight import Insight
from dkvb.pages.facts.setups import Setup
from dkvb.pages.facts.words import percent


def overlap(setup: Setup, seen: Insight, forgotten: Sequence[int]) -> Spec | None:
    """Of the row class's pairs or look-ups, the share at pairs that the column class uses too; None where no classes
    were compared."""
    if seen.pairs is None or seen.lookups is None or len(seen.classes) < 2:
        return None
    places = _places(seen.classes, seen.lookups, forgotten)
    classes = [named(index, setup.classes[index]) for index in (seen.classes[place] for place in places)]
    shares = {
        measure: matrix[np.ix_(places, places)]
        for measure, matrix in (("pairs", seen.pairs), ("look-ups", seen.lookups))
    }
    off = ~np.eye(len(places), dtype=bool)
    most = {measure: float(matrix[off].max()) for measure, matrix in shares.items()}
    top = max(0.01, *most.values())
    x, y = _axes([one["class"] for one in classes])
    base = alt.Chart(data(_rows(classes, shares))).transform_filter("datum.m === measure").encode(x=x, y=y)
    layers = [*_cells(base, top, len(places)), *(_numbers(base, top) if len(places) <= 12 else [])]
    height = max(150, min(32, 900 // len(places)) * len(places))
    chart = layered(layers, height, alt.param(name="measure", value="look-ups"))
    description = (
        f"Matrix of {len(places)} classes: shares of the row class's look-ups at pairs that the column class uses too, "
        f"at most {percent(most['look-ups'])}; of its pairs, at most {percent(most['pairs'])}."
    )
    measures = [("look-ups", "look-ups"), ("pairs", "pairs")]
    return finish(chart, description, 8, choose=("measure", "Share of the row class’s", measures))


def _places(classes: Sequence[int], lookups: np.ndarray, forgotten: Sequence[int]) -> list[int]:
    """The classes worth a row: all, or of many the forgotten ones and those that share most with them (or, before any
    is forgotten, with any)."""
    places = list(range(len(classes)))
    if len(places) <= MANY:
        return places
    mine = [place for place in places if classes[place] in forgotten] or places
    near = lookups[mine].max(0)
    near[mine if len(mine) < len(places) else []] = 2
    return sorted(sorted(places, key=lambda place: -near[place])[:SHOWN])


def _rows(classes: Sequence[Row], shares: dict[str, np.ndarray]) -> list[Row]:
    return [
        {"r": row["class"], "c": column["class"], "row": row["whole"], "column": column["whole"], "m": measure}
        | {"v": round(float(matrix[i, j]), 4), "same": i == j}
        for measure, matrix in shares.items()
        for i, row in enumerate(classes)
        for j, column in enumerate(classes)
    ]


def _axes(names: list[str]) -> tuple[Any, Any]:
    plain: dict[str, Any] = {"domain": False, "ticks": False, "labelColor": "@ink"}
    plain_x = plain | column_labels(names) | {"orient": "bottom" if any(len(name) > 3 for name in names) else "top"}
    x = alt.X("c:N", sort=names, axis=alt.Axis(title=None, **plain_x))
    return x, alt.Y("r:N", sort=names, axis=alt.Axis(title=None, labelLimit=0, **plain))


def _cells(base: Any, top: float, classes: int) -> list[Any]:
    scale = alt.Scale(domain=[0, top], range=["@level", "@gain"], interpolate="lab", clamp=True)
    tips = [
        class_tip("class", "row"),
        class_tip("shares with", "column"),
        alt.Tooltip("v:Q", title="share", format=".1%"),
    ]
    small: dict[str, Any] = {"stroke": "@page", "strokeWidth": 1 if classes > 16 else 2}
    others = base.transform_filter("!datum.same").mark_rect(**small)
    return [
        others.encode(color=alt.Color("v:Q", scale=scale, legend=None), tooltip=tips),
        base.transform_filter("datum.same").mark_rect(fill="@grid", **small),
    ]


def _numbers(base: Any, top: float) -> list[Any]:
    text = base.transform_filter("!datum.same").mark_text(fontSize=11)
    return [
        text.encode(
            text=alt.Text("v:Q", format=".0%"), color=on_cells(f"datum.v > {0.6 * top}"), opacity=where_room(300)
        )
    ]
