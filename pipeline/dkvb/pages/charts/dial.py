"""The charts that the slider of a run's page moves: the balance of forgetting and keeping, and every class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dkvb.pages.charts import palette
from dkvb.pages.charts.base import (
    MANY,
    SHOWN,
    Row,
    Spec,
    class_axis,
    class_tip,
    data,
    finish,
    layered,
    named,
    percent_axis,
    roles,
    seeds,
    spread_tips,
    top_axis,
)
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts import used
from dkvb.pages.facts.dials import Dial, class_accuracies
from dkvb.pages.facts.runs import ReportRun
from dkvb.pages.facts.words import by_seed, forgotten, others, short

HERE = "datum.m === method && datum.n === n"
"""The rows at which the slider stands."""


def charts(run: ReportRun, dials: Sequence[Dial]) -> dict[str, Spec]:
    """`dial-tradeoff`, retain against forget accuracy with the slider's place on it, and `dial-classes`, the bars at
    that place."""
    if not dials:
        return {}
    several = any(run.sweeps[dial.method, "dkvb"].counts["seed"].n_unique() > 1 for dial in dials)
    params = [
        alt.param(name="method", value=dials[0].method),
        alt.param(name="n", value=dials[0].start),
        *seeds(several),
    ]
    return {"dial-tradeoff": _tradeoff(run, dials, params), "dial-classes": _bars(run, dials, params, several)}


def _tradeoff(run: ReportRun, dials: Sequence[Dial], params: list[Any]) -> Spec:
    rows, singles = _tradeoff_rows(run, dials)
    x, y = _tradeoff_axes(run, [row["retain"] for row in singles or rows])
    methods = list(run.masking)
    colours = alt.Scale(domain=methods, range=[f"@{palette.look(method).colour}" for method in methods])
    place = {"x": x, "y": y, "color": alt.Color("m:N", scale=colours, legend=None)}
    tips = [
        alt.Tooltip("n:Q", title="N", format=",.0f"),
        alt.Tooltip("forget:Q", title="forgotten", format=".2%"),
        alt.Tooltip("retain:Q", title="others", format=".2%"),
    ]
    base = alt.Chart(data(rows)).transform_filter("datum.m === method").encode(**place)
    layers: list[Any] = []
    if len({row["seed"] for row in singles}) > 1:
        each = alt.Chart(data(singles)).encode(**place, detail=alt.Detail("seed:N"), order=alt.Order("n:Q"))
        thin = each.transform_filter("seeds && datum.m === method").mark_line(strokeWidth=1, opacity=0.6)
        spots = each.transform_filter(f"seeds && {HERE}").mark_point(filled=False, size=60, strokeWidth=1.5, opacity=1)
        layers += [thin, spots.encode(tooltip=[alt.Tooltip("seed:N"), *tips])]
    spot = base.transform_filter("datum.n === n")
    spot = spot.mark_point(filled=True, size=260, opacity=1, stroke="@page", strokeWidth=2)
    layers += [
        base.mark_line(strokeWidth=1.75, opacity=0.7).encode(order=alt.Order("n:Q")),
        base.mark_point(filled=True, size=26, opacity=1).encode(tooltip=tips),
        spot.encode(tooltip=tips),
    ]
    description = (
        f"Curve of test accuracy on {others(run)} against test accuracy on {forgotten(run)} as pairs are masked, "
        "with a mark at the slider's N."
    )
    return finish(layered(layers, 260, *params), description, top=8)


def _tradeoff_rows(run: ReportRun, dials: Sequence[Dial]) -> tuple[list[Row], list[Row]]:
    """A row per method and N over seeds, and one per method, N and seed."""
    rows: list[Row] = []
    singles: list[Row] = []
    for method, sweep in ((dial.method, run.sweeps[dial.method, "dkvb"]) for dial in dials):
        rows += [
            {"m": method, "n": at.n, "forget": forget.mean, "retain": retain.mean}
            for at in used.points(run, sweep)
            if (retain := at.retain) and (forget := at.forget)
        ]
        singles += [
            {"m": method} | {key: row[key] for key in ("n", "seed", "forget", "retain")}
            for row in used.singles(run, sweep)
            if None not in (row["forget"], row["retain"])
        ]
    return rows, singles


def _tradeoff_axes(run: ReportRun, retain: list[float]) -> tuple[Any, Any]:
    room = max(0.01, 0.15 * (max(retain) - min(retain)))
    domain = [max(0, min(retain) - room), min(1.0, max(retain) + room)]
    x = alt.X(
        "forget:Q",
        title=f"test accuracy on {short(forgotten(run), 24)}",
        scale=alt.Scale(domain=[0, 1], padding=8, nice=False),
        axis=percent_axis(),
    )
    y = alt.Y(
        "retain:Q",
        title=f"test accuracy on {others(run)}",
        scale=alt.Scale(domain=domain, zero=False, nice=False, padding=6),
        axis=alt.Axis(format=".1~%", tickCount=5),
    )
    return x, y


def _bars(run: ReportRun, dials: Sequence[Dial], params: list[Any], several: bool) -> Spec:
    rows, singles = _bar_rows(run, dials, several)
    names = list(dict.fromkeys(row["class"] for row in rows))
    y = alt.Y("class:N", sort=names, axis=class_axis(rows))
    title = "test accuracy at this N; the thin line is before"
    x = alt.X("a:Q", scale=alt.Scale(domain=[0, 1]), axis=top_axis(title))
    colour = alt.Color("role:N", scale=roles(), legend=None)
    tips = [class_tip(), alt.Tooltip("a:Q", title="accuracy", format=".2%")]
    tips += [alt.Tooltip("ci:N", title="over seeds"), alt.Tooltip("each:N", title="by seed")] if several else []
    base = alt.Chart(data(rows)).encode(y=y)
    at = base.transform_filter(HERE)
    before = base.transform_filter("datum.m === method && datum.n === 0")
    layers: list[Any] = [
        at.mark_bar(height=15, opacity=0.85, cornerRadiusEnd=2).encode(x=x, color=colour, tooltip=tips),
        before.mark_tick(color="@ink", thickness=1.5, size=21, opacity=0.8).encode(x=x),
        at.mark_text(align="left", x="width", dx=10).encode(text=alt.Text("a:Q", format=".1%")),
    ]
    if several:
        ticks = alt.Chart(data(singles)).transform_filter(f"seeds && {HERE}")
        ticks = ticks.mark_point(filled=False, size=34, strokeWidth=1.5, opacity=1, fill="@page")
        tip = [class_tip(), alt.Tooltip("seed:N"), alt.Tooltip("a:Q", title="accuracy", format=".2%")]
        layers.append(ticks.encode(x=x, y=y, color=colour, tooltip=tip))
    description = f"Bars of the test accuracy of {len(names)} classes at the slider's N."
    return finish(layered(layers, 25 * len(names), *params), description, top=6)


def _bar_rows(run: ReportRun, dials: Sequence[Dial], several: bool) -> tuple[list[Row], list[Row]]:
    """A row per method, N and class over seeds, and, where there are several, one per seed of it."""
    rows: list[Row] = []
    singles: list[Row] = []
    for cell in class_accuracies(run, dials, MANY, SHOWN):
        row = {
            "m": cell.method,
            "n": cell.n,
            **named(cell.index, run.setup.classes[cell.index]),
            "role": "forget" if cell.index in run.forget else "retain",
        }
        tips = {"ci": spread_tips(cell.mean)["ci"], "each": by_seed(cell.seeds)} if several else {}
        rows.append(row | {"a": round(cell.mean.mean, 5)} | tips)
        singles += [row | {"seed": seed, "a": round(value, 5)} for seed, value in cell.seeds] if several else []
    return rows, singles
