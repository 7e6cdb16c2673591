"""The page that compares methods on one trained bottleneck, over every class that was forgotten and every seed."""

from __future__ import annotations

from collections import defaultdict

from dkvb.pages.charts.matrix import matrix
from dkvb.pages.charts.strip import strip
from dkvb.pages.facts import methods
from dkvb.pages.facts.comparison import answer, changes_table, extremes, results_table, summaries
from dkvb.pages.facts.methods import CONTROL
from dkvb.pages.facts.runs import Collected, ReportRun
from dkvb.pages.facts.setups import Setup
from dkvb.pages.facts.side_by_side import side_by_side
from dkvb.pages.facts.words import forgotten, plural
from dkvb.pages.page import INDEX, Content, Page, data_name, render
from dkvb.pictures.album import Album
from dkvb.workspace.files import canonical_hash


def pages(collected: Collected) -> list[Page]:
    """A page per bottleneck from which something was unlearned."""
    by_setup: dict[str, list[ReportRun]] = defaultdict(list)
    for run in collected.runs:
        if run.methods:
            by_setup[run.setup.key].append(run)
    return [_page(setup, by_setup[setup.key], collected.album) for setup in collected.setups if setup.key in by_setup]


def _page(setup: Setup, runs: list[ReportRun], album: Album | None) -> Page:
    inputs = [
        [run.page, canonical_hash(artifact.manifest)]
        for run in runs
        for result in run.methods
        for artifact in result.artifacts
    ]
    sets = plural(len(runs), "forget set", "forget sets")
    about = f"{setup.encoder}, {setup.shape}: every method over {sets} and all seeds"
    title = f"Methods compared on {setup.data}"
    shown = album.state(setup.embed) if album else None
    return Page(
        setup.compare,
        title,
        about,
        [setup.key, inputs, shown],
        lambda: content(setup, runs, album),
        "compare",
        samples=setup.embed.fingerprint if shown else "",
    )


def content(setup: Setup, runs: list[ReportRun], album: Album | None) -> Content:
    """The page's HTML, and its data."""
    runs = sorted(runs, key=lambda run: run.forget)
    results, changes = results_table(runs), changes_table(runs)
    tables = {"results": results, "changes": changes}
    rows = summaries(results)
    charts = {"left": strip(results, "forget"), "change": strip(results, "change"), "matrix": matrix(changes, runs)}
    html = render(
        "compare.html",
        setup=setup,
        runs=runs,
        summaries=rows,
        answer=answer(rows),
        charts={name: spec for name, spec in charts.items() if spec},
        extremes=extremes(changes),
        control=methods.title(CONTROL),
        pictures=side_by_side(runs, album),
        forgotten=forgotten,
        has_control=any(row.control for row in rows if row.method != CONTROL),
        several=max((row.seeds for row in rows), default=1) > 1 or len(runs) > 1,
        tables={name: data_name(setup.compare, name) for name in tables},
        links=[INDEX, (setup.inside, "Inside the bottleneck")],
    )
    return Content(html, tables)
