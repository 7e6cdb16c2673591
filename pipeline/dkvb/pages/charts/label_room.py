"""Where a label has room in a line chart: off the lines, and off the labels that stand there already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dkvb.pages.charts.base import Row

WIDTH, HEIGHT = 270, 270
"""Pixels of a plot on a phone: the narrowest in which labels have to have room."""

LETTER, LINE = 7.2, 15
"""Pixels of a letter's width and of a line's height, with some to spare."""


@dataclass(frozen=True)
class Box:
    """A label's place, as shares of the plot's width and height."""

    left: float
    right: float
    low: float
    high: float

    @classmethod
    def of(cls, text: str, x: float, y: float, spot: dict[str, Any]) -> Box:
        """That of a text at (x, y), both in [0, 1], with the mark options `align`, `dx` and `dy`."""
        wide, at = len(text) * LETTER / WIDTH, x + spot.get("dx", 0) / WIDTH
        left = at - wide if spot["align"] == "right" else at
        middle = y - spot.get("dy", 0) / HEIGHT
        return cls(left, left + wide, middle - LINE / 2 / HEIGHT, middle + LINE / 2 / HEIGHT)

    def meets(self, other: Box) -> bool:
        """Whether two labels lie over each other."""
        apart = self.right < other.left or other.right < self.left or self.high < other.low or other.high < self.low
        return not apart

    def crossed(self, line: Sequence[tuple[float, float]]) -> bool:
        """Whether a line of (x, y), by x, runs through the label."""
        across = np.linspace(self.left, self.right, 24)
        at = np.interp(across, *np.asarray(line, float).T)
        inside = (at > self.low) & (at < self.high)
        return bool(inside.any())


def lines(rows: Iterable[Row], last: float) -> list[list[tuple[float, float]]]:
    """The lines that rows with n, role and accuracy draw, by role, with n as a share of `last`."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        found.setdefault(row["role"], []).append((row["n"] / last, row["accuracy"]))
    return list(found.values())


def free(
    text: str,
    spots: Iterable[tuple[float, float, dict[str, Any]]],
    drawn: Sequence[Sequence[tuple[float, float]]],
    there: Sequence[Box],
) -> dict[str, Any] | None:
    """The first of some (x, y, mark options) at which a text lies on no line and on no other label; None where there
    is no such spot."""
    for x, y, spot in spots:
        box = Box.of(text, x, y, spot)
        if box.low < 0 or box.high > 1.08 or any(box.meets(other) for other in there):
            continue
        if not any(box.crossed(line) for line in drawn):
            return spot
    return None
