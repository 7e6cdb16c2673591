"""What the charts share: Vega-Lite specs whose colours are tokens (see `palette`), and what the page's script adds to
them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

from dkvb.metrics.intervals import Stat
from dkvb.pages.charts import palette
from dkvb.pages.facts.words import exact

SHOWN = 24
"""Classes drawn where there are more than MANY; the table below the chart has them all."""


MANY = 30


THOUSANDS = alt.Axis(labelExpr="datum.value ? format(datum.value, '~s') : '0'", tickCount=5, grid=False)


PERCENT = alt.Axis(format=".0%", tickCount=5, title=None)


_ROWS: dict[str, list[dict[str, Any]]] = {}
"""Rows of the chart that is being made."""


SEEDS = alt.param(name="seeds", value=False)
"""Whether single seeds are drawn; the page's script puts a switch beside a chart that has it."""


def finish(
    chart: Any,
    description: str,
    top: int = 22,
    legend: Sequence[tuple[str, str, str]] = (),
    zoom: bool = False,
    choose: tuple[str, str, Sequence[tuple[Any, str]]] | None = None,
) -> dict[str, Any]:
    """The spec of a chart that is as wide as the page lets it be.

    Args:
        legend: (name, colour token, shape) of entries that the page draws as buttons; needs the parameter `off`, see
            `Legend`.
        zoom: has the parameters of `zoomed`.
        choose: parameter, its label and (value, name) of what a reader may choose for it.
    """
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    padding = {"left": 0, "right": 8, "top": top, "bottom": 4}
    chart = chart.properties(width="container", autosize=fit, description=description, padding=padding)
    spec: dict[str, Any] = chart.to_dict()
    spec["datasets"] = {name: _ROWS[name] for name in _named(spec)}
    _ROWS.clear()
    meta: dict[str, Any] = {"zoom": zoom}
    if legend:
        meta["legend"] = [{"name": name, "colour": colour, "shape": shape} for name, colour, shape in legend]
    if choose:
        name, label_, options = choose
        meta["choose"] = {
            "param": name,
            "label": label_,
            "options": [{"value": value, "text": text} for value, text in options],
        }
    # the page names the mode and brings its own theme
    return {key: value for key, value in spec.items() if key not in ("$schema", "config")} | {"usermeta": meta}


def data(rows: list[dict[str, Any]]) -> alt.NamedData:
    """Rows of a chart, which `finish` writes once, however many layers draw them (and unchecked: checking takes
    seconds)."""
    name = f"rows{len(_ROWS)}"
    _ROWS[name] = rows
    return alt.NamedData(name=name)


def _named(spec: Any) -> set[str]:
    """Names of the data sets that a spec refers to."""
    if isinstance(spec, list):
        return set().union(*map(_named, spec))
    if not isinstance(spec, dict):
        return set()
    mine = {spec["data"]["name"]} if isinstance(spec.get("data"), dict) and spec["data"].get("name") in _ROWS else set()
    return mine.union(*(_named(part) for part in spec.values()))


def label(rows: list[dict[str, Any]], colour: Any, **mark: Any) -> Any:
    """Text that stays readable where a line runs behind it. Rows hold `text` and what x and y are read from."""
    halo = alt.Chart(data(rows)).mark_text(stroke="@page", strokeWidth=5, strokeJoin="round", fill="@page", **mark)
    ink = alt.Chart(data(rows)).mark_text(fill=colour, **mark)
    return alt.layer(halo.encode(text="text:N"), ink.encode(text="text:N"))


class Legend:
    """Methods as the legend of a chart: its scales, its buttons, and the filter that the buttons switch."""

    off = alt.param(name="off", value=[])

    def __init__(self, methods: Iterable[str], first: Sequence[tuple[str, str, str]] = (), field: str = "name") -> None:
        looks = [
            palette.look(method) for method in sorted(set(methods), key=lambda method: (palette.rank(method), method))
        ]
        self.entries = [*first, *((found.name, f"@{found.colour}", found.shape) for found in looks)]
        names, colours, shapes = ([entry[place] for entry in self.entries] for place in range(3))
        self.colour = alt.Color(f"{field}:N", scale=alt.Scale(domain=names, range=colours))
        self.shape = alt.Shape(f"{field}:N", scale=alt.Scale(domain=names, range=shapes))
        self.shown = f"indexof(off, datum.{field}) < 0"


def zoomed(x: tuple[float, float], y: tuple[float, float]) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Parameters for the ends of both axes, which the page's script moves, and the scales' options that follow them."""
    ends = {"x0": x[0], "x1": x[1], "y0": y[0], "y1": y[1]}
    params = [alt.param(name=name, value=value) for name, value in ends.items()]
    scales: list[dict[str, Any]] = [
        {"domain": [alt.ExprRef(f"{axis}0"), alt.ExprRef(f"{axis}1")], "zero": False, "nice": False}
        for axis in ("x", "y")
    ]
    return params, scales[0], scales[1]


def seeds_text(values: Iterable[tuple[int, float | None]]) -> str:
    """Every seed's value, for a hover."""
    return ", ".join(f"{seed}: {exact(value)}" for seed, value in values)


def spread_tips(row: Stat | None) -> dict[str, str]:
    """A mean's interval and deviation, for a hover."""
    if row is None or row.sd is None or row.ci95 is None:
        return {"ci": "one seed", "sd": "–"}
    return {"ci": f"± {100 * row.ci95:.2f} points", "sd": f"{100 * row.sd:.2f} points"}
