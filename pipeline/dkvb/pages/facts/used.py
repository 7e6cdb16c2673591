"""The N that was used, as a point among those of a sweep: it need not be one of them, and where seeds differ in it,
what all used is no single N. The dial begins at it, and says what the headline says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dkvb.pages.facts.runs import MethodResult, ReportRun, accuracy
from dkvb.pages.facts.sweeps import MeanPoint, Swept


@dataclass(frozen=True)
class Used:
    """What a method's result was measured at: the mean N over seeds, with what every seed measured at its own."""

    result: MethodResult
    at: MeanPoint

    @property
    def singles(self) -> list[dict[str, Any]]:
        """A row per seed, as `Swept.singles` has them, all at the mean N."""
        return [
            {"n": self.at.n, "seed": one.seed, "masked": one.masked}
            | {role: accuracy(one, "after", f"{role}_test") for role in ("retain", "forget")}
            for one in self.result.results
        ]

    def classes(self) -> dict[int, list[tuple[int, float]]]:
        """Class -> (seed, test accuracy), without classes that have no test samples."""
        cells: dict[int, list[tuple[int, float]]] = {}
        for one in self.result.results:
            for index, value in enumerate(one.per_class_after):
                if value is not None:
                    cells.setdefault(index, []).append((one.seed, value))
        return cells


def used(run: ReportRun, sweep: Swept) -> Used | None:
    """The result of the sweep's method; None where there is none, or where the sweep has its very N for its very
    seeds."""
    result = run.find(sweep.method, sweep.model)
    n, masked = (result.stat("n"), result.stat("masked")) if result else (None, None)
    retain, forget = ((result.split("after", f"{role}_test") if result else None) for role in ("retain", "forget"))
    if result is None or n is None or masked is None or retain is None or forget is None:
        return None
    swept = {(row["n"], row["seed"]) for row in sweep.singles()}
    same_n = len({one.n for one in result.results}) == 1
    if same_n and {(one.n, one.seed) for one in result.results} == {at for at in swept if at[0] == result.first.n}:
        return None
    return Used(result, MeanPoint(round(n.mean), "test", masked.mean, retain, forget, len(result.made)))


def points(run: ReportRun, sweep: Swept) -> list[MeanPoint]:
    """The test points of a sweep by N, and among them the N that was used."""
    extra = used(run, sweep)
    return _among(sweep.points(), [extra.at] if extra else [])


def singles(run: ReportRun, sweep: Swept) -> list[dict[str, Any]]:
    """The same for every seed, as rows with n, seed, retain and forget."""
    extra = used(run, sweep)
    mine = extra.singles if extra else []
    taken = {row["n"] for row in mine}
    return sorted([row for row in sweep.singles() if row["n"] not in taken] + mine, key=lambda row: row["n"])


def _among(swept: Sequence[MeanPoint], mine: Sequence[MeanPoint]) -> list[MeanPoint]:
    taken = {at.n for at in mine}
    return sorted([*(at for at in swept if at.n not in taken), *mine], key=lambda at: at.n)
