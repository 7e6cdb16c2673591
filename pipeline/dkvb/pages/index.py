"""The index: what came of it all in a sentence, one row per run, links, the trained models, and what is still to be
done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dkvb.pages.facts import words
from dkvb.pages.facts.gaps import Missing, missing
from dkvb.pages.facts.headline import headline, requested
from dkvb.pages.facts.runs import Collected, ReportRun
from dkvb.pages.facts.setups import Setup
from dkvb.pages.facts.side_by_side import SideBySide, side_by_side
from dkvb.pages.facts.sweeps import ROLES, Role
from dkvb.pages.facts.verdict import verdict
from dkvb.pages.page import Page, render
from dkvb.records.requests import RequestRow

WIDTH, HEIGHT, EDGE = 240, 72, 4

Line = list[tuple[float, float]]
"""(share of the way from left to right, accuracy)."""


@dataclass(frozen=True)
class Spark:
    """A run's curve as the points of two SVG lines."""

    retain: str
    forget: str
    chance: float
    description: str


@dataclass(frozen=True)
class RunRow:
    """A run on the index."""

    run: ReportRun
    spark: Spark | None
    missing: list[Missing]
    pictures: SideBySide | None = None
    """Samples of the forgotten classes, where the data are images."""

    @property
    def said(self) -> str:
        """What came of it, in a sentence or two."""
        return " ".join(verdict(self.run, self.run.lead)) if self.run.lead else ""


def html(
    collected: Collected,
    recipe: str,
    others: Sequence[Page] = (),
    beside: Sequence[tuple[str, str, str]] = (),
    asked: Sequence[RequestRow] = (),
) -> str:
    """The index's HTML.

    Args:
        recipe: name of the recipe that the report was asked with.
        others: the pages that it links to.
        beside: (file name, title, what it shows) of pages that other commands have written.
        asked: all deletion requests.
    """
    unlearned = {run.setup.key for run in collected.runs}
    bottlenecks = [setup for setup in collected.setups if setup.model == "dkvb"]
    groups: dict[str, list[Setup]] = {}
    for setup in collected.setups:
        groups.setdefault(setup.embed.fingerprint, []).append(setup)
    shown = {one.run.page: one for one in side_by_side(collected.runs, collected.album)}
    return render(
        "index.html",
        runs=[
            RunRow(run, spark(run), missing(run, len(collected.heads(run.setup))), shown.get(run.page))
            for run in collected.runs
        ],
        headline=headline(collected.runs, sum(page.kind == "audit" for page in others), len(asked)),
        requested=requested(asked),
        waiting=[setup for setup in bottlenecks if setup.key not in unlearned],
        no_bottleneck=not bottlenecks,
        groups=list(groups.values()),
        several=any(len(group[0].seeds) > 1 for group in groups.values()),
        orphans=collected.orphans,
        recipe=recipe,
        others=[*((page.name, page.title, page.about) for page in others if page.kind != "run"), *beside],
        forgotten=words.forgotten,
        width=WIDTH,
        height=HEIGHT,
    )


def spark(run: ReportRun) -> Spark | None:
    """The sweep of the headline's method; without one, a slope from before to after; None without test samples."""
    lines = _lines(run)
    if not lines["retain"] or not lines["forget"]:
        return None
    start, end = lines["forget"][0][1], lines["forget"][-1][1]
    return Spark(
        retain=_path(lines["retain"]),
        forget=_path(lines["forget"]),
        chance=_place(0, run.chance)[1],
        description=(
            f"Accuracy on {words.forgotten(run)} goes from {words.percent(start)} to {words.percent(end)}; "
            f"on {words.others(run)} it ends at {words.percent(lines['retain'][-1][1])}."
        ),
    )


def _lines(run: ReportRun) -> dict[Role, Line]:
    lead = run.lead
    sweep = run.sweeps.get((lead.method, lead.setup.model)) if lead else next(iter(run.sweeps.values()), None)
    if sweep and sweep.has_both:
        rows = sweep.both()
        last = max((at.n for at, _, _ in rows), default=0) or 1
        return {
            "retain": [(at.n / last, retain.mean) for at, retain, _ in rows],
            "forget": [(at.n / last, forget.mean) for at, _, forget in rows],
        }
    lines: dict[Role, Line] = {role: [] for role in ROLES}
    if lead:
        for role in ROLES:
            before, after = lead.split("before", f"{role}_test"), lead.split("after", f"{role}_test")
            lines[role] = [(0.0, before.mean), (1.0, after.mean)] if before and after else []
    return lines


def _path(line: Line) -> str:
    placed = (_place(x, y) for x, y in line)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)


def _place(x: float, y: float) -> tuple[float, float]:
    return EDGE + x * (WIDTH - 2 * EDGE), EDGE + (1 - y) * (HEIGHT - 2 * EDGE)
