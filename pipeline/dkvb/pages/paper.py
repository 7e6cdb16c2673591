"""The paper's tables and figures, measured beside published: what was run in this workspace, whatever the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import polars as pl

from dkvb.metrics.published import FIGURES, TABLE_1_COLUMNS
from dkvb.pages.charts import paper as paper_charts
from dkvb.pages.charts import retraining as retraining_charts
from dkvb.pages.charts.base import Spec
from dkvb.pages.facts import methods
from dkvb.pages.facts.gaps import missing_of_paper
from dkvb.pages.facts.paper_numbers import (
    PublishedPoint,
    missed_table,
    numbers_table,
    point_numbers,
    published_points,
    table_numbers,
)
from dkvb.pages.facts.paper_parts import Part, all_parts
from dkvb.pages.facts.paper_tables import paper_tables
from dkvb.pages.facts.retraining import points_table
from dkvb.pages.facts.runs import Collected, ReportRun
from dkvb.pages.facts.setups import without
from dkvb.pages.facts.words import count
from dkvb.pages.page import Content, Page, data_name, render

NAME = "paper.html"

TRAINED_ON = ("epochs", "retrain_lr", "retrain_batch_size", "clip")
"""Settings of Table 7."""


@dataclass(frozen=True)
class Figure:
    """One of the paper's figures."""

    id: str
    part: Part
    title: str
    spec: Spec
    rows: pl.DataFrame
    """Its numbers."""
    points: list[PublishedPoint] = field(default_factory=list)
    """Those of them that the paper spells out."""
    said: str = ""


def pages(collected: Collected) -> list[Page]:
    """One page, of everything that has been trained; none where nothing has."""
    if not collected.setups:
        return []
    parts = all_parts(collected)
    inputs = [
        [artifact.fingerprint, artifact.created]
        for part in parts
        for artifact in [
            *(trained.artifact for setup in (part.setup, *part.heads) for trained in setup.seeds),
            *(artifact for result in (part.run.methods if part.run else []) for artifact in result.artifacts),
            *(made.artifact for made in (part.run.swept if part.run else [])),
            *(made.artifact for made in (part.run.retraining if part.run else [])),
            *(attack.artifact for attack in part.attacks),
        ]
    ]
    about = "every table and figure of the paper, measured beside published"
    return [Page(NAME, "The paper's tables and figures", about, inputs, lambda: content(parts), "paper")]


def content(parts: Sequence[Part]) -> Content:
    """HTML, and what every table says as one table."""
    figures = [figure for place, part in enumerate(parts) for figure in _figures(part, f"p{place}")]
    rows = paper_tables(parts)
    numbers = table_numbers(rows)
    for figure in figures:
        numbers += point_numbers(figure.title, figure.part.title, figure.points)
    every = {"numbers": numbers_table(numbers)} | {figure.id: figure.rows for figure in figures}
    tables = {name: frame for name, frame in every.items() if not frame.is_empty()}
    html = render(
        "paper.html",
        parts=parts,
        tables=rows,
        grouped=grouped,
        charts={figure.id: figure.spec for figure in figures},
        figures=figures,
        splits=TABLE_1_COLUMNS,
        settings=[(part, _settings(part)) for part in parts],
        missing=missing_of_paper(parts),
        beside=any(part.published for part in parts),
        file=data_name(NAME, "numbers") if "numbers" in tables else "",
    )
    return Content(html, tables)


def grouped(rows: Sequence[Any]) -> list[tuple[str, list[Any]]]:
    """Rows of a table by their data set, and where rows say so by the paper's table, in their order."""

    def kind(row: Any) -> str:
        return f"{row.title}, {row.table}" if getattr(row, "table", "") else str(row.title)

    return [(name, list(mine)) for name, mine in groupby(rows, kind)]


def _figures(part: Part, place: str) -> list[Figure]:
    """The paper's figures of one part: curves (2, 3, 7, 8), misclassifications (5), retraining (4 and 6)."""
    if part.run is None:
        return []
    figures = _curves(part, part.run, place)
    missed = missed_table(part.setup, part.run.forget)
    if spec := paper_charts.missed(missed):
        title = "Figure 5: misclassified test samples per class"
        figures.append(Figure(f"{place}-missed", part, title, spec, missed, said=_best(part, missed)))
    for name, spec in retraining_charts.charts(part.run).items():
        what = "classes that stay" if name.endswith("retain") else "the forgotten class"
        title = f"Figures 4 and 6: training on, {what}"
        figures.append(Figure(f"{place}-{name}", part, title, spec, points_table(part.run)))
    return figures


def _curves(part: Part, run: ReportRun, place: str) -> list[Figure]:
    figures = []
    for method, sweep in run.masking_sweeps.items():
        said = part.published.points.get(method, ()) if part.published else ()
        figure = part.published.figure(method) if part.published else f"as {FIGURES.get(method, 'Figure 2')}"
        if spec := paper_charts.trade(sweep, said):
            title, points = f"{figure}: {methods.title(method)}", published_points(sweep, said)
            figures.append(Figure(f"{place}-curve-{method}", part, title, spec, sweep.means, points))
    return figures


def _best(part: Part, missed: pl.DataFrame) -> str:
    """Which class is misclassified least, here and in the paper (Appendix A)."""
    best = missed.sort("missed", "class").row(0, named=True)
    paper = f" In the paper: class {part.published.best}." if part.published and part.published.best is not None else ""
    return f"Misclassified least here: {best['name']} ({count(round(best['missed'], 1))}).{paper}"


def _settings(part: Part) -> list[tuple[str, dict[str, Any]]]:
    """Tables 4 to 7."""
    trained = part.setup.seeds[0]
    groups = [("Table 4: the bottleneck", {**trained.keys_settings, **trained.section})]
    groups += [("Table 5: the linear head", head.seeds[0].section) for head in part.heads[:1]]
    groups += [
        ("Table 6: SCRUB", without(result.artifacts[0].settings, "kind", "method", "forget", "seed"))
        for result in part.results
        if result.method == "scrub"
    ]
    for made in part.run.retraining if part.run else []:
        title = f"Table 7: retraining after {methods.title(made.result.method)}"
        used = {name: value for name, value in made.artifact.settings.items() if name in TRAINED_ON}
        if (title, used) not in groups:
            groups.append((title, used))
    return groups
