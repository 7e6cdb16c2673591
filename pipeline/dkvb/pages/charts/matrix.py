"""What forgetting each class did to every other: rows are forget sets, columns classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

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
    on_cells,
    where_room,
)
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts import methods
from dkvb.pages.facts.runs import ReportRun
from dkvb.pages.facts.words import all_short, axis_label, class_label, points


def matrix(changes: pl.DataFrame, runs: Sequence[ReportRun]) -> Spec | None:
    """Colour is the change of a class's accuracy, of `comparison.changes_table`; the method is chosen beside it. None
    where nothing was measured."""
    known = changes.drop_nulls("change").to_dicts()
    if not known:
        return None
    classes = runs[0].setup.classes
    drawn = _drawn(known, runs)
    sets = list(dict.fromkeys(row["forgotten"] for row in known))[:MANY]
    brief = all_short(sets, 16)
    rows = [
        {
            "m": f"{row['method']} {row['model']}",
            "f": brief[row["forgotten"]],
            "c": axis_label(row["class"], classes[row["class"]]),
            "forgot": row["forgotten"],
            "whole": class_label(row["class"], classes[row["class"]]),
            "v": round(100 * row["change"], 3),
            "t": points(row["change"]),
            "mine": row["mine"],
        }
        for row in known
        if row["class"] in drawn and row["forgotten"] in sets
    ]
    options = {f"{row['method']} {row['model']}": methods.title_among(row["method"], row["model"]) for row in known}
    most = max([2.0, *(abs(row["v"]) for row in rows if not row["mine"])])
    names = [axis_label(index, classes[index]) for index in drawn]
    x, y = _axes(list(brief.values()), names)
    base = alt.Chart(data(rows)).transform_filter("datum.m === method").encode(x=x, y=y)
    layers = [*_cells(base, most), *(_numbers(base, most) if len(names) <= 16 else [])]
    chart = layered(layers, max(90, 34 * len(sets)), alt.param(name="method", value=next(iter(options))))
    description = (
        f"Matrix of {len(sets)} forget sets by {len(names)} classes: the change of each class's test accuracy, by"
        f" method. The largest change of a class that stays is {most:.1f} points."
    )
    choose = ("method", "Method", list(options.items()))
    return finish(chart, description, top=8, choose=choose)


def _drawn(known: Sequence[Row], runs: Sequence[ReportRun]) -> list[int]:
    """The classes worth a column: all, or of many the forgotten ones and those that moved most."""
    classes = range(len(runs[0].setup.classes))
    if len(classes) <= MANY:
        return list(classes)
    moved: dict[int, float] = {}
    for row in known:
        if not row["mine"]:
            moved[row["class"]] = max(moved.get(row["class"], 0), abs(row["change"]))
    most = sorted(moved, key=lambda index: -moved[index])[:SHOWN]
    return sorted({*(index for run in runs for index in run.forget), *most})[:MANY]


def _axes(sets: list[str], names: list[str]) -> tuple[Any, Any]:
    plain: dict[str, Any] = {"domain": False, "ticks": False, "labelColor": "@ink"}
    x = alt.X("c:N", sort=names, axis=alt.Axis(title="class", **column_labels(names), **plain))
    return x, alt.Y("f:N", sort=sets, axis=alt.Axis(title="forgotten", labelLimit=0, **plain))


def _cells(base: Any, most: float) -> list[Any]:
    scale = alt.Scale(domain=[-most, 0, most], range=["@loss", "@level", "@gain"], interpolate="rgb", clamp=True)
    tips = [
        class_tip("forgotten", "forgot"),
        class_tip(),
        alt.Tooltip("v:Q", title="change, points", format="+.2f"),
    ]
    cell: dict[str, Any] = {"stroke": "@page", "strokeWidth": 2, "cornerRadius": 3}
    others = base.transform_filter("!datum.mine").mark_rect(**cell)
    own = base.transform_filter("datum.mine").mark_rect(**cell, fill="@forget", opacity=0.9)
    return [others.encode(color=alt.Color("v:Q", scale=scale, legend=None), tooltip=tips), own.encode(tooltip=tips)]


def _numbers(base: Any, most: float) -> list[Any]:
    big = f"abs(datum.v) > {0.6 * most}"
    return [
        base.mark_text(fontSize=11).encode(
            text=alt.Text("t:N"), color=on_cells(f"datum.mine || ({big})"), opacity=where_room(420)
        )
    ]
