"""The charts, as Vega-Lite specs whose colours are tokens; see `palette` for how they become colours."""

from __future__ import annotations

import json
from typing import Any

import altair as alt
import polars as pl

from dkvb.pages import palette
from dkvb.pages.records import Run, Stat, class_label, short
from dkvb.pages.words import count, forgotten, others, percent, plural

SHOWN = 24
"""Classes drawn where there are more than MANY; the table below the chart has them all."""
MANY = 30
THOUSANDS = alt.Axis(labelExpr="datum.value ? format(datum.value, '~s') : '0'", tickCount=5, grid=False)
PERCENT = alt.Axis(format=".0%", tickCount=5, title=None)


def finish(chart: Any, description: str, top: int = 22) -> dict[str, Any]:
    """The spec of a chart that is as wide as the page lets it be."""
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    padding = {"left": 0, "right": 8, "top": top, "bottom": 4}
    chart = chart.properties(width="container", autosize=fit, description=description, padding=padding)
    spec: dict[str, Any] = chart.to_dict()
    # the page names the mode and brings its own theme
    return {key: value for key, value in spec.items() if key not in ("$schema", "config")}


def data(rows: list[dict[str, Any]]) -> alt.Data:
    return alt.Data(values=rows)


def label(rows: list[dict[str, Any]], colour: Any, **mark: Any) -> Any:
    """Text that stays readable where a line runs behind it. Rows hold `text` and what x and y are read from."""
    halo = alt.Chart(data(rows)).mark_text(stroke="@page", strokeWidth=5, strokeJoin="round", fill="@page", **mark)
    ink = alt.Chart(data(rows)).mark_text(fill=colour, **mark)
    return alt.layer(halo.encode(text="text:N"), ink.encode(text="text:N"))


def curve(run: Run, method: str, frame: pl.DataFrame, title: str) -> dict[str, Any] | None:
    """Test accuracy of the forgotten and the other classes against N; None without test samples."""
    test = frame.filter(pl.col("split") == "test").sort("n")
    names = {"retain": others(run), "forget": short(forgotten(run))}
    roles = [role for role in names if role in test.columns]
    rows = [
        {
            "n": row["n"],
            "role": role,
            "who": names[role],
            "accuracy": row[role],
            "masked": row["masked"],
            "low": max(0.0, row[role] - (row[f"{role}_sd"] or 0)),
            "high": min(1.0, row[role] + (row[f"{role}_sd"] or 0)),
        }
        for row in test.to_dicts()
        for role in roles
        if row[role] is not None
    ]
    if not rows:
        return None
    ends = {row["role"]: row for row in rows}  # the last of each role stays
    last = max(row["n"] for row in rows) or 1
    x = alt.X("n:Q", title=title, scale=alt.Scale(domain=[0, last], nice=False), axis=THOUSANDS)
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
    place = {"align": "right", "dx": -2, "x": "width"} if _crossed(rows, run.chance, last) else {"align": "left", "dx": 6, "x": 0}
    guess = [{"y": run.chance, "text": f"chance {percent(run.chance)}"}]
    layers.append(label(guess, "@muted", dy=-9, **place).encode(y=alt.Y("y:Q", axis=PERCENT)))
    layers += [label([row], f"@{row['role']}", fontWeight=600, **place).encode(x=x, y=y) for row, place in _names(rows, names, last)]
    words = ", ".join(f"{row['who']} ends at {percent(row['accuracy'])}" for row in ends.values())
    description = f"Line chart of test accuracy against {title}, from 0 to {count(last)}: {words}."
    return finish(alt.layer(*layers).properties(height=270), description)


def _crossed(rows: list[dict[str, Any]], chance: float, last: float) -> bool:
    """Whether the chance line's label would sit on the falling line if it stood on the left."""
    return any(row["role"] == "forget" and row["n"] < 0.35 * last and row["accuracy"] < chance + 0.12 for row in rows)


def _names(rows: list[dict[str, Any]], names: dict[str, str], last: float) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Where each line's name stands: beside the fall of the forgotten class, and below the end of the others' line."""
    lines = {role: line for role in names if (line := [row | {"text": row["who"]} for row in rows if row["role"] == role])}
    falls = "forget" in lines and lines["forget"][0]["accuracy"] - lines["forget"][-1]["accuracy"] > 0.3
    placed = []
    for role, line in lines.items():
        if role == "forget" and falls:
            half = (line[0]["accuracy"] + line[-1]["accuracy"]) / 2
            spot = min(line, key=lambda row: abs(row["accuracy"] - half))
            # left of the fall if the name fits there on a phone, where a letter takes up about 3% of the width
            early = spot["n"] < last * min(0.5, 0.08 + 0.03 * len(spot["text"]))
            placed.append((spot, {"align": "left" if early else "right", "dx": 12 if early else -12, "dy": -4 if early else 6}))
        else:
            # two lines that stay together have their names on either side
            over = role == "retain" and "forget" in lines and not falls
            placed.append((line[-1], {"align": "right", "dx": -2, "dy": -13 if over else 17}))
    return placed


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
        align: Any = "left" if stat.mean < 0.25 * last else "right" if stat.mean > 0.7 * last else "center"
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
    x = alt.X(
        "forget:Q",
        title=f"test accuracy on {short(forgotten(run), 40)}",
        scale=alt.Scale(domain=[0, 1], padding=14, nice=False),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    y = alt.Y(
        "retain:Q",
        title=f"test accuracy on {others(run)}",
        axis=alt.Axis(format=".1~%", tickCount=5),
        scale=alt.Scale(domain=[floor, min(1.0, floor + 2 * half)], padding=10, zero=False, nice=False),
    )
    legend = alt.Legend(title=None, orient="top", columns=alt.ExprRef("width < 420 ? 1 : 3"), labelLimit=220, symbolSize=90, offset=14)
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
        results.mark_point(filled=True, size=150, opacity=1, stroke="@page", strokeWidth=1.5).encode(
            x=x, y=y, color=colour, shape=shape, tooltip=tips
        ),
    ]
    # beside the plot, level with their marks: inside it, trails come from every side
    texts = alt.Chart(data(_before(large, half))).mark_text(fill="@muted", align="left", dx=6, x="width").encode(y=y, text="text:N")
    layers = [*(layers if small else layers[2:]), texts]
    words = "; ".join(f"{row['label']}: forgotten {percent(row['forget'])}, others {percent(row['retain'])}" for row in large)
    return finish(alt.layer(*layers).properties(height=340), f"Scatter plot of retain against forget accuracy. {words}.")


def _trail(run: Run) -> list[dict[str, Any]]:
    rows = []
    for (method, model), frame in run.sweeps.items():
        look = palette.look(method)
        if {"retain", "forget"} <= set(frame.columns):
            for row in frame.filter(pl.col("split") == "test").drop_nulls(["retain", "forget"]).to_dicts():
                where = "linear head" if model == "linear" else "DKVB"
                what = {"method": method, "name": look.name, "label": f"{look.name} on the {where}"}
                rows.append(what | {"n": row["n"], "retain": row["retain"], "forget": row["forget"]})
    return rows


def _results(run: Run) -> list[dict[str, Any]]:
    """Large marks: each model before, each result after."""
    rows: list[dict[str, Any]] = []
    for result in run.methods:
        model = "linear head" if result.setup.model == "linear" else "DKVB"
        look = palette.look(result.method)
        for when, method, name, what in (
            ("before", "before", "before unlearning", f"{model} before"),
            ("after", result.method, look.name, result.label),
        ):
            retain, forget = result.split(when, "retain_test"), result.split(when, "forget_test")
            if retain and forget and what not in {row["label"] for row in rows}:
                n = result.stat("n") if when == "after" else None
                mark = {"method": method, "name": name, "label": what, "n": n.mean if n else None}
                rows.append(mark | {"retain": retain.mean, "forget": forget.mean})
    return rows


def _before(large: list[dict[str, Any]], half: float) -> list[dict[str, Any]]:
    """Names of the models at their marks from before; one name for both where the marks meet."""
    marks = sorted((row for row in large if row["method"] == "before"), key=lambda row: -row["retain"])
    named = [row | {"text": row["label"].removesuffix(" before")} for row in marks]
    if len(named) > 1 and named[0]["retain"] - named[1]["retain"] < half / 5:
        return [named[0] | {"text": "both models"}]
    return named


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
    rows: list[dict[str, Any]] = []
    for index in shown(run, before, after):
        was, now = before[index], after[index]
        assert was
        assert now
        points = 100 * (now.mean - was.mean)
        rows.append(
            {
                "class": class_label(index, run.setup.classes[index]),
                "role": "forget" if index in run.forget else "retain",
                "before": was.mean,
                "after": now.mean,
                "text": "±0.0" if abs(points) < 0.05 else f"{points:+.1f}".replace("-", "−"),
            }
        )
    if not rows:
        return None
    mine = json.dumps([row["class"] for row in rows if row["role"] == "forget"])
    test = f"indexof({mine}, datum.value) >= 0"
    axis = alt.Axis(
        title=None,
        domain=False,
        ticks=False,
        labelLimit=130,
        labelPadding=8,
        labelColor={"condition": {"test": test, "value": "@forget"}, "value": "@ink"},
        labelFontWeight={"condition": {"test": test, "value": "bold"}, "value": "normal"},
    )
    y = alt.Y("class:N", sort=[row["class"] for row in rows], axis=axis)
    scale = alt.Scale(domain=[0, 1])
    x = alt.X(
        "before:Q",
        scale=scale,
        axis=alt.Axis(format=".0%", tickCount=5, domain=False, ticks=False, title="test accuracy:  ○ before  ● after", orient="top"),
    )
    colour = alt.Color("role:N", scale=alt.Scale(domain=["retain", "forget"], range=["@retain", "@forget"]), legend=None)
    tips = [
        alt.Tooltip("class:N"),
        *(alt.Tooltip(f"{when}:Q", format=".2%") for when in ("before", "after")),
        alt.Tooltip("text:N", title="points"),
    ]
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
    description = f"Test accuracy per class before and after: {words}{more}."
    return finish(alt.layer(*layers).properties(height=25 * len(rows)), description, top=6)
