"""What unlearning measured, as the rows that its artifacts hold."""

from __future__ import annotations

import polars

from dkvb.evaluation.accuracies import Counted
from dkvb.methods.base import Point
from dkvb.metrics.accuracy import retain_and_forget
from dkvb.records.unlearn import SweepPoint
from dkvb.workspace.names import STORED_SPLITS


def metrics_table(counts: dict[str, dict[str, Counted]]) -> polars.DataFrame:
    """A row per time ("before", "after"), split and class."""
    return polars.DataFrame(
        {"when": when, "split": split, "class": c, "correct": int(correct), "total": int(total)}
        for when, by_split in counts.items()
        for split in STORED_SPLITS
        for c, (correct, total) in enumerate(zip(by_split[split].correct, by_split[split].total, strict=True))
    )


def curve_table(points: list[Point]) -> polars.DataFrame:
    """A row per point and class."""
    return polars.DataFrame(
        {
            "n": point.n,
            "split": point.split,
            "class": c,
            "correct": int(correct),
            "total": int(total),
            "masked": point.masked,
        }
        for point in points
        for c, (correct, total) in enumerate(zip(point.correct, point.total, strict=True))
    )


def sweep_points(points: list[Point], grid: list[int], forget: list[int]) -> list[SweepPoint]:
    """A point per n, with the accuracies on every split on which it was measured."""
    by_n: dict[int, dict[str, float | None]] = {n: {"n": n} for n in grid}
    for point in points:
        retain, forgotten = retain_and_forget(point.correct, point.total, forget)
        by_n[point.n] |= {"masked": point.masked, f"retain_{point.split}": retain, f"forget_{point.split}": forgotten}
    return [SweepPoint.model_validate(fields) for fields in by_n.values()]
