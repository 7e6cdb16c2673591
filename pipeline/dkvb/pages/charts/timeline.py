"""Deletion requests over time: a line per request, with what happened to it and its deadline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dkvb.pages.charts.base import Spec, data, finish, layered
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts.timeline import Happening, Span
from dkvb.pages.facts.words import plural, short

SHOWN = 60
"""Requests drawn, the last that were opened; the table has them all."""

STANDING = {"open": "@activations", "overdue": "@loss", "answered": "@retrain", "refused": "@muted"}

MARKS = {
    "opened": "circle",
    "last verified": "diamond",
    "somebody told": "triangle-up",
    "purged": "square",
    "restored": "triangle-down",
    "refused": "cross",
    "deadline": "M-0.14,-1.5H0.14V1.5H-0.14Z",
}

BESIDE = {"last verified": -9, "somebody told": 9}
"""Pixels by which marks lie above or below the line, so that they stay apart from what happened on the same day."""


def timeline(spans: Sequence[Span], happenings: Sequence[Happening]) -> Spec:
    """Days from left to right; `stroke` marks are deadlines."""
    drawn = spans[-SHOWN:]
    names = {span.request: short(span.request, 18) for span in drawn}
    lines = [
        {"r": names[span.request], "standing": span.standing, "first": str(span.first), "last": str(span.last)}
        for span in drawn
    ]
    marks = [
        {"r": names[one.request], "whole": one.request, "what": one.what, "day": str(one.day), "more": one.more}
        for one in happenings
        if one.request in names
    ]
    marks += [
        {"r": names[span.request], "whole": span.request, "what": "deadline", "day": str(span.deadline), "more": ""}
        for span in drawn
    ]
    there = [what for what in MARKS if any(row["what"] == what for row in marks)]
    y = alt.Y("r:N", sort=list(names.values()), axis=alt.Axis(title=None, labelLimit=0, labelColor="@ink"))
    stands = alt.Scale(domain=list(STANDING), range=list(STANDING.values()))
    shapes = alt.Scale(domain=there, range=[MARKS[what] for what in there])
    bars = alt.Chart(data(lines)).mark_rule(strokeWidth=5, opacity=0.55, strokeCap="round")
    dots = alt.Chart(data(marks)).transform_filter("indexof(off, datum.what) < 0")
    tips = [
        alt.Tooltip("whole:N", title="request"),
        alt.Tooltip("what:N"),
        alt.Tooltip("day:N"),
        alt.Tooltip("more:N", title="which"),
    ]
    layers = [
        bars.encode(
            x=_day("first"), x2=alt.X2("last:T"), y=y, color=alt.Color("standing:N", scale=stands, legend=None)
        ),
    ]
    for moved in (0, *BESIDE.values()):
        kinds = [what for what in there if BESIDE.get(what, 0) == moved]
        if not kinds:
            continue
        mine = dots.transform_filter(alt.FieldOneOfPredicate("what", kinds))
        mine = mine.mark_point(filled=True, size=75, opacity=1, fill="@ink", yOffset=moved)
        layers.append(mine.encode(x=_day("day"), y=y, shape=alt.Shape("what:N", scale=shapes), tooltip=tips))
    counted = {what: sum(span.standing == what for span in drawn) for what in STANDING}
    said = ", ".join(f"{number} {what}" for what, number in counted.items() if number)
    description = f"Timeline of {plural(len(drawn), 'deletion request', 'deletion requests')}: {said}."
    chart = layered(layers, max(60, 34 * len(drawn)), alt.param(name="off", value=[]))
    return finish(chart, description, 8, [(what, "@ink", MARKS[what]) for what in there])


def _day(field: str) -> Any:
    axis = alt.Axis(title=None, format="%-d %b %Y", tickCount=4, labelOverlap="parity", labelSeparation=8)
    return alt.X(f"{field}:T", scale=alt.Scale(type="utc", padding=14), axis=axis)
