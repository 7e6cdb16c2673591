"""The charts, as Vega-Lite specs whose colours are tokens; see `palette` for how they become colours."""

from __future__ import annotations

import json
from typing import Any

import altair as alt
import polars as pl

from dkvb.pages import palette
from dkvb.pages.records import Run, Stat, class_label, short
from dkvb.pages.words import count, others, percent, plural

SHOWN = 24
"""Classes drawn where there are more than MANY; the table below the chart has them all."""
MANY = 30
PERCENT = alt.Axis(format=".0%", tickCount=5, title=None)


def finish(chart: Any, description: str, right: int = 8, top: int = 22) -> dict[str, Any]:
    """The spec of a chart that is as wide as the page lets it be."""
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart = chart.properties(width="container", autosize=fit, description=description, padding={"left": 0, "right": right, "top": top, "bottom": 4})
    spec: dict[str, Any] = chart.to_dict()
    # the page names the mode and brings its own theme
    return {key: value for key, value in spec.items() if key not in ("$schema", "config")}


def data(rows: list[dict[str, Any]]) -> alt.Data:
    return alt.Data(values=rows)


def label(rows: list[dict[str, Any]], colour: Any, **mark: Any) -> alt.LayerChart:
    """Text that stays readable where a line runs behind it. Rows hold `text` and what x and y are read from."""
    halo = alt.Chart(data(rows)).mark_text(stroke="@page", strokeWidth=5, strokeJoin="round", fill="@page", **mark)
    ink = alt.Chart(data(rows)).mark_text(fill=colour, **mark)
    return alt.layer(halo.encode(text="text:N"), ink.encode(text="text:N"))


def curve(run: Run, method: str, frame: pl.DataFrame, title: str) -> dict[str, Any]:
    """Test accuracy of the forgotten and the other classes against N."""
    test = frame.filter(pl.col("split") == "test").sort("n")
    names = {"retain": others(run), "forget": short(", ".join(run.names))}
    roles = [role for role in names if role in test.columns]
    rows = [
        {
            "n": row["n"], "role": role, "who": names[role], "accuracy": row[role], "masked": row["masked"],
            "low": max(0.0, row[role] - (row[f"{role}_sd"] or 0)), "high": min(1.0, row[role] + (row[f"{role}_sd"] or 0)),
        }
        for row in test.to_dicts() for role in roles if row[role] is not None
    ]  # fmt: skip
    ends = {row["role"]: row for row in rows}
    last = max(row["n"] for row in rows)
    x = alt.X("n:Q", title=title, scale=alt.Scale(domain=[0, last], nice=False), axis=alt.Axis(format="~s", tickCount=5, grid=False))
    y = alt.Y("accuracy:Q", scale=alt.Scale(domain=[0, 1]), axis=PERCENT)
    colour = alt.Color("role:N", scale=alt.Scale(domain=list(names), range=["@retain", "@forget"]), legend=None)
    base = alt.Chart(data(rows)).encode(x=x, color=colour)
    chance = alt.Chart(data([{"y": run.chance, "text": f"chance {percent(run.chance)}"}]))
    layers: list[Any] = [chance.mark_rule(color="@muted", strokeDash=[3, 4], strokeWidth=1).encode(y=alt.Y("y:Q", axis=PERCENT))]
    if test["seeds"].max() not in (None, 1):
        layers.append(base.mark_area(opacity=0.16, line=False).encode(y=alt.Y("low:Q", axis=PERCENT), y2="high:Q"))
    layers += _chosen(run, method, last, x)
    layers.append(base.mark_line(interpolate="linear").encode(y=y))
    tips = [
        alt.Tooltip("who:N", title="classes"),
        alt.Tooltip("n:Q", title="N", format=",.0f"),
        alt.Tooltip("accuracy:Q", format=".2%"),
        alt.Tooltip("masked:Q", title="pairs masked", format=",.0f"),
    ]
    layers.append(base.mark_point(filled=True, size=34, opacity=1, stroke="@page", strokeWidth=1).encode(y=y, tooltip=tips))
    below_chance = [{"y": run.chance, "text": f"chance {percent(run.chance)}"}]
    layers.append(label(below_chance, "@muted", align="left", dx=6, dy=-9, x=0).encode(y=alt.Y("y:Q", axis=PERCENT)))
    upper = max(ends, key=lambda role: ends[role]["accuracy"])
    close = len(ends) > 1 and abs(ends["retain"]["accuracy"] - ends["forget"]["accuracy"]) < 0.16
    for role, row in ends.items():
        # between the lines where there is room, so that no label leaves the plot
        over = (role == upper) == close
        text = [row | {"text": f"{row['who']} {percent(row['accuracy'])}"}]
        layers.append(label(text, f"@{role}", align="right", fontWeight=600, dx=-2, dy=-13 if over else 17).encode(x=x, y=y))
    words = ", ".join(f"{row['who']} ends at {percent(row['accuracy'])}" for row in ends.values())
    return finish(alt.layer(*layers).properties(height=270), f"Line chart of test accuracy against {title}, from 0 to {count(last)}: {words}.")


def _chosen(run: Run, method: str, last: float, x: alt.X) -> list[Any]:
    """A rule at every N that was used, and a label at the most recent."""
    used = [result for result in run.methods if result.method == method and result.setup.model == "dkvb"]
    spots = [(stat.mean, result.label) for result in used if (stat := result.stat("n")) and stat.mean <= last]
    latest = run.find(method)
    layers: list[Any] = []
    if spots:
        rows = [{"n": n, "text": name} for n, name in spots]
        tips = [alt.Tooltip("text:N", title="used by"), alt.Tooltip("n:Q", title="N", format=",.0f")]
        layers.append(alt.Chart(data(rows)).mark_rule(color="@ink", strokeWidth=1, opacity=0.55).encode(x=x, tooltip=tips))
    if latest and (stat := latest.stat("n")) and stat.mean <= last:
        align = "left" if stat.mean < 0.25 * last else "right" if stat.mean > 0.7 * last else "center"
        mark = alt.Chart(data([{"n": stat.mean, "text": f"used: {count(stat.mean)}"}])).mark_text(align=align, fill="@ink", y=-9)
        layers.append(mark.encode(x=x, text="text:N"))
    return layers


def scatter(run: Run) -> dict[str, Any] | None:
    """Retain against forget accuracy: a trail per sweep, a large mark per result. None where nothing was evaluated."""
    small, large = _trail(run), _results(run)
    if not small and not large:
        return None
    present = {row["method"] for row in small + large if row["method"] != "before"}
    methods = sorted(present, key=lambda method: (palette.rank(method), method))
    looks = {method: palette.look(method) for method in methods}
    domain = ["before unlearning", *(found.name for found in looks.values())]
    colours = alt.Scale(domain=domain, range=["@ink", *(f"@{found.colour}" for found in looks.values())])
    shapes = alt.Scale(domain=domain, range=["circle", *(found.shape for found in looks.values())])
    lows, highs = (pick(row["retain"] for row in small + large) for pick in (min, max))
    middle, half = (lows + highs) / 2, max(0.02, (highs - lows) * 0.56)
    floor = max(0.0, min(middle - half, 1 - 2 * half))
    x = alt.X("forget:Q", title=f"test accuracy on {short(', '.join(run.names))}",
              scale=alt.Scale(domain=[0, 1], padding=14, nice=False), axis=alt.Axis(format=".0%", tickCount=5))  # fmt: skip
    y = alt.Y("retain:Q", title=f"test accuracy on {others(run)}", axis=alt.Axis(format=".1~%", tickCount=5),
              scale=alt.Scale(domain=[floor, min(1.0, floor + 2 * half)], padding=10, zero=False, nice=False))  # fmt: skip
    legend = alt.Legend(title=None, orient="top", columns=2, labelLimit=180, symbolSize=90, offset=14)
    colour = alt.Color("name:N", scale=colours, legend=legend)
    shape = alt.Shape("name:N", scale=shapes, legend=legend)
    tips = [
        alt.Tooltip("label:N", title="what"),
        alt.Tooltip("n:Q", title="N", format=",.0f"),
        alt.Tooltip("forget:Q", title="forgotten", format=".2%"),
        alt.Tooltip("retain:Q", title="others", format=".2%"),
    ]
    trails, results = alt.Chart(data(small)), alt.Chart(data(large))
    layers = [
        trails.mark_line(strokeWidth=1.5, opacity=0.5).encode(x=x, y=y, color=colour, order="n:Q", detail="label:N"),
        trails.mark_point(filled=True, size=26, opacity=0.9).encode(x=x, y=y, color=colour, shape=shape, tooltip=tips),
        results.mark_point(filled=True, size=150, opacity=1, stroke="@page", strokeWidth=1.5).encode(x=x, y=y, color=colour, shape=shape, tooltip=tips),
    ]  # fmt: skip
    words = "; ".join(f"{row['label']}: forgotten {percent(row['forget'])}, others {percent(row['retain'])}" for row in large)
    return finish(alt.layer(*(layers if small else layers[2:])).properties(height=340), f"Scatter plot of retain against forget accuracy. {words}.")


def _trail(run: Run) -> list[dict[str, Any]]:
    rows = []
    for (method, model), frame in run.sweeps.items():
        look = palette.look(method)
        if {"retain", "forget"} <= set(frame.columns):
            for row in frame.filter(pl.col("split") == "test").drop_nulls(["retain", "forget"]).to_dicts():
                what = {"method": method, "name": look.name, "label": f"{look.name} on the {'linear head' if model == 'linear' else 'DKVB'}"}
                rows.append(what | {"n": row["n"], "retain": row["retain"], "forget": row["forget"]})
    return rows


def _results(run: Run) -> list[dict[str, Any]]:
    """Large marks: each model before, each result after."""
    rows: list[dict[str, Any]] = []
    for result in run.methods:
        model = "linear head" if result.setup.model == "linear" else "DKVB"
        look = palette.look(result.method)
        for when, method, name, what in (
            ("before", "before", "before unlearning", f"{model} before"), ("after", result.method, look.name, result.label),
        ):  # fmt: skip
            retain, forget = result.split(when, "retain_test"), result.split(when, "forget_test")
            if retain and forget and what not in {row["label"] for row in rows}:
                n = result.stat("n") if when == "after" else None
                mark = {"method": method, "name": name, "label": what, "n": n.mean if n else None}
                rows.append(mark | {"retain": retain.mean, "forget": forget.mean})
    return rows


def shown(run: Run, before: list[Stat | None], after: list[Stat | None]) -> list[int]:
    """The classes worth drawing: all of them, or of many the forgotten ones and those that changed most, by id."""
    known = [index for index in range(len(before)) if before[index] and after[index]]
    if len(known) <= MANY:
        return known
    rest = [index for index in known if index not in run.forget]
    rest.sort(key=lambda index: -abs(_change(before[index], after[index])))
    return sorted([index for index in known if index in run.forget] + rest[:SHOWN])


def _change(before: Stat | None, after: Stat | None) -> float:
    return (after.mean if after else 0.0) - (before.mean if before else 0.0)


def classes(run: Run, before: list[Stat | None], after: list[Stat | None]) -> dict[str, Any] | None:
    """Each class's test accuracy before and after, as dumbbells with the change beside them."""
    rows = []
    for index in shown(run, before, after):
        was, now = before[index], after[index]
        assert was and now
        points = 100 * (now.mean - was.mean)
        rows.append({
            "class": class_label(index, run.setup.classes[index]), "role": "forget" if index in run.forget else "retain",
            "before": was.mean, "after": now.mean, "text": "±0.0" if abs(points) < 0.05 else f"{points:+.1f}".replace("-", "−"),
        })  # fmt: skip
    if not rows:
        return None
    forgotten = json.dumps([row["class"] for row in rows if row["role"] == "forget"])
    test = f"indexof({forgotten}, datum.value) >= 0"
    axis = alt.Axis(
        title=None, domain=False, ticks=False, labelLimit=130, labelPadding=8,
        labelColor={"condition": {"test": test, "value": "@forget"}, "value": "@ink"},
        labelFontWeight={"condition": {"test": test, "value": "bold"}, "value": "normal"},
    )  # fmt: skip
    y = alt.Y("class:N", sort=[row["class"] for row in rows], axis=axis)
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("before:Q", scale=scale, axis=alt.Axis(format=".0%", tickCount=5, title="test accuracy:  ○ before  ● after", orient="top"))
    colour = alt.Color("role:N", scale=alt.Scale(domain=["retain", "forget"], range=["@retain", "@forget"]), legend=None)
    tips = [alt.Tooltip("class:N"), *(alt.Tooltip(f"{when}:Q", format=".2%") for when in ("before", "after")), alt.Tooltip("text:N", title="points")]
    base = alt.Chart(data(rows)).encode(y=y, color=colour, tooltip=tips)
    after_x = alt.X("after:Q", scale=scale)
    layers = [
        base.mark_rule(strokeWidth=2, opacity=0.45).encode(x=x, x2="after:Q"),
        base.mark_point(filled=True, fill="@page", size=60, strokeWidth=1.75, opacity=1).encode(x=x, stroke=colour),
        base.mark_point(filled=True, size=60, opacity=1).encode(x=after_x),
        base.mark_text(align="left", x="width", dx=12, fontSize=12).encode(text="text:N"),
    ]
    words = "; ".join(f"{row['class']} {percent(row['before'])} to {percent(row['after'])}" for row in rows[:12])
    more = f"; and {plural(len(rows) - 12, 'more class', 'more classes')} in the table" if len(rows) > 12 else ""
    return finish(alt.layer(*layers).properties(height=25 * len(rows)), f"Test accuracy per class before and after: {words}{more}.", right=52, top=6)
