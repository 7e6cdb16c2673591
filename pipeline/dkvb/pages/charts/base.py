"""What the charts share: Vega-Lite specs whose colours are tokens (see `palette`), and what the page's script adds to
them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from dkvb.metrics.intervals import Stat
from dkvb.pages.charts import palette
from dkvb.pages.charts.lazy import alt, unchecked
from dkvb.pages.facts import methods
from dkvb.pages.facts.words import axis_label, class_label
from dkvb.runtime.visible import visible

Spec = dict[str, Any]
"""A Vega-Lite specification, as JSON."""

Row = dict[str, Any]
"""What one mark of a chart is drawn from, as JSON."""

Choose = tuple[str, str, Sequence[tuple[Any, str]]]
"""A parameter, its label, and (value, name) of what a reader may choose for it."""

SHOWN = 24
"""Classes drawn where there are more than MANY; the table below the chart has them all."""

MANY = 30

_ROWS: dict[str, list[Row]] = {}
"""Rows of the chart that is being made."""


def finish(
    chart: Any,
    description: str,
    top: int = 22,
    legend: Sequence[tuple[str, str, str]] = (),
    zoom: bool = False,
    choose: Choose | Sequence[Choose] = (),
    group: str = "",
) -> Spec:
    """The spec of a chart that is as wide as the page lets it be.

    Args:
        legend: (name, colour token, shape) of entries that the page draws as buttons; needs the parameter `off`, see
            `Legend`.
        zoom: has the parameters of `zoomed`.
        choose: what a reader may choose, one or several.
        group: charts of one group are chosen for together.
    """
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    padding = {"left": 0, "right": 8, "top": top, "bottom": 4}
    for name, given in {"width": "container", "autosize": fit, "description": description, "padding": padding}.items():
        chart[name] = given  # `properties` would copy the chart
    # checking a spec against Vega-Lite's schema takes longer than making it; the tests draw them all in a browser
    spec: Spec = chart.to_dict(validate=False, context={"top_level": False, "data": None})
    named = _named(spec)
    spec["datasets"] = {name: rows for name, rows in _ROWS.items() if name in named}  # the same order in every process
    _ROWS.clear()
    meta: dict[str, Any] = {"zoom": zoom}
    if legend:
        meta["legend"] = [{"name": name, "colour": colour, "shape": shape} for name, colour, shape in legend]
    several: Sequence[Any] = [choose] if choose and isinstance(choose[0], str) else choose
    if group:
        meta["group"] = group
    if several:
        meta["choose"] = [
            {"param": name, "label": said, "options": [{"value": value, "text": text} for value, text in options]}
            for name, said, options in several
        ]
    return spec | {"usermeta": meta}  # the page names the mode and brings its own theme


def layered(layers: Sequence[Any], height: int, *params: Any) -> Any:
    """Layers on top of each other, with parameters: the spec that `alt.layer` and `add_params` make, which copy all
    layers time and again. Data that all layers draw are the chart's."""
    shared = layers[0].data
    if shared is alt.Undefined or any(one.data is not shared for one in layers):
        shared = alt.Undefined
    else:
        for one in layers:
            one["data"] = alt.Undefined
    given = [one.param for one in params] or alt.Undefined
    with unchecked():  # by itself a layer is no whole chart
        return alt.TopLevelLayerSpec(layer=list(layers), data=shared, height=height, params=given)


def data(rows: list[Row]) -> alt.NamedData:
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


def label(rows: list[Row], colour: Any, **mark: Any) -> Any:
    """Text that stays readable where a line runs behind it. Rows hold `text` and what x and y are read from."""
    halo = alt.Chart(data(rows)).mark_text(stroke="@page", strokeWidth=5, strokeJoin="round", fill="@page", **mark)
    ink = alt.Chart(data(rows)).mark_text(fill=colour, **mark)
    return alt.layer(halo.encode(text=alt.Text("text:N")), ink.encode(text=alt.Text("text:N")))


class Legend:
    """Methods as the legend of a chart: its scales, its buttons, and the filter that the buttons switch."""

    def __init__(self, drawn: Iterable[str], first: Sequence[tuple[str, str, str]] = (), field: str = "name") -> None:
        looks = [palette.look(method) for method in sorted(set(drawn), key=lambda one: (methods.rank(one), one))]
        self.entries = [*first, *((look.name, f"@{look.colour}", look.shape) for look in looks)]
        names, colours, shapes = ([entry[place] for entry in self.entries] for place in range(3))
        self.colour = alt.Color(f"{field}:N", scale=alt.Scale(domain=names, range=colours))
        self.shape = alt.Shape(f"{field}:N", scale=alt.Scale(domain=names, range=shapes))
        self.shown = f"indexof(off, datum.{field}) < 0"
        self.off = off()


def off() -> Any:
    """The parameter that holds the names of a legend's entries that a reader has switched off."""
    return alt.param(name="off", value=[])


def seeds(several: bool = True) -> list[Any]:
    """The parameter `seeds`, whether single seeds are drawn: the page's script puts a switch beside a chart that has
    it."""
    return [alt.param(name="seeds", value=False)] if several else []


def percent_axis(**more: Any) -> alt.Axis:
    """Shares as whole percents."""
    return alt.Axis(format=".0%", tickCount=5, **more)


def top_axis(title: str) -> alt.Axis:
    """Shares as whole percents, above bars that carry their numbers."""
    return percent_axis(domain=False, ticks=False, title=title, orient="top")


def on_cells(dark: str) -> Any:
    """The colour of text on cells, by an expression of which of these are `dark`."""
    return alt.ColorValue("@ink", condition={"test": dark, "value": "@page"})


def where_room(width: int) -> Any:
    """The opacity of what is left out of charts that are narrower than this, in pixels."""
    return alt.OpacityValue(alt.ExprRef(f"width < {width} ? 0 : 1"))


def roles() -> alt.Scale:
    """Colours of the classes that stay and of those that are forgotten."""
    return alt.Scale(domain=["retain", "forget"], range=["@retain", "@forget"])


def named(index: int, name: str) -> Row:
    """What a row says of a class: `class`, short enough for an axis, and `whole`, its whole name for a hover."""
    return {"class": axis_label(index, name), "whole": class_label(index, name)}


def class_tip(title: str = "class", field: str = "whole") -> Any:
    """The whole name of a class, on a hover."""
    return alt.Tooltip(f"{field}:N", title=title)


def column_labels(names: Sequence[str]) -> Row:
    """An axis's options for names below or above columns: upright where they are long and many, and every second left
    out where there is no room, rather than one over another."""
    long = any(len(name) > 3 for name in names)
    # upright where slanted ones would not fit: a column has to be as wide as two lines are high
    angle = alt.ExprRef(f"width < {34 * len(names)} ? -90 : -45") if long else 0
    return {"labelAngle": angle, "labelLimit": 0, "labelOverlap": "parity", "labelSeparation": 1}


def class_axis(rows: list[Row]) -> alt.Axis:
    """Class names, those that are forgotten in their colour. Rows hold `class` and `role`."""
    mine = json.dumps(sorted({visible(row["class"]) for row in rows if row["role"] == "forget"}))
    test = f"indexof({mine}, datum.value) >= 0"
    return alt.Axis(
        title=None,
        domain=False,
        ticks=False,
        labelLimit=0,
        labelPadding=8,
        labelColor={"condition": {"test": test, "value": "@forget"}, "value": "@ink"},
        labelFontWeight={"condition": {"test": test, "value": "bold"}, "value": "normal"},
    )


def zoomed(x: tuple[float, float], y: tuple[float, float]) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Parameters for the ends of both axes, which the page's script moves, and the scales' options that follow them."""
    ends = {"x0": x[0], "x1": x[1], "y0": y[0], "y1": y[1]}
    params = [alt.param(name=name, value=value) for name, value in ends.items()]
    scales: list[dict[str, Any]] = [
        {"domain": [alt.ExprRef(f"{axis}0"), alt.ExprRef(f"{axis}1")], "zero": False, "nice": False}
        for axis in ("x", "y")
    ]
    return params, scales[0], scales[1]


def spread_tips(mean: Stat | None, low: float = 0.0) -> dict[str, str]:
    """A mean's ends and deviation, for a hover; `low` is -1 for a difference of accuracies."""
    ends = mean.ends(low, 1.0) if mean else None
    if mean is None or mean.sd is None or ends is None:
        return {"ci": "one seed", "sd": "–"}
    return {"ci": f"{100 * ends[0]:.2f} to {100 * ends[1]:.2f}", "sd": f"{100 * mean.sd:.2f} points"}


def ends(mean: Stat, low: float = 0.0) -> dict[str, float]:
    """The ends of a mean over seeds as `low` and `high`, both the mean itself for one seed."""
    first, last = mean.ends(low, 1.0) or (mean.mean, mean.mean)
    return {"low": first, "high": last}
