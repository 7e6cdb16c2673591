"""The slider of a run's page: at every N of a sweep, what is said beside it, and which N are worth a button."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from dkvb.metrics.intervals import Stat, stat
from dkvb.pages.facts.runs import ReportRun
from dkvb.pages.facts.sweeps import Swept
from dkvb.pages.facts.used import points, used
from dkvb.pages.facts.words import count, deviation, exact
from dkvb.records.unlearn import UnlearnResult
from dkvb.workspace.settings import UnlearnSettings

CHOSEN_ON = {
    "rows": "the smallest that training and validation rows allow",
    "validation": "chosen on validation data",
    "test": "read off the test curve",
}


def chosen_on(result: UnlearnResult) -> str:
    """Key of `CHOSEN_ON`: on what the N of a result was chosen; "given" where it was not."""
    return "rows" if result.judged_on else result.chosen


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
    """At every N, the one that was used among them: pairs masked, and accuracy on the forgotten and on the other
    classes, in words."""
    choices: list[Choice]
    start: int


@dataclass(frozen=True)
class ClassAccuracy:
    """Test accuracy of one class at one n, as (seed, accuracy)."""

    method: str
    n: int
    index: int
    seeds: list[tuple[int, float]]

    @property
    def mean(self) -> Stat:
        mean = stat(value for _, value in self.seeds)
        assert mean
        return mean


def dials(run: ReportRun) -> list[Dial]:
    """One per masking method that was swept on test samples of both kinds of classes."""
    every = [_dial(run, sweep) for sweep in run.masking_sweeps.values()]
    return [dial for dial in every if dial]


def _dial(run: ReportRun, sweep: Swept) -> Dial | None:
    if not sweep.both():
        return None
    rows = [(at, at.retain, at.forget) for at in points(run, sweep) if at.retain and at.forget]
    grid = [at.n for at, _, _ in rows]
    said = [
        {
            "masked": count(round(at.masked)),
            "forget": exact(forget.mean) + deviation(forget),
            "retain": exact(retain.mean) + deviation(retain),
        }
        for at, retain, forget in rows
    ]
    picked = choices(run, sweep.method)
    start = min(grid, key=lambda n: abs(n - picked[0].n)) if picked else grid[len(grid) // 2]
    near = [choice for choice in picked if grid[0] <= choice.n <= grid[-1]]
    return Dial(sweep.method, sweep.symbol, grid, said, near, start)


def choices(run: ReportRun, method: str) -> list[Choice]:
    """The N that was used (a mean over seeds), and the paper's: the first on the test curve at which the target is
    met."""
    picked = []
    result = run.find(method)
    if result and (n := result.stat("n")):
        picked.append(Choice(round(n.mean), CHOSEN_ON.get(chosen_on(result.first), "used")))
    if reached := paper_n(run, method):
        picked.append(Choice(round(reached.mean), "as the paper chooses, on the test curve"))
    return picked


def paper_n(run: ReportRun, method: str) -> Stat | None:
    """The smallest N whose forget accuracy on test data is at most the target, over the seeds that reach it."""
    result, sweep = run.find(method), run.sweep(method)
    aim = result.artifacts[0].settings_as(UnlearnSettings).target if result else None
    return sweep.first_n(run.chance if aim == "chance" else 0.0) if sweep else None


def class_accuracies(run: ReportRun, drawn: Sequence[Dial], many: int, most: int) -> list[ClassAccuracy]:
    """Of each dial, N and class that is worth drawing: every class, or of more than `many` the forgotten ones and the
    `most` others that change most from the first N to the last of the first dial."""
    rows: list[ClassAccuracy] = []
    worth: list[int] = []
    for dial in drawn:
        cells = _cells(run, dial.method)
        worth = worth or _worth(run, dial, cells, many, most)
        kept = [(n, index) for n in dial.grid for index in worth if (n, index) in cells]
        rows += [ClassAccuracy(dial.method, n, index, cells[n, index]) for n, index in kept]
    return rows


Cells = dict[tuple[int, int], list[tuple[int, float]]]
"""(n, class) to (seed, test accuracy)."""


def _cells(run: ReportRun, method: str) -> Cells:
    sweep = run.sweep(method)
    assert sweep
    tested = sweep.counts.filter((pl.col("split") == "test") & (pl.col("total") > 0))
    accuracy = tested.with_columns(accuracy=pl.col("correct") / pl.col("total")).sort("n", "class", "seed")
    cells: Cells = {}
    for n, index, seed, value in accuracy.select("n", "class", "seed", "accuracy").iter_rows():
        cells.setdefault((n, index), []).append((seed, value))
    if extra := used(run, sweep):
        cells |= {(extra.at.n, index): each for index, each in extra.classes().items()}
    return cells


def _worth(run: ReportRun, dial: Dial, cells: Cells, many: int, most: int) -> list[int]:
    known = sorted({index for _, index in cells})
    if len(known) <= many:
        return known

    def moved(index: int) -> float:
        first, last = (stat(value for _, value in cells.get((n, index), [])) for n in (dial.grid[0], dial.grid[-1]))
        return abs(last.mean - first.mean) if first and last else 0.0

    rest = sorted((index for index in known if index not in run.forget), key=lambda index: -moved(index))
    return sorted([index for index in known if index in run.forget] + rest[:most])
