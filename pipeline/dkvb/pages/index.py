"""The index: one row per run, the trained models, and what is still to be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dkvb.pages.facts import words
from dkvb.pages.facts.records import Collected, ReportRun, Setup
from dkvb.pages.page import Page, render

WIDTH, HEIGHT, EDGE = 240, 72, 4


@dataclass(frozen=True)
class Spark:
    """A run's curve as the points of two SVG lines."""

    retain: str
    forget: str
    chance: float
    description: str


def page(
    found: Collected, recipe: str, others: Sequence[Page] = (), beside: Sequence[tuple[str, str, str]] = ()
) -> str:
    """The index's HTML.

    Args:
        beside: (file name, title, what it shows) of pages that other commands have written.
    """
    unlearned = {run.setup.key for run in found.runs}
    bottlenecks = [setup for setup in found.setups if setup.model == "dkvb"]
    groups: dict[str, list[Setup]] = {}
    for setup in found.setups:
        groups.setdefault(setup.embed.fingerprint, []).append(setup)

    def heads(run: ReportRun) -> int:
        return sum(setup.model == "linear" for setup in groups[run.setup.embed.fingerprint])

    return render(
        "index.html",
        runs=[(run, spark(run), words.missing(run, heads(run))) for run in found.runs],
        waiting=[setup for setup in bottlenecks if setup.key not in unlearned],
        no_bottleneck=not bottlenecks,
        groups=list(groups.values()),
        orphans=found.orphans,
        recipe=recipe,
        others=[*((page.name, page.title, page.about) for page in others if page.kind != "run"), *beside],
        words=words,
        width=WIDTH,
        height=HEIGHT,
    )


def spark(run: ReportRun) -> Spark | None:
    """The sweep of the headline's method; without one, a slope from before to after."""
    lead = run.lead
    sweep = run.sweeps.get((lead.method, lead.setup.model)) if lead else next(iter(run.sweeps.values()), None)
    if sweep is not None and {"retain", "forget"} <= set(sweep.columns):
        rows = [
            row for row in sweep.to_dicts() if row["split"] == "test" and None not in (row["retain"], row["forget"])
        ]
        last = max((row["n"] for row in rows), default=0) or 1
        curves = {role: [(row["n"] / last, row[role]) for row in rows] for role in ("retain", "forget")}
    elif lead:
        curves = {}
        for role in ("retain", "forget"):
            before, after = (lead.split(when, f"{role}_test") for when in ("before", "after"))
            curves[role] = [(0.0, before.mean), (1.0, after.mean)] if before and after else []
    else:
        return None
    if not curves["retain"] or not curves["forget"]:
        return None
    placed = {role: [_place(x, y) for x, y in points] for role, points in curves.items()}
    start, end = curves["forget"][0][1], curves["forget"][-1][1]
    return Spark(
        retain=_path(placed["retain"]),
        forget=_path(placed["forget"]),
        chance=_place(0, run.chance)[1],
        description=(
            f"Accuracy on {words.forgotten(run)} goes from {words.percent(start)} to {words.percent(end)}; "
            f"on {words.others(run)} it ends at {words.percent(curves['retain'][-1][1])}."
        ),
    )


def _path(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _place(x: float, y: float) -> tuple[float, float]:
    return EDGE + x * (WIDTH - 2 * EDGE), EDGE + (1 - y) * (HEIGHT - 2 * EDGE)
