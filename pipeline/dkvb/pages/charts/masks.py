"""What masks do to every class: look-ups that they hit, and what is looked up and predicted instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dkvb.pages.charts.base import (
    MANY,
    SHOWN,
    Row,
    Spec,
    class_axis,
    class_tip,
    data,
    ends,
    finish,
    layered,
    named,
    off,
    roles,
    spread_tips,
    top_axis,
)
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts.insight import Mask
from dkvb.pages.facts.setups import Setup
from dkvb.pages.facts.words import axis_label, percent

KINDS = (("pairs looked up instead", "@activations", "circle"), ("predictions", "@ink", "diamond"))

NOBODY = "no class"


def _choose(masks: Sequence[Mask]) -> tuple[str, str, list[tuple[str, str]]]:
    return "mask", "Mask", [(mask.id, mask.label) for mask in masks]


def _worth(forget: tuple[int, ...], shares: Sequence[float]) -> list[int]:
    """The classes worth a bar: all, or of many the forgotten ones and those with the largest shares."""
    if len(shares) <= MANY:
        return list(range(len(shares)))
    order = sorted((index for index in range(len(shares)) if index not in forget), key=lambda index: -shares[index])
    return sorted([*forget, *order[:SHOWN]])


def _order(setup: Setup, rows: Sequence[Row]) -> list[str]:
    """The drawn classes by id."""
    drawn = {row["class"] for row in rows}
    return [label for index, name in enumerate(setup.classes) if (label := axis_label(index, name)) in drawn]


def hidden(setup: Setup, masks: Sequence[Mask]) -> Spec | None:
    """Bars: of every class's look-ups in training, the share that hits a masked pair. None without masks."""
    rows = [row for mask in masks for row in _hidden_rows(setup, mask)]
    if not rows:
        return None
    title = "share of look-ups that hit a masked pair"
    order = _order(setup, rows)
    # which classes are forgotten changes with the mask, and an axis cannot follow it
    axis = class_axis([row | {"role": "retain"} for row in rows] if len(masks) > 1 else rows)
    x = alt.X("v:Q", scale=alt.Scale(domain=[0, 1]), axis=top_axis(title))
    low = alt.X("low:Q", scale=alt.Scale(domain=[0, 1]))
    tips = [class_tip(), alt.Tooltip("v:Q", title="share", format=".2%")]
    tips += [alt.Tooltip("ci:N", title="over seeds"), alt.Tooltip("sd:N", title="deviation")]
    base = alt.Chart(data(rows)).transform_filter("datum.m === mask").encode(y=alt.Y("class:N", sort=order, axis=axis))
    bars = base.mark_bar(height=13, opacity=0.85, cornerRadiusEnd=2)
    layers = [
        bars.encode(x=x, color=alt.Color("role:N", scale=roles(), legend=None), tooltip=tips),
        base.mark_rule(color="@page", strokeWidth=3).encode(x=low, x2=alt.X2("high:Q")),
        base.mark_rule(color="@ink", strokeWidth=1.25).encode(x=low, x2=alt.X2("high:Q")),
        base.mark_text(align="left", x="width", dx=10).encode(text=alt.Text("v:Q", format=".1%")),
    ]
    chart = layered(layers, 23 * len(order), alt.param(name="mask", value=masks[0].id))
    first = sorted((row for row in rows if row["m"] == masks[0].id), key=lambda row: -row["v"])[:5]
    most = ", ".join(f"{row['class']} ({percent(row['v'])})" for row in first)
    description = f"Bars per class, {title}; for {masks[0].label} most for {most}."
    return finish(chart, description, 6, choose=_choose(masks))


def _hidden_rows(setup: Setup, mask: Mask) -> list[Row]:
    forget, rows = mask.run.forget, []
    for index in _worth(forget, [share.mean if share else 0.0 for share in mask.hidden]):
        if share := mask.hidden[index]:
            row: Row = {"m": mask.id} | named(index, setup.classes[index])
            row |= {"role": "forget" if index in forget else "retain", "v": share.mean}
            rows.append(row | ends(share) | spread_tips(share))
    return rows


def fallback(setup: Setup, masks: Sequence[Mask]) -> Spec | None:
    """Per class: the share of the pairs looked up instead that it uses most, and of the forgotten samples that are
    predicted as it. None where no mask was looked into."""
    drawn = [mask for mask in masks if mask.falls]
    rows = [row for mask in drawn for row in _fallback_rows(setup, mask)]
    if not rows:
        return None
    order = [*_order(setup, rows), NOBODY]
    names, colours, shapes = ([kind[place] for kind in KINDS] for place in range(3))
    axis = class_axis([row | {"role": "retain"} for row in rows])
    most = max(0.1, *(row["v"] for row in rows))
    x = alt.X("v:Q", scale=alt.Scale(domain=[0, most], padding=6), axis=top_axis("share"))
    tips = [class_tip(), alt.Tooltip("kind:N", title="of"), alt.Tooltip("v:Q", title="share", format=".2%")]
    look = {
        "color": alt.Color("kind:N", scale=alt.Scale(domain=names, range=colours)),
        "shape": alt.Shape("kind:N", scale=alt.Scale(domain=names, range=shapes)),
    }
    base = alt.Chart(data(rows)).transform_filter("datum.m === mask && indexof(off, datum.kind) < 0")
    base = base.encode(y=alt.Y("class:N", sort=order, axis=axis))
    layers = [
        base.mark_rule(color="@line", strokeWidth=2).encode(x=alt.X("min(v):Q"), x2=alt.X2("max(v):Q")),
        base.mark_point(filled=True, size=75, opacity=1).encode(x=x, **look, tooltip=tips),
    ]
    params = [alt.param(name="mask", value=drawn[0].id), off()]
    chart = layered(layers, 23 * len(order), *params)
    predicted = [row for row in rows if row["m"] == drawn[0].id and row["kind"] == "predictions"]
    most_predicted = sorted(predicted, key=lambda row: -row["v"])[:4]
    said = ", ".join(f"{row['class']} {percent(row['v'])}" for row in most_predicted)
    description = (
        f"Dot chart per class, of what is looked up and predicted instead of {drawn[0].label}: predictions are {said}."
    )
    return finish(chart, description, 6, KINDS, choose=_choose(drawn))


def _fallback_rows(setup: Setup, mask: Mask) -> list[Row]:
    owners = np.mean([fall.owners for fall in mask.falls], axis=0)
    after = np.mean([fall.after for fall in mask.falls], axis=0)
    shares: dict[str, Any] = dict(zip((name for name, *_ in KINDS), (owners, after), strict=True))
    classes = range(len(setup.classes))
    worth = _worth(mask.run.forget, [max(float(owners[index]), float(after[index])) for index in classes])
    # of a class whose rows were purged it is not known which pairs it used
    labels = {index: named(index, setup.classes[index]) for index in worth if mask.hidden[index]}
    labels[len(classes)] = {"class": NOBODY, "whole": NOBODY}
    return [
        {"m": mask.id, **label, "kind": kind, "v": round(float(values[index]), 4)}
        for kind, values in shares.items()
        for index, label in labels.items()
        if index < len(values)
    ]
