"""Test accuracy of the forgotten and of the other classes against N."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from dkvb.pages.charts.base import Row, Spec, data, ends, finish, label, layered, percent_axis, roles, seeds
from dkvb.pages.charts.label_room import Box, free, lines
from dkvb.pages.charts.lazy import alt
from dkvb.pages.facts import used
from dkvb.pages.facts.runs import ReportRun
from dkvb.pages.facts.sweeps import Role, Swept
from dkvb.pages.facts.words import by_seed, count, forgotten, others, percent, short


def curve(run: ReportRun, sweep: Swept, title: str, start: int) -> Spec | None:
    """A line for either kind of classes; None without test samples.

    The parameter `n`, at first `start`, is the N that the page's slider stands at. `title`: what N counts.
    """
    names: dict[Role, str] = {"retain": others(run), "forget": short(forgotten(run), 18)}
    rows = _rows(run, sweep, names)
    if not rows:
        return None
    several = any(at.seeds > 1 for at in sweep.points())
    last = max(row["n"] for row in rows) or 1
    thousands = alt.Axis(labelExpr="datum.value ? format(datum.value, '~s') : '0'", tickCount=5, grid=False)
    x = alt.X("n:Q", title=title, scale=alt.Scale(domain=[0, last], nice=False), axis=thousands)
    y = alt.Y("accuracy:Q", scale=alt.Scale(domain=[0, 1]), axis=percent_axis(title=None))
    base = alt.Chart(data(rows)).encode(x=x, color=alt.Color("role:N", scale=roles(), legend=None))
    chance = alt.Chart(data([{"y": run.chance}])).mark_rule(color="@muted", strokeDash=[3, 4], strokeWidth=1)
    layers: list[Any] = [chance.encode(y=alt.Y("y:Q", axis=percent_axis(title=None)))]
    if several:
        layers += _spread(base, used.singles(run, sweep), names, {"x": x, "y": y})
    layers += _lines(base, x, y)
    layers += _labels(run, rows, names, last, {"x": x, "y": y})
    ends = {row["role"]: row for row in rows}  # the last of each role stays
    words = ", ".join(f"{row['who']} ends at {percent(row['accuracy'])}" for row in ends.values())
    description = f"Line chart of test accuracy against {title}, from 0 to {count(last)}: {words}."
    params = [alt.param(name="n", value=start), *seeds(several)]
    return finish(layered(layers, 270, *params), description)


def _rows(run: ReportRun, sweep: Swept, names: dict[Role, str]) -> list[Row]:
    """A row per N and kind of classes."""
    singles: dict[int, list[Row]] = defaultdict(list)
    for single in used.singles(run, sweep):
        singles[single["n"]].append(single)
    rows = []
    for at in used.points(run, sweep):
        for role, who in names.items():
            if mean := at.of(role):
                row = {"n": at.n, "role": role, "who": who, "accuracy": mean.mean, "masked": at.masked}
                row |= ends(mean)
                rows.append(row | {"each": by_seed((one["seed"], one[role]) for one in singles[at.n])})
    return rows


def _spread(base: Any, singles: list[Row], names: dict[Role, str], place: dict[str, Any]) -> list[Any]:
    """Bands between the ends of the means, and a thin line per seed."""
    each = [
        {"n": row["n"], "role": role, "seed": row["seed"], "accuracy": row[role]}
        for row in singles
        for role in names
        if row.get(role) is not None
    ]
    band = base.mark_area(opacity=0.16, line=False)
    lines = alt.Chart(data(each)).transform_filter("seeds").mark_line(strokeWidth=1, opacity=0.6)
    colour = alt.Color("role:N", scale=roles(), legend=None)
    return [
        band.encode(y=alt.Y("low:Q", axis=percent_axis(title=None)), y2=alt.Y2("high:Q")),
        lines.encode(**place, color=colour, detail=alt.Detail("seed:N")),
    ]


def _lines(base: Any, x: Any, y: Any) -> list[Any]:
    """The lines with a mark per N, and where the slider stands."""
    tips = [
        alt.Tooltip("who:N", title="classes"),
        alt.Tooltip("n:Q", title="N", format=",.0f"),
        alt.Tooltip("accuracy:Q", format=".2%"),
        alt.Tooltip("masked:Q", title="pairs masked", format=",.0f"),
        alt.Tooltip("each:N", title="by seed"),
    ]
    here = base.transform_filter("datum.n === n")
    mark: dict[str, Any] = {"filled": True, "opacity": 1, "stroke": "@page"}
    return [
        here.mark_rule(color="@ink", strokeWidth=1, opacity=0.55).encode(x=x),
        base.mark_line(interpolate="linear").encode(y=y),
        base.mark_point(**mark, size=34, strokeWidth=1).encode(y=y, tooltip=tips),
        here.mark_point(**mark, size=120, strokeWidth=1.5).encode(y=y, tooltip=tips),
    ]


def _labels(run: ReportRun, rows: list[Row], names: dict[Role, str], last: float, place: dict[str, Any]) -> list[Any]:
    """The names of the lines and, where it has room beside them, of the chance line."""
    named = _names(rows, names, last)
    boxes = [Box.of(row["text"], row["n"] / last, row["accuracy"], spot) for row, spot in named]
    drawn = [label([row], f"@{row['role']}", fontWeight=600, **spot).encode(**place) for row, spot in named]
    text = f"chance {percent(run.chance)}"
    sides = ({"align": "left", "dx": 6, "x": 0}, {"align": "right", "dx": -2, "x": "width"})
    spots = [(float(side["align"] == "right"), run.chance, side | {"dy": dy}) for dy in (-9, 10) for side in sides]
    spot = free(text, spots, lines(rows, last), boxes)
    if spot is None:
        return drawn
    chance = label([{"y": run.chance, "text": text}], "@muted", **spot)
    return [chance.encode(y=alt.Y("y:Q", axis=percent_axis(title=None))), *drawn]


def _names(rows: list[Row], names: dict[Role, str], last: float) -> list[tuple[Row, dict[str, Any]]]:
    """Where each line's name stands: beside the fall of the forgotten class, and below the end of the others' line."""
    lines = {
        role: line for role in names if (line := [row | {"text": row["who"]} for row in rows if row["role"] == role])
    }
    falls = "forget" in lines and lines["forget"][0]["accuracy"] - lines["forget"][-1]["accuracy"] > 0.3
    placed = []
    for role, line in lines.items():
        if role == "forget" and falls:
            half = (line[0]["accuracy"] + line[-1]["accuracy"]) / 2
            spot = min(line, key=lambda row: abs(row["accuracy"] - half))
            # left of the fall if the name fits there on a phone, where a letter takes up about 3% of the width
            early = spot["n"] < last * min(0.5, 0.08 + 0.03 * len(spot["text"]))
            placed.append(
                (spot, {"align": "left" if early else "right", "dx": 12 if early else -12, "dy": -4 if early else 6})
            )
        else:
            # two lines that stay together have their names on either side
            over = role == "retain" and "forget" in lines and not falls
            placed.append((line[-1], {"align": "right", "dx": -2, "dy": -13 if over else 17}))
    return placed
