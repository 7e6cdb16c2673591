"""Training beside test accuracy after each method: a gap between them is what was learned by heart."""

from __future__ import annotations

from collections.abc import Sequence

from dkvb.metrics.intervals import Stat
from dkvb.pages.charts.base import Row, Spec, data, finish, layered, percent_axis
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts.runs import ReportRun
from dkvb.pages.facts.sweeps import ROLES, Role
from dkvb.pages.facts.words import all_short, percent

MARKS = {"training": ("@muted", "diamond"), "test": ("@ink", "circle")}


def charts(run: ReportRun) -> dict[str, Spec]:
    """`splits-retain` and `splits-forget`, those of which something was measured on both splits."""
    found = {role: _rows(run, role) for role in ROLES}
    return {f"splits-{role}": _dumbbells(rows, role) for role, rows in found.items() if rows}


def _rows(run: ReportRun, role: Role) -> list[Row]:
    """A row per result and split; the trained model's first."""
    rows: list[Row] = []
    before = run.lead
    if before:
        rows += _pair(
            "before unlearning", before.split("before", f"{role}_train"), before.split("before", f"{role}_test")
        )
    for result in run.methods:
        rows += _pair(result.label, result.split("after", f"{role}_train"), result.split("after", f"{role}_test"))
    return rows


def _pair(name: str, train: Stat | None, test: Stat | None) -> list[Row]:
    if not train or not test:
        return []
    both = (("training", train), ("test", test))
    return [{"method": name, "split": split, "accuracy": round(mean.mean, 5)} for split, mean in both]


def _dumbbells(rows: Sequence[Row], role: Role) -> Spec:
    brief = all_short(list(dict.fromkeys(row["method"] for row in rows)), 26)
    rows, names = [row | {"label": brief[row["method"]]} for row in rows], list(brief.values())
    splits, colours, shapes = list(MARKS), [look[0] for look in MARKS.values()], [look[1] for look in MARKS.values()]
    x = alt.X("accuracy:Q", title="accuracy", axis=percent_axis(), scale=alt.Scale(zero=False, padding=8))
    y = alt.Y("label:N", sort=names, axis=alt.Axis(title=None, labelLimit=0, labelColor="@ink"))
    look = {
        "color": alt.Color("split:N", scale=alt.Scale(domain=splits, range=colours)),
        "shape": alt.Shape("split:N", scale=alt.Scale(domain=splits, range=shapes)),
    }
    base = alt.Chart(data(rows)).encode(y=y)
    tips = [alt.Tooltip("method:N"), alt.Tooltip("split:N"), alt.Tooltip("accuracy:Q", format=".2%")]
    layers = [
        base.mark_rule(color="@line", strokeWidth=2).encode(x=alt.X("min(accuracy):Q"), x2=alt.X2("max(accuracy):Q")),
        base.transform_filter("indexof(off, datum.split) < 0")
        .mark_point(filled=True, size=70, opacity=1)
        .encode(x=x, **look, tooltip=tips),
    ]
    said = "; ".join(f"{row['method']} {row['split']} {percent(row['accuracy'])}" for row in rows[:8])
    who = "the classes that stay" if role == "retain" else "the forgotten classes"
    chart = layered(layers, 32 * len(names), alt.param(name="off", value=[]))
    legend = [(name, *MARKS[name]) for name in splits]
    return finish(chart, f"Dot chart per method of training and test accuracy on {who}: {said}.", 8, legend)
