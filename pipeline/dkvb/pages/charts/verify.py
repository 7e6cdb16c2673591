"""The chart of a verdict: how fast a forgotten class is learned again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dkvb.pages.charts.base import data, finish, layered, percent_axis
from dkvb.pages.charts.destinations import MODELS
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts.words import percent
from dkvb.records.verdict import RelearnRow


def _colour() -> alt.Color:
    names, colours = zip(*(MODELS[which] for which in ("unlearned", "oracle")), strict=True)
    scale = alt.Scale(domain=list(names), range=list(colours))
    return alt.Color("model:N", scale=scale, legend=alt.Legend(title=None, orient="top"))


def relearning(name: str, rows: Sequence[RelearnRow]) -> dict[str, Any] | None:
    """Lines: forget accuracy by samples learned from again, with 95 % intervals; None where nothing was measured."""
    points: list[dict[str, Any]] = [
        {"n": row.used, "model": MODELS[which][0], "a": known.accuracy, "low": known.low, "high": known.high}
        for row in rows
        for which, known in (("unlearned", row.unlearned), ("oracle", row.oracle))
        if known
    ]
    if not points:
        return None
    x = alt.X(
        "n:Q", title="samples of the class", axis=alt.Axis(grid=False, values=sorted({row["n"] for row in points}))
    )
    y = alt.Y("a:Q", scale=alt.Scale(domain=[0, 1]), axis=percent_axis(title=None))
    tips = [
        alt.Tooltip("model:N"),
        alt.Tooltip("n:Q", title="samples"),
        alt.Tooltip("a:Q", title="accuracy", format=".1%"),
    ]
    base = alt.Chart(data(points)).encode(x=x, color=_colour())
    layers = [
        base.mark_area(opacity=0.14).encode(y=alt.Y("low:Q", title=None), y2=alt.Y2("high:Q")),
        base.mark_line().encode(y=y),
        base.mark_point(filled=True, size=45, opacity=1).encode(y=y, tooltip=tips),
    ]
    last = {row["model"]: row for row in points}
    said = "; ".join(f"{model} {percent(row['a'])} from {row['n']}" for model, row in last.items())
    return finish(
        layered(layers, 240),
        f"Line chart of accuracy on {name} after learning it again: {said}.",
        8,
    )
