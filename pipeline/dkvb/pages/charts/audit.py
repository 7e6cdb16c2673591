"""An audit at a glance: how far each method is from retraining, what it keeps, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dkvb.pages.charts.base import Row, Spec, data, finish, layered, off
from dkvb.pages.charts.lazy import alt
from dkvb.pages.charts.palette import PENTAGON
from dkvb.pages.facts.audited import RETAIN, Group, own, seconds
from dkvb.pages.facts.words import duration, measure
from dkvb.records.audit import Audited, AuditEntry

COLOURS: dict[Audited, str] = {
    "values": "@activations",
    "values-keys": "@scrub-values",
    "linear": "@examples",
    "converged": "@scrub",
    "ridge": "@scrub-r",
    "given": "@other",
}

RETRAINED = ("retrained without the class", "@retrain", "diamond")
NOTHING = ("nothing unlearned", "@ink", "square")
OURS = "ours, not in the paper"

SHAPES = {"method": "circle", OURS: PENTAGON, "retrained": "diamond", "original": "square"}

LEAST = 1e-3
"""Seconds below which marks are no smaller."""

WIDTH, HEIGHT, LETTER, GAP = 960, 400, 6.5, 10
"""Pixels: of the picture on a wide screen, of a letter, and from a mark to its name."""

X_TITLE, Y_TITLE = "distance from retrained models", "accuracy on the classes that stay"

LINES = (-12, 16, 0, -28, 32, -44, 48, -60, 64, -76, 80, 96)
"""Pixels below its mark, places for its name: the first that is free."""


def picture(groups: Sequence[Group], distances: Sequence[str]) -> Spec | None:
    """Distance from retrained models against accuracy on the classes that stay, cost as size; the distance is chosen
    beside it. None where no entry has both."""
    rows = [row for group in groups for entry in group.entries for row in _rows(group, entry, distances)]
    # this package's own lie on top
    rows.sort(key=lambda row: row["shape"] == OURS)
    drawn = [name for name in distances if any(row["m"] == name for row in rows)]
    for name in drawn:
        place_names([row for row in rows if row["m"] == name])
    if not drawn:
        return None
    kinds = [group for group in groups if any(row["kind"] == group.short for row in rows)]
    there = {row["group"] for row in rows}
    every = [RETRAINED, NOTHING, *((f"on {one.short}", COLOURS[one.kind], "circle") for one in kinds)]
    entries = [entry for entry in every if entry[0] in there]
    ours = [(OURS, "@ink", PENTAGON)] if any(row["shape"] == OURS for row in rows) else []
    layers = _layers(rows, entries)
    chart = layered(layers, 400, off(), alt.param(name="measure", value=drawn[0]))
    choose = ("measure", "Distance", [(name, name) for name in drawn])
    return finish(chart, _said(rows, drawn[0]), 8, [*entries, *ours], choose=choose)


def _layers(rows: list[Row], entries: Sequence[tuple[str, str, str]]) -> list[Any]:
    """Intervals, marks and names. `entries`: name, colour and shape of each group of marks."""
    left = alt.Scale(domainMin=0, nice=True)
    x = alt.X("v:Q", title=X_TITLE, scale=left)
    y = alt.Y(
        "retain:Q",
        title=Y_TITLE,
        axis=alt.Axis(format=".1~%", tickCount=5),
        scale=alt.Scale(zero=False, nice=True, padding=14),
    )
    colour = alt.Color("group:N", scale=alt.Scale(domain=[e[0] for e in entries], range=[e[1] for e in entries]))
    shape = alt.Shape("shape:N", legend=None, scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values())))
    size = alt.Size("size:Q", legend=None, scale=alt.Scale(domain=_costs(rows), range=[90, 520]))
    base = alt.Chart(data(rows)).transform_filter(f"datum.m === measure && {_shown()}").encode(y=y)
    bars = base.mark_rule(opacity=0.45, strokeWidth=1.5)
    bars = bars.encode(x=alt.X("low:Q", title=X_TITLE, scale=left), x2=alt.X2("high:Q"), color=colour)
    marks = base.mark_point(filled=True, opacity=0.85, stroke="@page", strokeWidth=1)
    points = marks.encode(x=x, color=colour, shape=shape, size=size, tooltip=_tips())
    lead, halo, names = _named(base, x, y)
    return [bars, lead, halo, points, names]


def _rows(group: Group, entry: AuditEntry, distances: Sequence[str]) -> list[Row]:
    kept = entry.measures.get(RETAIN)
    if kept is None:
        return []
    group_name = {"retrained": RETRAINED[0], "original": NOTHING[0]}.get(entry.role, f"on {group.short}")
    took = {"unlearned": seconds(entry), "retrained": group.retraining, "original": None}[entry.role]
    about = {
        "what": entry.label if entry.role == "unlearned" else f"{entry.label}, {group.short}",
        "kind": group.short,
        "group": group_name,
        "shape": OURS if own(entry) else "method" if entry.role == "unlearned" else entry.role,
        "retain": kept.value,
        "took": duration(took),
        "size": math.log10(max(took or 0.0, LEAST)),
        "text": entry.label if own(entry) or (group.methods and entry is group.methods[0]) else "",
    }
    return [about | _place(entry, name) for name in distances if name in entry.measures]


def _place(entry: AuditEntry, name: str) -> Row:
    one = entry.measures[name]
    ends = (one.value, one.value) if one.low is None or one.high is None else (one.low, one.high)
    return {"m": name, "v": one.value, "low": ends[0], "high": ends[1], "said": measure(one.value)}


def place_names(rows: list[Row]) -> None:
    """Set `at` (v, retain) of every row with a name to a place where the name lies on no mark and on no other name;
    where all are taken, the first is used. The scales are those of a wide screen."""
    across = max(one["v"] for one in rows) / WIDTH or 1.0
    kept = [one["retain"] for one in rows]
    down = (max(kept) - min(kept)) / HEIGHT or 1.0
    places = [(row["v"] / across, -row["retain"] / down) for row in rows]
    taken = [(x - GAP, x + GAP, y) for x, y in places]
    for row, (x, y) in zip(rows, places, strict=True):
        if not row["text"]:
            continue
        left, right = x + GAP, x + GAP + LETTER * len(row["text"])
        line = next((line for line in LINES if _free(taken, left, right, y + line)), LINES[0])
        taken.append((left, right, y + line))
        row |= {"name_v": left * across, "name_retain": -(y + line) * down}


def _free(taken: list[tuple[float, float, float]], left: float, right: float, y: float) -> bool:
    return all(right <= other[0] or left >= other[1] or abs(y - other[2]) >= 1.4 * GAP for other in taken)


def _named(base: Any, x: Any, y: Any) -> list[Any]:
    """Lines from marks to their names, and the names, readable where a line runs behind them. `x`, `y`: the marks'
    channels."""
    named = base.transform_filter("datum.text !== ''")
    at = {"x": alt.X("name_v:Q", title=X_TITLE), "y": alt.Y("name_retain:Q", title=Y_TITLE)}
    lead = named.mark_rule(stroke="@muted", strokeWidth=0.8).encode(
        x=x, y=y, x2=alt.X2("name_v:Q"), y2=alt.Y2("name_retain:Q")
    )
    text = {"align": "left", "dx": 2}
    halo = named.mark_text(stroke="@page", strokeWidth=3, strokeJoin="round", fill="@page", **text)
    return [
        lead,
        *(mark.encode(**at, text=alt.Text("text:N")) for mark in (halo, named.mark_text(fill="@ink", **text))),
    ]


def _shown() -> str:
    return "indexof(off, datum.group) < 0 && indexof(off, datum.shape) < 0"


def _costs(rows: list[Row]) -> list[float]:
    sizes = [row["size"] for row in rows]
    return [min(sizes), max(max(sizes), min(sizes) + 0.1)]


def _tips() -> list[Any]:
    return [
        alt.Tooltip("what:N", title="method"),
        alt.Tooltip("kind:N", title="model"),
        alt.Tooltip("said:N", title="distance"),
        alt.Tooltip("retain:Q", title="other classes", format=".2%"),
        alt.Tooltip("took:N", title="time, settings chosen"),
    ]


def _said(rows: list[Row], name: str) -> str:
    words = "; ".join(
        f"{row['what']} {row['said']}, others {100 * row['retain']:.1f}%" for row in rows if row["m"] == name
    )
    return (
        f"Scatter plot of distance from retrained models ({name}) against accuracy on the classes that stay: {words}."
    )
