"""The charts of a run's page: accuracy against N, what forgetting costs, and class by class."""

from __future__ import annotations

import json
from typing import Any

import altair as alt
import polars as pl

from dkvb.metrics.intervals import Stat
from dkvb.pages.charts import palette
from dkvb.pages.charts.base import (
    MANY,
    PERCENT,
    SEEDS,
    SHOWN,
    THOUSANDS,
    Legend,
    data,
    finish,
    label,
    seeds_text,
    zoomed,
)
from dkvb.pages.facts.collect import per_seed
from dkvb.pages.facts.records import ReportRun, class_label, short
from dkvb.pages.facts.words import count, forgotten, others, percent, plural

ROLES = alt.Scale(domain=["retain", "forget"], range=["@retain", "@forget"])


def curve(run: ReportRun, method: str, frame: pl.DataFrame, title: str, start: int) -> dict[str, Any] | None:
    """Test accuracy of the forgotten and the other classes against N; None without test samples.

    The parameter `n`, at first `start`, is the N that the page's slider stands at.
    """
    test = frame.filter(pl.col("split") == "test").sort("n")
    names = {"retain": others(run), "forget": short(forgotten(run))}
    roles = [role for role in names if role in test.columns]
    single = per_seed(run.counts[method, "dkvb"], run.forget).filter(pl.col("split") == "test").to_dicts()
    rows = [
        {
            "n": row["n"],
            "role": role,
            "who": names[role],
            "accuracy": row[role],
            "masked": row["masked"],
            "low": max(0.0, row[role] - (row[f"{role}_ci95"] or 0)),
            "high": min(1.0, row[role] + (row[f"{role}_ci95"] or 0)),
            "each": seeds_text((one["seed"], one[role]) for one in single if one["n"] == row["n"]),
        }
        for row in test.to_dicts()
        for role in roles
        if row[role] is not None
    ]
    if not rows:
        return None
    several = test["seeds"].max() not in (None, 1)
    ends = {row["role"]: row for row in rows}  # the last of each role stays
    last = max(row["n"] for row in rows) or 1
    x = alt.X("n:Q", title=title, scale=alt.Scale(domain=[0, last], nice=False), axis=THOUSANDS)
    y = alt.Y("accuracy:Q", scale=alt.Scale(domain=[0, 1]), axis=PERCENT)
    colour = alt.Color("role:N", scale=ROLES, legend=None)
    base = alt.Chart(data(rows)).encode(x=x, color=colour)
    chance = alt.Chart(data([{"y": run.chance}]))
    layers: list[Any] = [
        chance.mark_rule(color="@muted", strokeDash=[3, 4], strokeWidth=1).encode(y=alt.Y("y:Q", axis=PERCENT))
    ]
    if several:
        layers.append(base.mark_area(opacity=0.16, line=False).encode(y=alt.Y("low:Q", axis=PERCENT), y2="high:Q"))
        each = [
            {"n": row["n"], "role": role, "seed": row["seed"], "accuracy": row[role]}
            for row in single
            for role in roles
            if row[role] is not None
        ]
        lines = alt.Chart(data(each)).transform_filter("seeds").mark_line(strokeWidth=1, opacity=0.6)
        layers.append(lines.encode(x=x, y=y, color=colour, detail="seed:N"))
    here = base.transform_filter("datum.n === n")
    layers.append(here.mark_rule(color="@ink", strokeWidth=1, opacity=0.55).encode(x=x))
    layers.append(base.mark_line(interpolate="linear").encode(y=y))
    tips = [
        alt.Tooltip("who:N", title="classes"),
        alt.Tooltip("n:Q", title="N", format=",.0f"),
        alt.Tooltip("accuracy:Q", format=".2%"),
        alt.Tooltip("masked:Q", title="pairs masked", format=",.0f"),
        alt.Tooltip("each:N", title="by seed"),
    ]
    layers.append(
        base.mark_point(filled=True, size=34, opacity=1, stroke="@page", strokeWidth=1).encode(y=y, tooltip=tips)
    )
    layers.append(
        here.mark_point(filled=True, size=120, opacity=1, stroke="@page", strokeWidth=1.5).encode(y=y, tooltip=tips)
    )
    place = (
        {"align": "right", "dx": -2, "x": "width"}
        if _crossed(rows, run.chance, last)
        else {"align": "left", "dx": 6, "x": 0}
    )
    guess = [{"y": run.chance, "text": f"chance {percent(run.chance)}"}]
    layers.append(label(guess, "@muted", dy=-9, **place).encode(y=alt.Y("y:Q", axis=PERCENT)))
    layers += [
        label([row], f"@{row['role']}", fontWeight=600, **place).encode(x=x, y=y)
        for row, place in _names(rows, names, last)
    ]
    words = ", ".join(f"{row['who']} ends at {percent(row['accuracy'])}" for row in ends.values())
    description = f"Line chart of test accuracy against {title}, from 0 to {count(last)}: {words}."
    params = [alt.param(name="n", value=start), *([SEEDS] if several else [])]
    return finish(alt.layer(*layers).add_params(*params).properties(height=270), description)


def _crossed(rows: list[dict[str, Any]], chance: float, last: float) -> bool:
    """Whether the chance line's label would sit on the falling line if it stood on the left."""
    return any(row["role"] == "forget" and row["n"] < 0.35 * last and row["accuracy"] < chance + 0.12 for row in rows)


def _names(
    rows: list[dict[str, Any]], names: dict[str, str], last: float
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Where each line's name stands: beside the fall of the forgotten class, and below the end of the others' line."""
    lines = {
        role: line for role in names if (line := [row | {"text": row["who"]} for row in rows if row["role"] == role])
    }
    falls = "forget" in lines and lines["forget"][0]["accuracy"] - lines["forget"][-1]["accuracy"] > 0.3
    placed = []
    for role, line in lines.items():
        if role == "forget" and falls:
            half = (line[0]["accuracy"] + line[-1]["accuracy"]) / 2
            spot = min(line, key=lambda row: abs(row["accuracy"] - half))
            # left of the fall if the name fits there on a phone, where a letter takes up about 3% of the width
            early = spot["n"] < last * min(0.5, 0.08 + 0.03 * len(spot["text"]))
            placed.append(
                (spot, {"align": "left" if early else "right", "dx": 12 if early else -12, "dy": -4 if early else 6})
            )
        else:
            # two lines that stay together have their names on either side
            over = role == "retain" and "forget" in lines and not falls
            placed.append((line[-1], {"align": "right", "dx": -2, "dy": -13 if over else 17}))
    return placed


def scatter(run: ReportRun) -> dict[str, Any] | None:
    """Retain against forget accuracy: a trail per sweep, a large mark per result. None where nothing was evaluated."""
    small, large, single = _trail(run), _results(run), _singles(run)
    if not small and not large:
        return None
    look = Legend(
        {row["method"] for row in small + large if row["method"] != "before"}, [("before unlearning", "@ink", "circle")]
    )
    lows, highs = (pick(row["retain"] for row in small + large) for pick in (min, max))
    middle, half = (lows + highs) / 2, max(0.02, (highs - lows) * 0.6)
    floor = max(0.0, min(middle - half, 1 - 2 * half))
    ends, x_scale, y_scale = zoomed((-0.02, 1.02), (floor, min(1.004, floor + 2 * half)))
    x = alt.X(
        "forget:Q",
        title=f"test accuracy on {short(forgotten(run), 40)}",
        scale=alt.Scale(**x_scale),
        axis=alt.Axis(format=".1~%", tickCount=5, values=alt.Undefined),
    )
    y = alt.Y(
        "retain:Q",
        title=f"test accuracy on {others(run)}",
        scale=alt.Scale(**y_scale),
        axis=alt.Axis(format=".1~%", tickCount=5),
    )
    tips = [
        alt.Tooltip("label:N", title="what"),
        alt.Tooltip("n:Q", title="N", format=",.0f"),
        alt.Tooltip("forget:Q", title="forgotten", format=".2%"),
        alt.Tooltip("retain:Q", title="others", format=".2%"),
        alt.Tooltip("seeds:N", title="seeds"),
    ]
    trails, results = (
        alt.Chart(data(small)).transform_filter(look.shown),
        alt.Chart(data(large)).transform_filter(look.shown),
    )
    places = {"x": x, "y": y, "color": look.colour}
    layers: list[Any] = []
    if small:
        layers.append(
            trails.mark_line(strokeWidth=1.5, opacity=0.5, clip=True).encode(**places, order="n:Q", detail="label:N")
        )
        points = trails.mark_point(filled=True, size=26, opacity=0.9, clip=True)
        layers.append(points.encode(**places, shape=look.shape, tooltip=tips))
    if single:
        dots = alt.Chart(data(single)).transform_filter(f"seeds && {look.shown}")
        dots = dots.mark_point(filled=False, size=60, strokeWidth=1.5, opacity=0.9, clip=True)
        layers.append(dots.encode(**places, shape=look.shape, tooltip=tips))
    marks = results.mark_point(filled=True, size=150, opacity=1, stroke="@page", strokeWidth=1.5, clip=True)
    layers.append(marks.encode(**places, shape=look.shape, tooltip=tips))
    words = "; ".join(
        f"{row['label']}: forgotten {percent(row['forget'])}, others {percent(row['retain'])}" for row in large
    )
    description = f"Scatter plot of retain against forget accuracy. {words}."
    chart = alt.layer(*layers).add_params(look.off, *ends, *([SEEDS] if single else [])).properties(height=340)
    return finish(chart, description, 8, look.entries, zoom=True)


def _trail(run: ReportRun) -> list[dict[str, Any]]:
    rows = []
    for (method, model), frame in run.sweeps.items():
        look = palette.look(method)
        # a control has nothing to turn: its before and after are large marks already
        if {"retain", "forget"} <= set(frame.columns) and frame["n"].n_unique() > 2:
            for row in frame.filter(pl.col("split") == "test").drop_nulls(["retain", "forget"]).to_dicts():
                where = "linear head" if model == "linear" else "DKVB"
                what = {
                    "method": method,
                    "name": look.name,
                    "label": f"{look.name} on the {where}",
                    "seeds": f"mean of {row['seeds']}",
                }
                rows.append(what | {"n": row["n"], "retain": row["retain"], "forget": row["forget"]})
    return rows


def _results(run: ReportRun) -> list[dict[str, Any]]:
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
                mark = {
                    "method": method,
                    "name": name,
                    "label": what,
                    "n": n.mean if n else None,
                    "seeds": f"mean of {retain.count}",
                }
                rows.append(mark | {"retain": retain.mean, "forget": forget.mean})
    return rows


def _singles(run: ReportRun) -> list[dict[str, Any]]:
    """Each seed of each result, where there are several."""
    return [
        {
            "name": palette.look(result.method).name,
            "label": result.label,
            "n": one.get("n"),
            "seeds": f"seed {one['seed']}",
        }
        | {"retain": one["after"]["retain_test"], "forget": one["after"]["forget_test"]}
        for result in run.methods
        if len(result.artifacts) > 1
        for one in result.results
        if None not in (one["after"].get("retain_test"), one["after"].get("forget_test"))
    ]


def shown(run: ReportRun, before: list[Stat | None], after: list[Stat | None]) -> list[int]:
    """The classes worth drawing: all of them, or of many the forgotten ones and those that changed most, by id."""
    known = [index for index in range(len(before)) if before[index] and after[index]]
    if len(known) <= MANY:
        return known
    rest = [index for index in known if index not in run.forget]
    rest.sort(key=lambda index: -abs(_change(before[index], after[index])))
    return sorted([index for index in known if index in run.forget] + rest[:SHOWN])


def _change(before: Stat | None, after: Stat | None) -> float:
    return (after.mean if after else 0.0) - (before.mean if before else 0.0)


def class_axis(rows: list[dict[str, Any]]) -> alt.Axis:
    """Class names, those that are forgotten in their colour. Rows hold `class` and `role`."""
    mine = json.dumps(sorted({row["class"] for row in rows if row["role"] == "forget"}))
    test = f"indexof({mine}, datum.value) >= 0"
    return alt.Axis(
        title=None,
        domain=False,
        ticks=False,
        labelLimit=130,
        labelPadding=8,
        labelColor={"condition": {"test": test, "value": "@forget"}, "value": "@ink"},
        labelFontWeight={"condition": {"test": test, "value": "bold"}, "value": "normal"},
    )


def classes(run: ReportRun, before: list[Stat | None], after: list[Stat | None]) -> dict[str, Any] | None:
    """Each class's test accuracy before and after, as dumbbells with the change beside them."""
    lead = run.lead
    rows: list[dict[str, Any]] = []
    singles: list[dict[str, Any]] = []
    for index in shown(run, before, after):
        was, now = before[index], after[index]
        assert lead
        assert was
        assert now
        points = 100 * (now.mean - was.mean)
        name, role = class_label(index, run.setup.classes[index]), "forget" if index in run.forget else "retain"
        each = [(one["seed"], one["per_class_after"][index]) for one in lead.results]
        rows.append(
            {
                "class": name,
                "role": role,
                "before": was.mean,
                "after": now.mean,
                "text": "±0.0" if abs(points) < 0.05 else f"{points:+.1f}".replace("-", "−"),
                "each": seeds_text(each),
            }
        )
        singles += [
            {"class": name, "role": role, "after": value, "seed": seed} for seed, value in each if value is not None
        ]
    if not rows:
        return None
    y = alt.Y("class:N", sort=[row["class"] for row in rows], axis=class_axis(rows))
    scale = alt.Scale(domain=[0, 1])
    axis = alt.Axis(
        format=".0%", tickCount=5, domain=False, ticks=False, title="test accuracy:  ○ before  ● after", orient="top"
    )
    x = alt.X("before:Q", scale=scale, axis=axis)
    colour = alt.Color("role:N", scale=ROLES, legend=None)
    tips = [
        alt.Tooltip("class:N"),
        *(alt.Tooltip(f"{when}:Q", format=".2%") for when in ("before", "after")),
        alt.Tooltip("text:N", title="points"),
        alt.Tooltip("each:N", title="after, by seed"),
    ]
    base = alt.Chart(data(rows)).encode(y=y, color=colour, tooltip=tips)
    after_x = alt.X("after:Q", scale=scale)
    layers = [
        base.mark_rule(strokeWidth=2, opacity=0.45).encode(x=x, x2="after:Q"),
        base.mark_point(filled=True, fill="@page", size=60, strokeWidth=1.75, opacity=1).encode(x=x, stroke=colour),
        base.mark_point(filled=True, size=60, opacity=1).encode(x=after_x),
        base.mark_text(align="left", x="width", dx=12, fontSize=12).encode(text="text:N"),
    ]
    several = len(lead.artifacts) > 1 if lead else False
    if several:
        ticks = alt.Chart(data(singles)).transform_filter("seeds").mark_tick(thickness=1.5, size=15, opacity=0.9)
        tip = [alt.Tooltip("class:N"), alt.Tooltip("seed:N"), alt.Tooltip("after:Q", format=".2%")]
        layers.append(ticks.encode(x=after_x, y=y, color=colour, tooltip=tip))
    words = "; ".join(f"{row['class']} {percent(row['before'])} to {percent(row['after'])}" for row in rows[:12])
    more = f"; and {plural(len(rows) - 12, 'more class', 'more classes')} in the table" if len(rows) > 12 else ""
    description = f"Test accuracy per class before and after: {words}{more}."
    chart = alt.layer(*layers).properties(height=25 * len(rows))
    return finish(chart.add_params(SEEDS) if several else chart, description, top=6)
