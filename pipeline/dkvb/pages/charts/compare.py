"""The charts of the comparison: methods as strips over forget sets and seeds, and what forgetting each class did to
every other."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from dkvb.metrics.intervals import stat
from dkvb.pages.charts import palette
from dkvb.pages.charts.base import MANY, SEEDS, SHOWN, Legend, data, finish, spread_tips
from dkvb.pages.facts.records import ReportRun, class_label
from dkvb.pages.facts.words import percent, points

SAID = {
    "forget": "test accuracy after",
    "change": "change of test accuracy, points",
}


WHOSE = {"forget": " on the forgotten class", "change": " on the classes that stay"}


def name_of(method: str, model: str) -> str:
    """A method's name, with the model where it is not the one that the method is made for."""
    return palette.look(method).name + (" on the linear head" if method == "scrub" and model == "linear" else "")


def strip(results: pl.DataFrame, what: str, runs: list[ReportRun]) -> dict[str, Any] | None:
    """A row per method: a dot per forget set (or per seed of it), the mean over all of them and its interval."""
    scale_ = 1 if what == "forget" else 100
    known = results.drop_nulls(what).to_dicts()
    if not known:
        return None
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in sorted(known, key=lambda row: palette.rank(row["method"])):
        groups.setdefault((row["method"], row["model"]), []).append(row)
    means: list[dict[str, Any]] = []
    dots: list[dict[str, Any]] = []
    singles: list[dict[str, Any]] = []
    for (method, model), rows in groups.items():
        label, name = name_of(method, model), palette.look(method).name
        over = stat(row[what] for row in rows)
        assert over
        half = over.ci95 or 0
        tips = spread_tips(over) | {"pairs": len(rows)}
        low, high = (
            (max(0.0, over.mean - half), min(1.0, over.mean + half))
            if what == "forget"
            else (over.mean - half, over.mean + half)
        )
        means.append(
            {"label": label, "name": name, "v": scale_ * over.mean, "low": scale_ * low, "high": scale_ * high} | tips
        )
        for run_ in dict.fromkeys(row["forgotten"] for row in rows):
            mine = [row for row in rows if row["forgotten"] == run_]
            mean = stat(row[what] for row in mine)
            assert mean
            dots.append({"label": label, "name": name, "v": scale_ * mean.mean, "forgotten": run_, "seeds": len(mine)})
        singles += [
            {"label": label, "name": name, "v": scale_ * row[what], "forgotten": row["forgotten"], "seed": row["seed"]}
            for row in rows
        ]
    look = Legend([method for method, _ in groups])
    labels = [row["label"] for row in means]
    y = alt.Y("label:N", sort=labels, axis=alt.Axis(title=None, labelLimit=180, labelColor="@ink", labelPadding=10))
    if what == "forget":
        x = alt.X(
            "v:Q",
            title=SAID[what],
            scale=alt.Scale(domain=[0, max(0.1, *(row["v"] for row in singles))], padding=8),
            axis=alt.Axis(format=".0%", tickCount=5),
        )
        form = ".2%"
    else:
        ends = [0.0, *(row[key] for row in means for key in ("low", "high")), *(row["v"] for row in singles)]
        x = alt.X(
            "v:Q",
            title=SAID[what],
            scale=alt.Scale(domain=[min(ends), max(ends)], padding=8),
            axis=alt.Axis(format="+.1f", tickCount=5),
        )
        form = "+.2f"
    value = alt.Tooltip("v:Q", title="value", format=form)
    tips_ = [alt.Tooltip("label:N", title="method"), alt.Tooltip("forgotten:N")]
    small: dict[str, Any] = {"filled": False, "size": 55, "strokeWidth": 1.5, "opacity": 0.75}
    several = len(singles) > len(dots)
    layers: list[Any] = [alt.Chart(data(means)).mark_rule(color="@grid").encode(y=y)]
    if what == "change":
        layers.append(
            alt.Chart(data([{"v": 0}]))
            .mark_rule(color="@muted", strokeDash=[3, 4])
            .encode(x=alt.X("v:Q", title=SAID[what]))
        )
    hide = "!seeds" if several else "true"
    layers.append(
        alt.Chart(data(dots))
        .transform_filter(hide)
        .mark_point(**small, yOffset=9)
        .encode(
            x=x,
            y=y,
            color=look.colour,
            shape=look.shape,
            tooltip=[*tips_, value, alt.Tooltip("seeds:Q", title="seeds")],
        )
    )
    if several:
        one = alt.Chart(data(singles)).transform_filter("seeds").mark_point(**small, yOffset=9)
        layers.append(
            one.encode(x=x, y=y, color=look.colour, shape=look.shape, tooltip=[*tips_, value, alt.Tooltip("seed:N")])
        )
    mean_tips = [alt.Tooltip("label:N", title="method"), alt.Tooltip("v:Q", title="mean", format=form)]
    mean_tips += [
        alt.Tooltip("ci:N", title="95% interval"),
        alt.Tooltip("sd:N", title="deviation"),
        alt.Tooltip("pairs:Q", title="class × seed pairs"),
    ]
    base = alt.Chart(data(means)).encode(y=y, color=look.colour)
    layers += [
        base.mark_rule(strokeWidth=2.5, yOffset=-5).encode(x=alt.X("low:Q", title=SAID[what]), x2="high:Q"),
        base.mark_point(filled=True, size=110, opacity=1, stroke="@page", strokeWidth=1.5, yOffset=-5).encode(
            x=x, shape=look.shape, tooltip=mean_tips
        ),
    ]
    said = "; ".join(
        f"{row['label']} {percent(row['v']) if what == 'forget' else points(row['v'] / 100)}" for row in means
    )
    chart = alt.layer(*layers).properties(height=46 * len(labels))
    if several:
        chart = chart.add_params(SEEDS)
    return finish(chart, f"Strip chart, a row per method, of {SAID[what]}{WHOSE[what]}: {said}.", top=8)


def matrix(changes: pl.DataFrame, runs: list[ReportRun]) -> dict[str, Any] | None:
    """Rows are forget sets, columns classes, colour the change of a class's accuracy; the method is chosen beside
    it."""
    known = changes.drop_nulls("change").to_dicts()
    if not known:
        return None
    classes = runs[0].setup.classes
    moved: dict[int, float] = {}
    for row in known:
        if not row["mine"]:
            moved[row["class"]] = max(moved.get(row["class"], 0), abs(row["change"]))
    drawn = set(range(len(classes)))
    if len(classes) > MANY:
        drawn = {index for run in runs for index in run.forget} | set(
            sorted(moved, key=lambda index: -moved[index])[:SHOWN]
        )
        drawn = set(sorted(drawn)[:MANY])
    sets = list(dict.fromkeys(row["forgotten"] for row in known))[:MANY]
    rows = [
        {
            "m": f"{row['method']} {row['model']}",
            "f": row["forgotten"],
            "c": class_label(row["class"], classes[row["class"]]),
        }
        | {"v": round(100 * row["change"], 3), "t": points(row["change"]), "mine": row["mine"]}
        for row in known
        if row["class"] in drawn and row["forgotten"] in sets
    ]
    options = {f"{row['method']} {row['model']}": name_of(row["method"], row["model"]) for row in known}
    most = max([2.0, *(abs(row["v"]) for row in rows if not row["mine"])])
    names = [class_label(index, classes[index]) for index in sorted(drawn)]
    y = alt.Y(
        "f:N", sort=sets, axis=alt.Axis(title="forgotten", domain=False, ticks=False, labelLimit=110, labelColor="@ink")
    )
    x = alt.X(
        "c:N",
        sort=names,
        axis=alt.Axis(
            title="class",
            domain=False,
            ticks=False,
            labelAngle=-45 if any(len(name) > 3 for name in names) else 0,
            labelLimit=90,
            labelColor="@ink",
        ),
    )
    base = alt.Chart(data(rows)).transform_filter("datum.m === method").encode(x=x, y=y)
    colour = alt.Color(
        "v:Q",
        scale=alt.Scale(domain=[-most, 0, most], range=["@loss", "@level", "@gain"], interpolate="rgb", clamp=True),
        legend=None,
    )
    tips = [
        alt.Tooltip("f:N", title="forgotten"),
        alt.Tooltip("c:N", title="class"),
        alt.Tooltip("v:Q", title="change, points", format="+.2f"),
    ]
    cells = (
        base.transform_filter("!datum.mine")
        .mark_rect(stroke="@page", strokeWidth=2, cornerRadius=3)
        .encode(color=colour, tooltip=tips)
    )
    own = (
        base.transform_filter("datum.mine")
        .mark_rect(stroke="@page", strokeWidth=2, cornerRadius=3, fill="@forget", opacity=0.9)
        .encode(tooltip=tips)
    )
    layers: list[Any] = [cells, own]
    if len(names) <= 16:
        big = f"abs(datum.v) > {0.6 * most}"
        text = base.mark_text(fontSize=11).encode(
            text="t:N",
            color=alt.condition(f"datum.mine || ({big})", alt.value("@page"), alt.value("@ink")),
            opacity=alt.value(alt.ExprRef("width < 420 ? 0 : 1")),
        )
        layers.append(text)
    first = next(iter(options))
    chart = (
        alt.layer(*layers).add_params(alt.param(name="method", value=first)).properties(height=max(90, 34 * len(sets)))
    )
    description = (
        f"Matrix of {len(sets)} forget sets by {len(names)} classes: the change of each class's test accuracy, by"
        f" method. The largest change of a class that stays is {most:.1f} points."
    )
    return finish(chart, description, top=8, choose=("method", "Method", list(options.items())))
