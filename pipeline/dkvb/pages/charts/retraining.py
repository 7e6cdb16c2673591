"""Training on after unlearning: accuracy by epoch, a line per method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dkvb.pages.charts.base import Legend, Row, Spec, data, ends, finish, layered, percent_axis, seeds, spread_tips
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts.retraining import EpochMean, epoch_means
from dkvb.pages.facts.runs import ReportRun
from dkvb.pages.facts.sweeps import ROLES, Role
from dkvb.pages.facts.words import by_seed, forgotten, others, percent


def charts(run: ReportRun) -> dict[str, Spec]:
    """`retraining-retain` and `retraining-forget`; empty where nothing was retrained."""
    rows = epoch_means(run)
    specs = {f"retraining-{role}": _chart(run, role, rows) for role in ROLES}
    return {name: spec for name, spec in specs.items() if spec}


def _chart(run: ReportRun, role: Role, rows: Sequence[EpochMean]) -> Spec | None:
    lines = _line_rows(rows, role)
    if not lines:
        return None
    several = any(row.seeds > 1 for row in rows)
    look = Legend({row.method for row in rows})
    x, y = _axes(lines, role)
    base = alt.Chart(data(lines)).transform_filter(look.shown).encode(x=x, color=look.colour)
    tips = [
        alt.Tooltip("name:N", title="method"),
        alt.Tooltip("epoch:Q"),
        alt.Tooltip("a:Q", title="accuracy", format=".2%"),
        alt.Tooltip("ci:N", title="over seeds"),
        alt.Tooltip("each:N", title="by seed"),
    ]
    layers: list[Any] = []
    if several:
        layers.append(base.mark_area(opacity=0.14, clip=True).encode(y=alt.Y("low:Q", title=None), y2=alt.Y2("high:Q")))
        single = [
            {"name": row.name, "epoch": row.epoch, "seed": seed, "a": value}
            for row in rows
            for seed, value in row.each(role)
            if value is not None
        ]
        thin = alt.Chart(data(single)).transform_filter(f"seeds && {look.shown}").mark_line(strokeWidth=1, opacity=0.6)
        layers.append(thin.encode(x=x, y=y, color=look.colour, detail=alt.Detail("seed:N")))
    layers += [
        base.mark_line().encode(y=y),
        base.mark_point(filled=True, size=45, opacity=1).encode(y=y, shape=look.shape, tooltip=tips),
    ]
    ends = {row["name"]: row for row in lines}
    words = "; ".join(f"{name} ends at {percent(row['a'])}" for name, row in ends.items())
    who = others(run) if role == "retain" else forgotten(run)
    chart = layered(layers, 260, look.off, *seeds(several))
    return finish(chart, f"Line chart of test accuracy on {who} by epoch of retraining: {words}.", 8, look.entries)


def _line_rows(rows: Sequence[EpochMean], role: Role) -> list[Row]:
    lines = []
    for row in rows:
        if mean := row.of(role):
            line: Row = {"name": row.name, "epoch": row.epoch, "a": mean.mean, "ci": spread_tips(mean)["ci"]}
            line |= {"each": by_seed(row.each(role))} | ends(mean)
            lines.append(line)
    return lines


def _axes(lines: Sequence[Row], role: Role) -> tuple[Any, Any]:
    last = max(row["epoch"] for row in lines) or 1
    low, high = min(row["a"] for row in lines), max(row["a"] for row in lines)
    margin = 0.2 * (high - low) + 0.01
    domain = [0, 1] if role == "forget" else [max(0, low - margin), min(1, high + margin)]
    x = alt.X(
        "epoch:Q",
        title="epochs of retraining on the classes that stay",
        scale=alt.Scale(domain=[0, last], nice=False, padding=8),
        axis=alt.Axis(tickMinStep=1, grid=False, format="d"),
    )
    axis = percent_axis(title=None) if role == "forget" else alt.Axis(format=".1~%", title=None)
    return x, alt.Y("a:Q", scale=alt.Scale(domain=domain, zero=False), axis=axis)
