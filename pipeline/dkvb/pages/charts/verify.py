"""The charts of a verdict: where a forgotten class's samples go, and how fast it is learned again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dkvb.pages.charts.base import MANY, SHOWN, data, finish, percent_axis
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts.words import percent
from dkvb.records.verdict import Destination, RelearnRow

MODELS = {"unlearned": ("this model", "@activations"), "oracle": ("retrained without it", "@retrain")}


def _colour() -> alt.Color:
    names, colours = zip(*MODELS.values(), strict=True)
    scale = alt.Scale(domain=list(names), range=list(colours))
    return alt.Color("model:N", scale=scale, legend=alt.Legend(title=None, orient="top"))


def destinations(name: str, going: Destination, labels: list[str]) -> dict[str, Any]:
    """Bars: the share of a forgotten class's test samples that each model calls each class; of many classes the
    largest."""
    drawn = list(range(len(labels)))
    if len(labels) > MANY:
        drawn = sorted(drawn, key=lambda c: -(going.unlearned[c] + going.oracle[c]))[:SHOWN]
    shares = {"unlearned": going.unlearned, "oracle": going.oracle}
    rows = [
        {"label": labels[c], "model": said, "share": shares[which][c]}
        for c in drawn
        for which, (said, _) in MODELS.items()
    ]
    x = alt.X(
        "share:Q", axis=alt.Axis(format=".0%", tickCount=5), title="share of test samples", scale=alt.Scale(domainMin=0)
    )
    tips = [alt.Tooltip("label:N", title="predicted"), alt.Tooltip("model:N"), alt.Tooltip("share:Q", format=".1%")]
    y = alt.Y("label:N", sort=[labels[c] for c in drawn], axis=alt.Axis(title=None, labelLimit=180))
    chart = (
        alt.Chart(data(rows))
        .mark_bar()
        .encode(x=x, y=y, yOffset=alt.YOffset("model:N", sort=None), color=_colour(), tooltip=tips)
    )
    most = {which: max(range(len(labels)), key=lambda c: shares[which][c]) for which in MODELS}
    said = "; ".join(
        f"{MODELS[which][0]} says {labels[c]} for {percent(shares[which][c])}" for which, c in most.items()
    )
    return finish(
        chart.properties(height=max(90, 30 * len(drawn))),
        f"Bar chart of what samples of {name} are taken for: {said}.",
        8,
    )


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
        base.mark_area(opacity=0.14).encode(y=alt.Y("low:Q", title=None), y2="high:Q"),
        base.mark_line().encode(y=y),
        base.mark_point(filled=True, size=45, opacity=1).encode(y=y, tooltip=tips),
    ]
    last = {row["model"]: row for row in points}
    said = "; ".join(f"{model} {percent(row['a'])} from {row['n']}" for model, row in last.items())
    return finish(
        alt.layer(*layers).properties(height=240),
        f"Line chart of accuracy on {name} after learning it again: {said}.",
        8,
    )
