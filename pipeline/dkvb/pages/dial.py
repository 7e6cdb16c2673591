"""The slider of a run's page: at every N of a sweep, what its two charts show and what is said beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from dkvb.metrics.intervals import Stat, stat
from dkvb.pages.charts.base import MANY, SEEDS, SHOWN, data, finish, seeds_text, spread_tips
from dkvb.pages.charts.run import ROLES, class_axis
from dkvb.pages.facts.collect import per_seed
from dkvb.pages.facts.records import ReportRun, class_label, short
from dkvb.pages.facts.words import count, deviation, exact, forgotten, others

DIALS = {"activations": "N_a", "examples": "N_e"}


@dataclass(frozen=True)
class Choice:
    """An N worth a button: the one that was used, and the one that the paper's way would take."""

    n: int
    text: str


@dataclass(frozen=True)
class Dial:
    """Everything that the page's slider needs for one method."""

    method: str
    symbol: str
    grid: list[int]
    said: list[dict[str, str]]
    """At every N: pairs masked, accuracy on the forgotten and on the other classes, in words."""
    choices: list[Choice]
    start: int


def dials(run: ReportRun) -> list[Dial]:
    """One per masking method that was swept with test samples."""
    found = [_dial(run, method) for method in DIALS if (method, "dkvb") in run.sweeps]
    return [dial for dial in found if dial]


def _dial(run: ReportRun, method: str) -> Dial | None:
    frame = run.sweeps[method, "dkvb"].filter(pl.col("split") == "test").sort("n")
    if not {"retain", "forget"} <= set(frame.columns):
        return None
    rows = [row for row in frame.to_dicts() if row["retain"] is not None and row["forget"] is not None]
    if not rows:
        return None
    grid = [row["n"] for row in rows]
    said = [
        {"masked": count(round(row["masked"]))}
        | {
            role: exact(row[role]) + deviation(Stat(row[role], row[f"{role}_sd"], row["seeds"]))
            for role in ("forget", "retain")
        }
        for row in rows
    ]
    picked = choices(run, method)
    start = min(grid, key=lambda n: abs(n - picked[0].n)) if picked else grid[len(grid) // 2]
    near = [choice for choice in picked if grid[0] <= choice.n <= grid[-1]]
    return Dial(method, DIALS[method], grid, said, near, start)


def choices(run: ReportRun, method: str) -> list[Choice]:
    """The N that was used (a mean over seeds), and the paper's: the first on the test curve at which the target is
    met."""
    found = []
    used = run.find(method)
    if used and (n := used.stat("n")):
        how = {"validation": "chosen on validation data", "test": "read off the test curve"}.get(
            used.results[0]["chosen"], "used"
        )
        found.append(Choice(round(n.mean), how))
    reached = paper_n(run, method)
    if reached:
        found.append(Choice(round(reached.mean), "as the paper chooses, on the test curve"))
    return found


def paper_n(run: ReportRun, method: str) -> Stat | None:
    """The smallest N whose forget accuracy on test data is at most the target, over the seeds that reach it."""
    used = run.find(method)
    aim = used.artifacts[0].settings.get("target") if used else None
    target = run.chance if aim == "chance" else 0.0
    counts = run.counts.get((method, "dkvb"))
    if counts is None:
        return None
    single = per_seed(counts.filter(pl.col("split") == "test"), run.forget)
    if "forget" not in single.columns:
        return None
    reached = single.filter(pl.col("forget") <= target).group_by("seed").agg(pl.col("n").min()).sort("seed")
    return stat(reached["n"].to_list())


def _per_class(run: ReportRun, found: list[Dial]) -> list[dict[str, Any]]:
    """A row per method, N and class that is worth drawing."""
    rows: list[dict[str, Any]] = []
    chosen: list[int] | None = None
    for dial in found:
        counts = run.counts[dial.method, "dkvb"].filter((pl.col("split") == "test") & (pl.col("total") > 0))
        accuracy = counts.with_columns(accuracy=pl.col("correct") / pl.col("total")).sort("n", "class", "seed")
        cells: dict[tuple[int, int], list[tuple[int, float]]] = {}
        for n, index, seed, value in accuracy.select("n", "class", "seed", "accuracy").iter_rows():
            cells.setdefault((n, index), []).append((seed, value))
        chosen = chosen or _worth(run, dial, cells)
        rows += [
            {
                "m": dial.method,
                "n": n,
                "c": index,
                "a": [round(value, 5) for _, value in cells[n, index]],
                "s": cells[n, index],
            }
            for n in dial.grid
            for index in chosen
            if (n, index) in cells
        ]
    return rows


def _worth(run: ReportRun, dial: Dial, cells: dict[tuple[int, int], list[tuple[int, float]]]) -> list[int]:
    known = sorted({index for _, index in cells})
    if len(known) <= MANY:
        return known
    first, last = dial.grid[0], dial.grid[-1]

    def moved(index: int) -> float:
        means = [stat(value for _, value in cells.get((n, index), [])) for n in (first, last)]
        return abs(means[1].mean - means[0].mean) if means[0] and means[1] else 0.0

    rest = sorted((index for index in known if index not in run.forget), key=lambda index: -moved(index))
    return sorted([index for index in known if index in run.forget] + rest[:SHOWN])


def charts(run: ReportRun, found: list[Dial]) -> dict[str, dict[str, Any]]:
    """`dial-tradeoff`, retain against forget accuracy with the slider's place on it, and `dial-classes`, the bars at
    that place."""
    if not found:
        return {}
    here, several = "datum.m === method && datum.n === n", any(len(artifacts) > 1 for artifacts in _seeds(run, found))
    params = [
        alt.param(name="method", value=found[0].method),
        alt.param(name="n", value=found[0].start),
        *([SEEDS] if several else []),
    ]
    return {
        "dial-tradeoff": _tradeoff(run, found, params, here),
        "dial-classes": _bars(run, found, params, here, several),
    }


def _seeds(run: ReportRun, found: list[Dial]) -> list[list[int]]:
    return [run.counts[dial.method, "dkvb"]["seed"].unique().to_list() for dial in found]


def _tradeoff(run: ReportRun, found: list[Dial], params: list[Any], here: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    singles: list[dict[str, Any]] = []
    for dial in found:
        frame = (
            run.sweeps[dial.method, "dkvb"].filter(pl.col("split") == "test").drop_nulls(["retain", "forget"]).sort("n")
        )
        rows += [
            {"m": dial.method, "n": row["n"], "forget": row["forget"], "retain": row["retain"]}
            for row in frame.to_dicts()
        ]
        single = (
            per_seed(run.counts[dial.method, "dkvb"], run.forget)
            .filter(pl.col("split") == "test")
            .drop_nulls(["retain", "forget"])
        )
        singles += [
            {"m": dial.method} | {key: row[key] for key in ("n", "seed", "forget", "retain")}
            for row in single.to_dicts()
        ]
    lows, highs = (pick(row["retain"] for row in singles or rows) for pick in (min, max))
    room = max(0.01, 0.15 * (highs - lows))
    x = alt.X(
        "forget:Q",
        title=f"test accuracy on {short(forgotten(run), 40)}",
        scale=alt.Scale(domain=[0, 1], padding=8, nice=False),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    y = alt.Y(
        "retain:Q",
        title=f"test accuracy on {others(run)}",
        scale=alt.Scale(domain=[max(0, lows - room), min(1.0, highs + room)], zero=False, nice=False, padding=6),
        axis=alt.Axis(format=".1~%", tickCount=5),
    )
    colours = alt.Scale(domain=list(DIALS), range=[f"@{method}" for method in DIALS])
    colour = alt.Color("m:N", scale=colours, legend=None)
    tips = [alt.Tooltip("n:Q", title="N", format=",.0f")]
    tips += [
        alt.Tooltip(f"{role}:Q", title=who, format=".2%")
        for role, who in (("forget", "forgotten"), ("retain", "others"))
    ]
    base = alt.Chart(data(rows)).transform_filter("datum.m === method").encode(x=x, y=y, color=colour)
    layers: list[Any] = []
    if len({row["seed"] for row in singles}) > 1:
        each = alt.Chart(data(singles)).encode(x=x, y=y, color=colour, detail="seed:N", order="n:Q")
        thin = each.transform_filter("seeds && datum.m === method").mark_line(strokeWidth=1, opacity=0.6)
        spots = each.transform_filter(f"seeds && {here}").mark_point(filled=False, size=60, strokeWidth=1.5, opacity=1)
        layers += [thin, spots.encode(tooltip=[alt.Tooltip("seed:N"), *tips])]
    layers += [
        base.mark_line(strokeWidth=1.75, opacity=0.7).encode(order="n:Q"),
        base.mark_point(filled=True, size=26, opacity=1).encode(tooltip=tips),
        base.transform_filter("datum.n === n")
        .mark_point(filled=True, size=260, opacity=1, stroke="@page", strokeWidth=2)
        .encode(tooltip=tips),
    ]
    description = (
        f"Curve of test accuracy on {others(run)} against test accuracy on {forgotten(run)} as pairs are masked, "
        "with a mark at the slider's N."
    )
    return finish(alt.layer(*layers).add_params(*params).properties(height=260), description, top=8)


def _bars(run: ReportRun, found: list[Dial], params: list[Any], here: str, several: bool) -> dict[str, Any]:
    rows = []
    singles = []
    for cell in _per_class(run, found):
        mean = stat(cell["a"])
        assert mean
        role = "forget" if cell["c"] in run.forget else "retain"
        row = {
            "m": cell["m"],
            "n": cell["n"],
            "class": class_label(cell["c"], run.setup.classes[cell["c"]]),
            "role": role,
        }
        tips = {"ci": spread_tips(mean)["ci"], "each": seeds_text(cell["s"])} if several else {}
        rows.append(row | {"a": round(mean.mean, 5)} | tips)
        singles += [row | {"seed": seed, "a": round(value, 5)} for seed, value in cell["s"]] if several else []
    names = list(dict.fromkeys(row["class"] for row in rows))
    y = alt.Y("class:N", sort=names, axis=class_axis(rows))
    axis = alt.Axis(
        format=".0%",
        tickCount=5,
        domain=False,
        ticks=False,
        title="test accuracy at this N; the thin line is before",
        orient="top",
    )
    x = alt.X("a:Q", scale=alt.Scale(domain=[0, 1]), axis=axis)
    colour = alt.Color("role:N", scale=ROLES, legend=None)
    tips_ = [alt.Tooltip("class:N"), alt.Tooltip("a:Q", title="accuracy", format=".2%")]
    tips_ += [alt.Tooltip("ci:N", title="95% interval"), alt.Tooltip("each:N", title="by seed")] if several else []
    base = alt.Chart(data(rows)).encode(y=y)
    at = base.transform_filter(here)
    layers: list[Any] = [
        at.mark_bar(height=15, opacity=0.85, cornerRadiusEnd=2).encode(x=x, color=colour, tooltip=tips_),
        base.transform_filter("datum.m === method && datum.n === 0")
        .mark_tick(color="@ink", thickness=1.5, size=21, opacity=0.8)
        .encode(x=x),
        at.mark_text(align="left", x="width", dx=10).encode(text=alt.Text("a:Q", format=".1%")),
    ]
    if several:
        ticks = alt.Chart(data(singles)).transform_filter(f"seeds && {here}")
        ticks = ticks.mark_point(filled=False, size=34, strokeWidth=1.5, opacity=1, fill="@page")
        tip = [alt.Tooltip("class:N"), alt.Tooltip("seed:N"), alt.Tooltip("a:Q", title="accuracy", format=".2%")]
        layers.append(ticks.encode(x=x, y=y, color=colour, tooltip=tip))
    description = f"Bars of the test accuracy of {len(names)} classes at the slider's N."
    return finish(alt.layer(*layers).add_params(*params).properties(height=25 * len(names)), description, top=6)
