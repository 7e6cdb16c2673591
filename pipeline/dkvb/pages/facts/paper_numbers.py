"""Every number of the paper's page in one table, and the points of its curves that the paper spells out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from dkvb.metrics.intervals import stat
from dkvb.pages.facts.paper_tables import Cell, PaperTables
from dkvb.pages.facts.setups import Setup
from dkvb.pages.facts.sweeps import Swept
from dkvb.pages.facts.words import class_label


@dataclass(frozen=True)
class Number:
    """A number and where it stands."""

    table: str
    data: str
    what: str
    measure: str
    cell: Cell


@dataclass(frozen=True)
class PublishedPoint:
    """A point of a curve: test accuracy on the forgotten and on the other classes at one n."""

    n: int
    forget: Cell
    retain: Cell


def published_points(sweep: Swept, said: Iterable[tuple[int, float, float]]) -> list[PublishedPoint]:
    """The points that the paper's text spells out, as (n, forget, retain), beside what was measured at the same n."""
    measured = {at.n: at for at in sweep.points()}
    points = []
    for n, forget, retain in said:
        at = measured.get(n)
        here = (at.forget, at.retain) if at else (None, None)
        points.append(PublishedPoint(n, Cell(here[0], forget), Cell(here[1], retain)))
    return points


def table_numbers(tables: PaperTables) -> list[Number]:
    """The numbers of all tables."""
    numbers = [
        Number("Table 1", row.title, row.model, split, cell)
        for row in tables.trained
        for split, cell in row.cells.items()
    ]
    for row in tables.changes:
        numbers += [
            Number(row.table, row.title, row.label, "retain change", row.retain),
            Number(row.table, row.title, row.label, "forget change", row.forget),
            Number("Appendix C", row.title, row.label, "first N at zero", row.first_zero),
            Number("Appendix C", row.title, row.label, "first N at chance", row.first_chance),
        ]
    numbers += [Number("Table 8", row.title, row.label, "seconds", row.seconds) for row in tables.runtimes]
    numbers += [Number("Table 3", row.title, row.label, "attacker's accuracy", row.cell) for row in tables.attacks]
    for attack in tables.attacks:
        numbers += [
            Number("Table 3", attack.title, attack.label, "from retrained", Cell(attack.apart)),
            Number("Table 3", attack.title, attack.label, "forest", Cell(attack.forest)),
            Number("Table 3", attack.title, attack.label, "forest, from retrained", Cell(attack.forest_apart)),
        ]
    return numbers


def point_numbers(title: str, data: str, points: Sequence[PublishedPoint]) -> list[Number]:
    """The numbers of a figure."""
    figure = title.split(":")[0]
    return [
        Number(figure, data, title, f"{which} at N = {point.n}", cell)
        for point in points
        for which, cell in (("forget", point.forget), ("retain", point.retain))
    ]


def numbers_table(numbers: Iterable[Number]) -> pl.DataFrame:
    """A row per number that was measured or published."""
    rows = []
    for one in numbers:
        mean = one.cell.measured
        if mean is None and one.cell.published is None:
            continue
        rows.append(
            {
                "table": one.table,
                "data": one.data,
                "what": one.what,
                "measure": one.measure,
                "measured": mean and mean.mean,
                "seeds": mean.count if mean else 0,
                "sd": mean and mean.sd,
                "ci95": mean and mean.ci95,
                "published": one.cell.published,
                "difference": one.cell.difference,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def missed_table(setup: Setup, forget: Sequence[int]) -> pl.DataFrame:
    """Misclassified test samples of every class before unlearning, mean over seeds."""
    columns = zip(*(trained.result.misclassified_test for trained in setup.seeds), strict=True)
    means = [stat(column) for column in columns]
    rows: list[dict[str, Any]] = [
        {"class": index, "name": class_label(index, setup.classes[index]), "missed": mean.mean}
        | {"forget": index in forget}
        for index, mean in enumerate(means)
        if mean
    ]
    return pl.DataFrame(rows, infer_schema_length=None)
