"""Bars of what samples of a class are taken for, by several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dkvb.pages.charts.base import MANY, SHOWN, Spec, class_tip, data, finish, named
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts.words import percent

MODELS = {
    "before": ("before", "@muted"),
    "after": ("after", "@activations"),
    "unlearned": ("this model", "@activations"),
    "oracle": ("retrained without it", "@retrain"),
}
"""Whose answers are drawn: name and colour."""


def destinations(who: str, shares: Mapping[str, Sequence[float]], classes: Sequence[str]) -> Spec:
    """The share of a class's samples that each model takes for each class: all classes, or of many those with the
    largest shares.

    Args:
        who: whose samples they are, in words.
        shares: key of `MODELS` to (L,) shares.
    """
    total = [sum(of[index] for of in shares.values()) for index in range(len(classes))]
    drawn = list(range(len(classes)))
    if len(classes) > MANY:
        drawn = sorted(sorted(drawn, key=lambda index: -total[index])[:SHOWN])
    labels = {index: named(index, classes[index]) for index in drawn}
    rows = [
        {**labels[index], "model": MODELS[which][0], "share": round(float(of[index]), 4)}
        for index in drawn
        for which, of in shares.items()
    ]
    names, colours = zip(*(MODELS[which] for which in shares), strict=True)
    colour = alt.Color("model:N", scale=alt.Scale(domain=list(names), range=list(colours)))
    axis = alt.Axis(format=".0%", tickCount=5)
    x = alt.X("share:Q", axis=axis, title="share of the samples", scale=alt.Scale(domainMin=0))
    y = alt.Y("class:N", sort=[one["class"] for one in labels.values()], axis=alt.Axis(title=None, labelLimit=0))
    tips = [class_tip("taken for"), alt.Tooltip("model:N"), alt.Tooltip("share:Q", format=".1%")]
    bars = alt.Chart(data(rows)).transform_filter("indexof(off, datum.model) < 0").mark_bar()
    place = {"x": x, "y": y, "yOffset": alt.YOffset("model:N", sort=list(names)), "color": colour}
    chart = bars.encode(**place, tooltip=tips).add_params(alt.param(name="off", value=[]))
    said = []
    for which, of in shares.items():
        most = max(range(len(classes)), key=lambda index: of[index])
        said.append(f"{MODELS[which][0]} most as {classes[most]}, {percent(float(of[most]))}")
    step = 12 * len(shares) + 6
    legend = [(name, token, "square") for name, token in (MODELS[which] for which in shares)]
    description = f"Bar chart of what {who} are taken for: {'; '.join(said)}."
    return finish(chart.properties(height=max(90, step * len(drawn))), description, 8, legend)
