"""The charts of the page about the bottleneck itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from dkvb.metrics.intervals import Stat, stat
from dkvb.pages.charts.base import MANY, SEEDS, SHOWN, data, finish, spread_tips
from dkvb.pages.charts.run import ROLES, class_axis
from dkvb.pages.facts.records import Setup, class_label
from dkvb.pages.facts.words import percent

if TYPE_CHECKING:
    from dkvb.pages.facts import look_ups

CODEBOOK = alt.Axis(title="codebook", grid=False, tickCount=8, format="d")


PARTS = [
    ("masked", "@forget"),
    ("used by the forgotten, kept", "@activations"),
    ("used by others only", "@line"),
    ("never used", "@grid"),
]


Chosen = Sequence[tuple[str, str, tuple[int, ...], Any]]


def usage(seeds: Mapping[int, look_ups.Usage]) -> dict[str, Any] | None:
    """Per codebook the share of pairs that training selects, and how many equally used ones that amounts to."""
    if not seeds:
        return None
    first = next(iter(seeds.values()))
    rows, singles = [], []
    for codebook in range(len(first.used)):
        used, effective = (
            stat(float(getattr(one, what)[codebook]) / one.pairs for one in seeds.values())
            for what in ("used", "effective")
        )
        assert used
        assert effective
        rows.append(
            {"c": codebook, "end": codebook + 0.86, "used": round(used.mean, 4), "eff": round(effective.mean, 4)}
        )
    for seed, one in seeds.items():
        singles += [
            {"c": c + 0.43, "seed": seed, "used": round(float(value) / one.pairs, 4)}
            for c, value in enumerate(one.used)
        ]
    x = alt.X("c:Q", axis=CODEBOOK, scale=alt.Scale(domain=[0, len(rows)], nice=False))
    scale = alt.Scale(domain=[0, 1])
    axis = alt.Axis(format=".0%", tickCount=5, title=None)
    tips = [
        alt.Tooltip("c:Q", title="codebook"),
        alt.Tooltip("used:Q", format=".2%"),
        alt.Tooltip("eff:Q", title="effective", format=".2%"),
    ]
    base = alt.Chart(data(rows)).encode(x=x, x2="end:Q", tooltip=tips)
    zero = alt.Y2(datum=0)
    layers: list[Any] = [
        base.mark_rect(fill="@activations", opacity=0.28).encode(y=alt.Y("used:Q", scale=scale, axis=axis), y2=zero),
        base.mark_rect(fill="@activations", opacity=0.95).encode(y=alt.Y("eff:Q", scale=scale, axis=axis), y2=zero),
    ]
    if len(seeds) > 1:
        dots = (
            alt.Chart(data(singles))
            .transform_filter("seeds")
            .mark_point(filled=True, size=14, fill="@ink", opacity=0.8)
        )
        tip = [alt.Tooltip("seed:N"), alt.Tooltip("used:Q", format=".2%")]
        layers.append(dots.encode(x=x, y=alt.Y("used:Q", scale=scale, axis=axis), tooltip=tip))
    mean = [float(np.mean([row[what] for row in rows])) for what in ("used", "eff")]
    description = (
        f"Bars, one per codebook: on average {percent(mean[0])} of its pairs are used, as many as {percent(mean[1])}"
        " used equally often."
    )
    chart = alt.layer(*layers).properties(height=220)
    return finish(chart.add_params(SEEDS) if len(seeds) > 1 else chart, description, top=8)


def overlap(
    setup: Setup, classes: list[int], pairs: np.ndarray | None, lookups: np.ndarray | None, forgotten: list[int]
) -> dict[str, Any] | None:
    """A matrix: of the row class's pairs or look-ups, the share at pairs that the column class uses too."""
    if pairs is None or lookups is None or len(classes) < 2:
        return None
    places = list(range(len(classes)))
    if len(classes) > MANY:
        # the forgotten classes, and those that share most with them (or, before any is forgotten, with any)
        mine = [place for place in places if classes[place] in forgotten] or places
        near = lookups[mine].max(0)
        near[mine if len(mine) < len(places) else []] = 2
        places = sorted(sorted(places, key=lambda place: -near[place])[:SHOWN])
    names = {place: class_label(classes[place], setup.classes[classes[place]]) for place in places}
    apart = {measure: matrix[np.ix_(places, places)] for measure, matrix in (("pairs", pairs), ("look-ups", lookups))}
    rows = [
        {
            "r": names[row],
            "c": names[column],
            "m": measure,
            "v": round(float(matrix[row, column]), 4),
            "same": row == column,
        }
        for measure, matrix in (("pairs", pairs), ("look-ups", lookups))
        for row in places
        for column in places
    ]
    off = ~np.eye(len(places), dtype=bool)
    most = {measure: float(matrix[off].max()) for measure, matrix in apart.items()}
    top = max(0.01, *most.values())
    long = any(len(name) > 3 for name in names.values())
    order = list(names.values())
    plain: dict[str, Any] = {"domain": False, "ticks": False, "labelColor": "@ink"}
    y = alt.Y("r:N", sort=order, axis=alt.Axis(title=None, labelLimit=110, **plain))
    x = alt.X(
        "c:N",
        sort=order,
        axis=alt.Axis(
            title=None, labelAngle=-45 if long else 0, labelLimit=90, orient="top" if not long else "bottom", **plain
        ),
    )
    base = alt.Chart(data(rows)).transform_filter("datum.m === measure").encode(x=x, y=y)
    tips = [
        alt.Tooltip("r:N", title="class"),
        alt.Tooltip("c:N", title="shares with"),
        alt.Tooltip("v:Q", title="share", format=".1%"),
    ]
    colour = alt.Color(
        "v:Q", scale=alt.Scale(domain=[0, top], range=["@level", "@gain"], interpolate="lab", clamp=True), legend=None
    )
    small: dict[str, Any] = {"stroke": "@page", "strokeWidth": 1 if len(places) > 16 else 2}
    layers: list[Any] = [
        base.transform_filter("!datum.same").mark_rect(**small).encode(color=colour, tooltip=tips),
        base.transform_filter("datum.same").mark_rect(fill="@grid", **small),
    ]
    if len(places) <= 12:
        text = base.transform_filter("!datum.same").mark_text(fontSize=11)
        ink = alt.condition(f"datum.v > {0.6 * top}", alt.value("@page"), alt.value("@ink"))
        layers.append(
            text.encode(
                text=alt.Text("v:Q", format=".0%"), color=ink, opacity=alt.value(alt.ExprRef("width < 300 ? 0 : 1"))
            )
        )
    chart = (
        alt.layer(*layers)
        .add_params(alt.param(name="measure", value="look-ups"))
        .properties(height=max(150, min(32, 900 // len(places)) * len(places)))
    )
    description = (
        f"Matrix of {len(places)} classes: shares of the row class's look-ups at pairs that the column class uses too, "
        f"at most {percent(most['look-ups'])}; "
        f"of its pairs, at most {percent(most['pairs'])}."
    )
    return finish(
        chart,
        description,
        8,
        choose=("measure", "Share of the row class’s", [("look-ups", "look-ups"), ("pairs", "pairs")]),
    )


def where(masks: Sequence[tuple[str, str, np.ndarray]]) -> dict[str, Any] | None:
    """Per codebook, stacked: masked pairs, those of the forgotten class that are kept, others' pairs, and unused
    ones."""
    if not masks:
        return None
    rows: list[dict[str, Any]] = []
    for name, _, parts in masks:
        ends = np.vstack([np.zeros(parts.shape[1], int), parts.cumsum(0)])
        rows += [
            {"m": name, "c": codebook, "end": codebook + 0.86, "p": PARTS[part][0], "n": int(parts[part, codebook])}
            | {"from": int(ends[part, codebook]), "to": int(ends[part + 1, codebook])}
            for part in range(len(PARTS))
            for codebook in range(parts.shape[1])
            if parts[part, codebook]
        ]
    x = alt.X("c:Q", axis=CODEBOOK, scale=alt.Scale(domain=[0, masks[0][2].shape[1]], nice=False))
    most = int(masks[0][2][:, 0].sum())
    y = alt.Y("from:Q", title="pairs", axis=alt.Axis(tickCount=5), scale=alt.Scale(domain=[0, most], nice=False))
    colour = alt.Color("p:N", scale=alt.Scale(domain=[part for part, _ in PARTS], range=[token for _, token in PARTS]))
    tips = [alt.Tooltip("c:Q", title="codebook"), alt.Tooltip("p:N", title="pairs"), alt.Tooltip("n:Q", title="number")]
    shown = "datum.m === mask && indexof(off, datum.p) < 0"
    base = (
        alt.Chart(data(rows))
        .transform_filter(shown)
        .mark_rect()
        .encode(x=x, x2="end:Q", y=y, y2="to:Q", color=colour, tooltip=tips)
    )
    chart = base.add_params(alt.param(name="mask", value=masks[0][0]), alt.param(name="off", value=[])).properties(
        height=240
    )
    first = masks[0][2].sum(1)
    share = first / first.sum()
    said = ", ".join(f"{name} {percent(float(value))}" for (name, _), value in zip(PARTS, share, strict=True))
    legend = [(name, token, "square") for name, token in PARTS]
    description = f"Stacked bars, one per codebook, of its pairs. Over all codebooks, for {masks[0][1]}: {said}."
    return finish(chart, description, 8, legend, choose=("mask", "Mask", [(name, label) for name, label, _ in masks]))


def hidden(setup: Setup, masks: Chosen) -> dict[str, Any] | None:
    """Bars: of every class's look-ups in training, the share that hits a masked pair."""
    rows: list[dict[str, Any]] = []
    for name, _, forget, shares in masks:
        for index in _worth(forget, [one.mean if one else 0.0 for one in shares]):
            found: Stat | None = shares[index]
            if found:
                half = found.ci95 or 0.0
                row: dict[str, Any] = {
                    "m": name,
                    "class": class_label(index, setup.classes[index]),
                    "role": "forget" if index in forget else "retain",
                }
                rows.append(
                    row
                    | {"v": found.mean, "low": max(0.0, found.mean - half), "high": min(1.0, found.mean + half)}
                    | spread_tips(found)
                )
    if not rows:
        return None
    return _bars(rows, masks, "share of look-ups that hit a masked pair", setup)


def _worth(forget: tuple[int, ...], shares: Sequence[float]) -> list[int]:
    """The classes worth a bar: all, or of many the forgotten ones and those with the largest shares."""
    if len(shares) <= MANY:
        return list(range(len(shares)))
    order = sorted((index for index in range(len(shares)) if index not in forget), key=lambda index: -shares[index])
    return sorted([*forget, *order[:SHOWN]])


def _bars(rows: list[dict[str, Any]], masks: Chosen, title: str, setup: Setup) -> dict[str, Any]:
    names = {row["class"] for row in rows}
    order = [label for index, name in enumerate(setup.classes) if (label := class_label(index, name)) in names]
    # which classes are forgotten changes with the mask, and an axis cannot follow it
    y = alt.Y(
        "class:N", sort=order, axis=class_axis([row | {"role": "retain"} for row in rows] if len(masks) > 1 else rows)
    )
    x = alt.X(
        "v:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5, orient="top", title=title, domain=False, ticks=False),
    )
    colour = alt.Color("role:N", scale=ROLES, legend=None)
    tips = [alt.Tooltip("class:N"), alt.Tooltip("v:Q", title="share", format=".2%")]
    tips += [alt.Tooltip("ci:N", title="95% interval"), alt.Tooltip("sd:N", title="deviation")]
    base = alt.Chart(data(rows)).transform_filter("datum.m === mask").encode(y=y)
    layers = [
        base.mark_bar(height=13, opacity=0.85, cornerRadiusEnd=2).encode(x=x, color=colour, tooltip=tips),
        base.mark_rule(color="@page", strokeWidth=3).encode(
            x=alt.X("low:Q", scale=alt.Scale(domain=[0, 1])), x2="high:Q"
        ),
        base.mark_rule(color="@ink", strokeWidth=1.25).encode(
            x=alt.X("low:Q", scale=alt.Scale(domain=[0, 1])), x2="high:Q"
        ),
        base.mark_text(align="left", x="width", dx=10).encode(text=alt.Text("v:Q", format=".1%")),
    ]
    first = [row for row in rows if row["m"] == masks[0][0]]
    top = sorted(first, key=lambda row: -row["v"])[:5]
    description = (
        f"Bars per class, {title}; for {masks[0][1]} most for "
        + ", ".join(f"{row['class']} ({percent(row['v'])})" for row in top)
        + "."
    )
    chart = alt.layer(*layers).add_params(alt.param(name="mask", value=masks[0][0])).properties(height=23 * len(order))
    return finish(chart, description, 6, choose=("mask", "Mask", [(one[0], one[1]) for one in masks]))


def fallback(setup: Setup, masks: Chosen) -> dict[str, Any] | None:
    """Per class: the share of the pairs looked up instead that it uses most, and of the forgotten samples that are
    predicted as it."""
    kinds = {
        "pairs looked up instead": ("owners", "@activations", "circle"),
        "predictions": ("after", "@ink", "diamond"),
    }
    rows: list[dict[str, Any]] = []
    for name, _, forget, falls in masks:
        means = {kind: np.mean([getattr(fall, what) for fall in falls], axis=0) for kind, (what, *_) in kinds.items()}
        worth = _worth(
            forget, [max(float(one[index]) for one in means.values()) for index in range(len(setup.classes))]
        )
        labels = {index: class_label(index, setup.classes[index]) for index in worth} | {len(setup.classes): "no class"}
        for kind, shares in means.items():
            rows += [
                {"m": name, "class": labels[index], "kind": kind, "v": round(float(shares[index]), 4)}
                for index in labels
                if index < len(shares)
            ]
    if not rows:
        return None
    drawn = {row["class"] for row in rows}
    order = [
        *(label for index, name in enumerate(setup.classes) if (label := class_label(index, name)) in drawn),
        "no class",
    ]
    legend = [(kind, token, shape) for kind, (_, token, shape) in kinds.items()]
    names, colours, shapes = ([entry[place] for entry in legend] for place in range(3))
    y = alt.Y("class:N", sort=order, axis=class_axis([row | {"role": "retain"} for row in rows]))
    axis = alt.Axis(format=".0%", tickCount=5, orient="top", title="share", domain=False, ticks=False)
    x = alt.X("v:Q", scale=alt.Scale(domain=[0, max(0.1, *(row["v"] for row in rows))], padding=6), axis=axis)
    base = alt.Chart(data(rows)).transform_filter("datum.m === mask && indexof(off, datum.kind) < 0").encode(y=y)
    tips = [alt.Tooltip("class:N"), alt.Tooltip("kind:N", title="of"), alt.Tooltip("v:Q", title="share", format=".2%")]
    colour = alt.Color("kind:N", scale=alt.Scale(domain=names, range=colours))
    shape = alt.Shape("kind:N", scale=alt.Scale(domain=names, range=shapes))
    layers = [
        base.mark_rule(color="@line", strokeWidth=2).encode(x=alt.X("min(v):Q"), x2="max(v):Q"),
        base.mark_point(filled=True, size=75, opacity=1).encode(x=x, color=colour, shape=shape, tooltip=tips),
    ]
    first = sorted(
        (row for row in rows if row["m"] == masks[0][0] and row["kind"] == "predictions"), key=lambda row: -row["v"]
    )[:4]
    said = ", ".join(f"{row['class']} {percent(row['v'])}" for row in first)
    description = (
        f"Dot chart per class, of what is looked up and predicted instead of {masks[0][1]}: predictions are {said}."
    )
    chart = (
        alt.layer(*layers)
        .add_params(alt.param(name="mask", value=masks[0][0]), alt.param(name="off", value=[]))
        .properties(height=23 * len(order))
    )
    return finish(chart, description, 6, legend, choose=("mask", "Mask", [(one[0], one[1]) for one in masks]))
