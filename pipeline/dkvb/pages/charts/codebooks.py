"""A bar per codebook: how many of its pairs are in use, and where masked ones lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dkvb.metrics.intervals import stat
from dkvb.pages.charts.base import Row, Spec, data, finish, layered, off, percent_axis, seeds
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts.insight import Mask
from dkvb.pages.facts.look_ups import Usage
from dkvb.pages.facts.words import percent

PARTS = (
    ("masked", "@forget"),
    ("used by the forgotten, kept", "@activations"),
    ("used by others only", "@line"),
    ("never used", "@grid"),
)
"""Kinds of pairs in the order of `look_ups.whereabouts`, with their colours."""

BAR = 0.86
"""Width of a bar; a codebook is 1 wide."""


def _x(codebooks: int) -> Any:
    axis = alt.Axis(title="codebook", grid=False, tickCount=8, format="d")
    return alt.X("c:Q", axis=axis, scale=alt.Scale(domain=[0, codebooks], nice=False))


def usage(by_seed: Mapping[int, Usage]) -> Spec | None:
    """The share of pairs that training selects, and how many would do if all were used equally; None without seeds."""
    if not by_seed:
        return None
    rows = _usage_rows(list(by_seed.values()))
    x, zero, axis = _x(len(rows)), alt.Y2(datum=0), percent_axis(title=None)

    def y(what: str) -> Any:
        return alt.Y(f"{what}:Q", scale=alt.Scale(domain=[0, 1]), axis=axis)

    tips = [
        alt.Tooltip("c:Q", title="codebook"),
        alt.Tooltip("used:Q", format=".2%"),
        alt.Tooltip("eff:Q", title="would do, used equally", format=".2%"),
    ]
    base = alt.Chart(data(rows)).encode(x=x, x2=alt.X2("end:Q"), tooltip=tips)
    layers: list[Any] = [
        base.mark_rect(fill="@activations", opacity=0.28).encode(y=y("used"), y2=zero),
        base.mark_rect(fill="@activations", opacity=0.95).encode(y=y("eff"), y2=zero),
    ]
    several = len(by_seed) > 1
    if several:
        singles = [
            {"c": c + BAR / 2, "seed": seed, "used": round(float(value) / one.pairs, 4)}
            for seed, one in by_seed.items()
            for c, value in enumerate(one.used)
        ]
        dots = alt.Chart(data(singles)).transform_filter("seeds")
        dots = dots.mark_point(filled=True, size=14, fill="@ink", opacity=0.8)
        layers.append(
            dots.encode(x=x, y=y("used"), tooltip=[alt.Tooltip("seed:N"), alt.Tooltip("used:Q", format=".2%")])
        )
    used, effective = (float(np.mean([row[what] for row in rows])) for what in ("used", "eff"))
    description = (
        f"Bars, one per codebook: on average {percent(used)} of its pairs are used, and {percent(effective)} would do"
        " if all were used equally often."
    )
    chart = layered(layers, 220, *seeds(several))
    return finish(chart, description, top=8)


def _usage_rows(usages: Sequence[Usage]) -> list[Row]:
    rows = []
    for codebook in range(len(usages[0].used)):
        used = stat(float(one.used[codebook]) / one.pairs for one in usages)
        effective = stat(float(one.effective[codebook]) / one.pairs for one in usages)
        assert used
        assert effective
        ends = {"c": codebook, "end": codebook + BAR}
        rows.append(ends | {"used": round(used.mean, 4), "eff": round(effective.mean, 4)})
    return rows


def where(masks: Sequence[Mask]) -> Spec | None:
    """Stacked: masked pairs, those of the forgotten class that are kept, others' pairs, and unused ones. None without
    masks."""
    drawn = [(mask, mask.where) for mask in masks if mask.where is not None]
    if not drawn:
        return None
    first, parts = drawn[0]
    rows = [row for mask, counted in drawn for row in _where_rows(mask.id, counted)]
    most = int(parts[:, 0].sum())
    y = alt.Y("from:Q", title="pairs", axis=alt.Axis(tickCount=5), scale=alt.Scale(domain=[0, most], nice=False))
    names, colours = zip(*PARTS, strict=True)
    colour = alt.Color("p:N", scale=alt.Scale(domain=list(names), range=list(colours)))
    tips = [alt.Tooltip("c:Q", title="codebook"), alt.Tooltip("p:N", title="pairs"), alt.Tooltip("n:Q", title="number")]
    bars = alt.Chart(data(rows)).transform_filter("datum.m === mask && indexof(off, datum.p) < 0").mark_rect()
    chart = bars.encode(x=_x(parts.shape[1]), x2=alt.X2("end:Q"), y=y, y2=alt.Y2("to:Q"), color=colour, tooltip=tips)
    chart = chart.add_params(alt.param(name="mask", value=first.id), off()).properties(height=240)
    share = parts.sum(1) / parts.sum()
    said = ", ".join(f"{name} {percent(float(value))}" for name, value in zip(names, share, strict=True))
    description = f"Stacked bars, one per codebook, of its pairs. Over all codebooks, for {first.label}: {said}."
    legend = [(name, token, "square") for name, token in PARTS]
    return finish(chart, description, 8, legend, choose=("mask", "Mask", [(mask.id, mask.label) for mask, _ in drawn]))


def _where_rows(mask: str, counted: np.ndarray) -> list[Row]:
    """A row per codebook and kind of pair that it has, from (4, C) numbers of pairs."""
    ends = np.vstack([np.zeros(counted.shape[1], int), counted.cumsum(0)])
    return [
        {"m": mask, "c": codebook, "end": codebook + BAR, "p": name, "n": int(counted[part, codebook])}
        | {"from": int(ends[part, codebook]), "to": int(ends[part + 1, codebook])}
        for part, (name, _) in enumerate(PARTS)
        for codebook in range(counted.shape[1])
        if counted[part, codebook]
    ]
