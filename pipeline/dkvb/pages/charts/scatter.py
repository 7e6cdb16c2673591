"""What forgetting costs: retain against forget accuracy."""

from __future__ import annotations

from typing import Any

from dkvb.pages.charts.base import Legend, Row, Spec, data, finish, layered, seeds, zoomed
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts import methods
from dkvb.pages.facts.runs import ReportRun, When
from dkvb.pages.facts.setups import MODELS
from dkvb.pages.facts.words import forgotten, others, percent, short

BEFORE = ("before unlearning", "@ink", "circle")


def scatter(run: ReportRun) -> Spec | None:
    """A trail per sweep, a large mark per result. None where nothing was evaluated."""
    small, large, single = _trail(run), _results(run), _singles(run)
    if not small and not large:
        return None
    look = Legend({row["method"] for row in small + large if row["method"] != "before"}, [BEFORE])
    ends, x, y = _axes(run, [row["retain"] for row in small + large])
    places = {"x": x, "y": y, "color": look.colour}
    marked = {**places, "shape": look.shape, "tooltip": _tips()}
    trails, results = (alt.Chart(data(rows)).transform_filter(look.shown) for rows in (small, large))
    layers: list[Any] = []
    if small:
        line = trails.mark_line(strokeWidth=1.5, opacity=0.5, clip=True)
        layers.append(line.encode(**places, order=alt.Order("n:Q"), detail=alt.Detail("label:N")))
        layers.append(trails.mark_point(filled=True, size=26, opacity=0.9, clip=True).encode(**marked))
    if single:
        dots = alt.Chart(data(single)).transform_filter(f"seeds && {look.shown}")
        dots = dots.mark_point(filled=False, size=60, strokeWidth=1.5, opacity=0.9, clip=True)
        layers.append(dots.encode(**marked))
    marks = results.mark_point(filled=True, size=150, opacity=1, stroke="@page", strokeWidth=1.5, clip=True)
    layers.append(marks.encode(**marked))
    words = "; ".join(
        f"{row['label']}: forgotten {percent(row['forget'])}, others {percent(row['retain'])}" for row in large
    )
    description = f"Scatter plot of retain against forget accuracy. {words}."
    chart = layered(layers, 340, look.off, *ends, *seeds(bool(single)))
    return finish(chart, description, 8, look.entries, zoom=True)


def _axes(run: ReportRun, retain: list[float]) -> tuple[list[Any], Any, Any]:
    """The parameters for the axes' ends, and the axes: the upright one is about as long as what was measured."""
    middle, half = (min(retain) + max(retain)) / 2, max(0.02, (max(retain) - min(retain)) * 0.6)
    floor = max(0.0, min(middle - half, 1 - 2 * half))
    ends, x_scale, y_scale = zoomed((-0.02, 1.02), (floor, min(1.004, floor + 2 * half)))
    x = alt.X(
        "forget:Q",
        title=f"test accuracy on {short(forgotten(run), 24)}",
        scale=alt.Scale(**x_scale),
        axis=alt.Axis(format=".1~%", tickCount=5, values=alt.Undefined),
    )
    y = alt.Y(
        "retain:Q",
        title=f"test accuracy on {others(run)}",
        scale=alt.Scale(**y_scale),
        axis=alt.Axis(format=".1~%", tickCount=5),
    )
    return ends, x, y


def _tips() -> list[Any]:
    return [
        alt.Tooltip("label:N", title="what"),
        alt.Tooltip("n:Q", title="N", format=",.0f"),
        alt.Tooltip("forget:Q", title="forgotten", format=".2%"),
        alt.Tooltip("retain:Q", title="others", format=".2%"),
        alt.Tooltip("seeds:N", title="seeds"),
    ]


def _trail(run: ReportRun) -> list[Row]:
    """Small marks: the points of each sweep."""
    rows = []
    for (method, model), sweep in run.sweeps.items():
        # a control has nothing to turn: its before and after are large marks already
        if not sweep.has_both or sweep.means["n"].n_unique() <= 2:
            continue
        name = methods.title(method)
        about = {"method": method, "name": name, "label": f"{name} on the {MODELS[model]}"}
        rows += [
            about | {"seeds": f"mean of {at.seeds}", "n": at.n, "retain": retain.mean, "forget": forget.mean}
            for at, retain, forget in sweep.both()
        ]
    return rows


def _results(run: ReportRun) -> list[Row]:
    """Large marks: each model before, each result after."""
    rows: dict[str, Row] = {}
    for result in run.methods:
        name, n = methods.title(result.method), result.stat("n")
        model = f"{MODELS[result.setup.model]} before"
        marks: tuple[tuple[When, Row], ...] = (
            ("before", {"method": "before", "name": BEFORE[0], "label": model, "n": None}),
            ("after", {"method": result.method, "name": name, "label": result.label, "n": n.mean if n else None}),
        )
        for when, mark in marks:
            retain, forget = result.split(when, "retain_test"), result.split(when, "forget_test")
            if retain and forget:
                measured = {"seeds": f"mean of {retain.count}", "retain": retain.mean, "forget": forget.mean}
                rows.setdefault(mark["label"], mark | measured)
    return list(rows.values())


def _singles(run: ReportRun) -> list[Row]:
    """Each seed of each result, where there are several."""
    return [
        {"name": methods.title(result.method), "label": result.label, "n": one.n, "seeds": f"seed {one.seed}"}
        | {"retain": one.after.retain_test, "forget": one.after.forget_test}
        for result in run.methods
        if len(result.made) > 1
        for one in result.results
        if None not in (one.after.retain_test, one.after.forget_test)
    ]
