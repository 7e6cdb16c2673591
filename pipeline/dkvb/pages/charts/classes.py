"""Each class's test accuracy before and after unlearning, as dumbbells with the change beside them."""

from __future__ import annotations

from dkvb.metrics.intervals import Stat
from dkvb.pages.charts.base import (
    MANY,
    SHOWN,
    Row,
    Spec,
    class_axis,
    class_tip,
    data,
    finish,
    layered,
    named,
    roles,
    seeds,
    top_axis,
)
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts.runs import MethodResult, ReportRun
from dkvb.pages.facts.words import by_seed, percent, plural


def shown_classes(run: ReportRun, before: list[Stat | None], after: list[Stat | None]) -> list[int]:
    """The classes worth drawing: all of them, or of many the forgotten ones and those that changed most, by id."""
    changes = {
        index: now.mean - was.mean for index, (was, now) in enumerate(zip(before, after, strict=True)) if was and now
    }
    if len(changes) <= MANY:
        return list(changes)
    rest = sorted((index for index in changes if index not in run.forget), key=lambda index: -abs(changes[index]))
    return sorted([index for index in changes if index in run.forget] + rest[:SHOWN])


def classes(run: ReportRun, result: MethodResult) -> Spec | None:
    """What one result did to every class; None where no class has test samples."""
    rows, singles = _rows(run, result)
    if not rows:
        return None
    y = alt.Y("class:N", sort=[row["class"] for row in rows], axis=class_axis(rows))
    x = alt.X("before:Q", scale=alt.Scale(domain=[0, 1]), axis=top_axis("test accuracy:  ○ before  ● after"))
    after_x = alt.X("after:Q", scale=alt.Scale(domain=[0, 1]))
    colour = alt.Color("role:N", scale=roles(), legend=None)
    tips = [
        class_tip(),
        *(alt.Tooltip(f"{when}:Q", format=".2%") for when in ("before", "after")),
        alt.Tooltip("text:N", title="points"),
        alt.Tooltip("each:N", title="after, by seed"),
    ]
    base = alt.Chart(data(rows)).encode(y=y, color=colour, tooltip=tips)
    layers = [
        base.mark_rule(strokeWidth=2, opacity=0.45).encode(x=x, x2=alt.X2("after:Q")),
        base.mark_point(filled=True, fill="@page", size=60, strokeWidth=1.75, opacity=1).encode(x=x, stroke=colour),
        base.mark_point(filled=True, size=60, opacity=1).encode(x=after_x),
        base.mark_text(align="left", x="width", dx=12, fontSize=12).encode(text=alt.Text("text:N")),
    ]
    several = len(result.made) > 1
    if several:
        ticks = alt.Chart(data(singles)).transform_filter("seeds").mark_tick(thickness=1.5, size=15, opacity=0.9)
        tip = [class_tip(), alt.Tooltip("seed:N"), alt.Tooltip("after:Q", format=".2%")]
        layers.append(ticks.encode(x=after_x, y=y, color=colour, tooltip=tip))
    words = "; ".join(f"{row['class']} {percent(row['before'])} to {percent(row['after'])}" for row in rows[:12])
    more = f"; and {plural(len(rows) - 12, 'more class', 'more classes')} in the table" if len(rows) > 12 else ""
    chart = layered(layers, 25 * len(rows), *seeds(several))
    return finish(chart, f"Test accuracy per class before and after: {words}{more}.", top=6)


def _rows(run: ReportRun, result: MethodResult) -> tuple[list[Row], list[Row]]:
    """A row per class over seeds, and one per class and seed."""
    rows: list[Row] = []
    singles: list[Row] = []
    before, after = result.per_class("before"), result.per_class("after")
    for index in shown_classes(run, before, after):
        was, now = before[index], after[index]
        assert was
        assert now
        change = 100 * (now.mean - was.mean)
        each = [(one.seed, one.per_class_after[index]) for one in result.results]
        about = {
            **named(index, run.setup.classes[index]),
            "role": "forget" if index in run.forget else "retain",
        }
        text = "±0.0" if abs(change) < 0.05 else f"{change:+.1f}".replace("-", "−")
        rows.append(about | {"before": was.mean, "after": now.mean, "text": text, "each": by_seed(each)})
        singles += [about | {"after": value, "seed": seed} for seed, value in each if value is not None]
    return rows, singles
