"""The map of features: a dot per sample, coloured by what it is or by what is answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dkvb.pages.charts.base import Choose, Row, Spec, data, finish, layered, off
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts.asked import Split
from dkvb.pages.facts.feature_map import LAYOUTS, FeatureMap
from dkvb.pages.facts.where_to import SPLIT_WORDS
from dkvb.pages.facts.words import axis_label
from dkvb.runtime.visible import visible

HUES = ("activations", "examples", "retrain", "votes", "scrub", "other", "own-votes", "retrain-keys", "scrub-values")
"""Colours of classes, after that of the forgotten ones; all further classes share a grey."""

REST = "all others"

WHAT = (("before", "answer before"), ("after", "answer after"), ("class", "the class itself"))


def charts(found: FeatureMap, classes: Sequence[str], forget: Sequence[int]) -> dict[str, Spec]:
    """`map-train` and `map-test`, with one legend and one scale for both."""
    shown = _coloured(found, classes, forget)
    return {f"map-{split}": _map(found, split, classes, forget, shown) for split in found.asked}


def _coloured(found: FeatureMap, classes: Sequence[str], forget: Sequence[int]) -> dict[int, str]:
    """The classes with a colour of their own: the forgotten ones, and those that their samples are now taken for most,
    then by id."""
    taken = dict.fromkeys(range(len(classes)), 0)
    for one in found.asked.values():
        for label, answer in zip(one.labels.tolist(), one.after.tolist(), strict=True):
            taken[answer] += label in forget
    rest = sorted((index for index in taken if index not in forget), key=lambda index: (-taken[index], index))
    return {**dict.fromkeys(forget, "forget"), **dict(zip(sorted(rest[: len(HUES)]), HUES, strict=False))}


def _map(found: FeatureMap, split: Split, classes: Sequence[str], forget: Sequence[int], shown: dict[int, str]) -> Spec:
    one = found.asked[split]
    rows: list[Row] = [
        {"class": int(label), "before": int(before), "after": int(after)}
        for label, before, after in zip(one.labels, one.before, one.after, strict=True)
    ]
    for layout, placed in found.places.items():
        for row, (x, y) in zip(rows, placed[split].round(2).tolist(), strict=True):
            row |= {f"{layout}_x": x, f"{layout}_y": y}
    names = [visible(axis_label(index, name)) for index, name in enumerate(classes)]
    legend = [(names[index], f"@{token}", "circle") for index, token in shown.items()]
    legend += [(REST, "@logit-mask", "circle")] if len(shown) < len(classes) else []
    ends = _ends(found)
    base = alt.Chart(data(rows))
    for field in ("class", "before", "after"):
        base = base.transform_calculate(**{f"{field}_name": f"{json.dumps(names)}[datum.{field}]"})
    known = json.dumps([name for name, _, _ in legend])
    chosen = f"{json.dumps(names)}[datum[what]]"
    base = base.transform_calculate(
        name=f"indexof({known}, {chosen}) < 0 ? '{REST}' : {chosen}",
        x="datum[layout + '_x']",
        y="datum[layout + '_y']",
        mine=f"indexof({json.dumps(list(forget))}, datum['class']) >= 0",
    ).transform_filter("indexof(off, datum.name) < 0")
    chart = base.encode(**_places(ends), color=_colour(legend), tooltip=_tips())
    mark: dict[str, Any] = {"filled": True, "stroke": "@page", "strokeWidth": 0.4}
    layers = [
        chart.transform_filter("!datum.mine").mark_point(**mark, size=26, opacity=0.65),
        chart.transform_filter("datum.mine").mark_point(**mark, size=60, opacity=1, shape="diamond"),
    ]
    params = [alt.param(name="what", value="after"), alt.param(name="layout", value="pca"), off()]
    choose: list[Choose] = [("what", "Colour", WHAT)]
    if len(found.places) > 1:
        choose.append(("layout", "Layout", [(name, LAYOUTS[name]) for name in found.places]))
    description = (
        f"Map of {len(rows)} {SPLIT_WORDS[split]} by two dimensions of their features, coloured by class; diamonds are"
        f" the {int(sum(label in forget for label in one.labels.tolist()))} of the forgotten classes."
    )
    whole = layered(layers, 330, *params)
    return finish(whole, description, 8, legend, choose=choose, group="map")


def _ends(found: FeatureMap) -> dict[str, tuple[float, float]]:
    """What both splits and all layouts span, so that nothing moves but the dots."""
    every = [placed for layout in found.places.values() for placed in layout.values() if len(placed)]
    ends = {}
    for axis, name in enumerate("xy"):
        low, high = min(float(one[:, axis].min()) for one in every), max(float(one[:, axis].max()) for one in every)
        ends[name] = (round(low - 0.1, 2), round(high + 0.1, 2))
    return ends


def _places(ends: dict[str, tuple[float, float]]) -> dict[str, Any]:
    axis = alt.Axis(labels=False, ticks=False, title=None, grid=False, domain=False)
    x = alt.X("x:Q", axis=axis, scale=alt.Scale(domain=list(ends["x"]), zero=False, nice=False))
    return {"x": x, "y": alt.Y("y:Q", axis=axis, scale=alt.Scale(domain=list(ends["y"]), zero=False, nice=False))}


def _colour(legend: Sequence[tuple[str, str, str]]) -> Any:
    names, colours, _ = zip(*legend, strict=True)
    return alt.Color("name:N", scale=alt.Scale(domain=list(names), range=list(colours)))


def _tips() -> list[Any]:
    return [alt.Tooltip(f"{field}_name:N", title=said) for field, said in (("class", "class"), *WHAT[:2])]
