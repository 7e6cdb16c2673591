"""Which class is taken for which, before and after unlearning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from dkvb.pages.facts.asked import Answers


@dataclass(frozen=True)
class Confusion:
    """Test samples by class and by answer."""

    before: np.ndarray
    after: np.ndarray
    """(L, L) how many samples of the row's class are taken for the column's."""

    def shares(self, when: str) -> np.ndarray:
        """(L, L): of the row's samples the share that is taken for the column's class, NaN where it has none; "before",
        "after", or "difference", after less before."""
        if when == "difference":
            return self.shares("after") - self.shares("before")
        counted = self.before if when == "before" else self.after
        of = counted.sum(1, keepdims=True)
        return np.divide(counted, of, out=np.full(counted.shape, np.nan), where=of > 0)

    def moved(self, forget: Sequence[int], most: int) -> list[int]:
        """The classes worth a row and a column: the forgotten ones, and those whose samples or answers changed most."""
        changed = np.abs(self.after - self.before)
        by_class = changed.sum(0) + changed.sum(1)
        rest = [index for index in np.argsort(-by_class, kind="stable") if index not in forget]
        return sorted([*forget, *(int(index) for index in rest[: most - len(forget)])])

    def table(self, classes: Sequence[str]) -> pl.DataFrame:
        """A row per class and answer that there is, with numbers of samples; what changed most first."""
        rows, columns = np.nonzero(self.before + self.after)
        order = np.argsort(-np.abs(self.after - self.before)[rows, columns], kind="stable")
        rows, columns = rows[order], columns[order]
        names = np.asarray(classes, dtype=object)
        counted = {"before": self.before[rows, columns], "after": self.after[rows, columns]}
        said = {"name": names[rows].tolist(), "answer": columns, "answer_name": names[columns].tolist()}
        return pl.DataFrame({"class": rows, **said, **counted})


def confusion(found: Answers) -> Confusion:
    """That of the test samples that were asked."""
    asked, classes = found.asked["test"], len(found.splits.classes)
    before, after = (
        np.bincount(asked.labels * classes + answer, minlength=classes**2).reshape(classes, classes)
        for answer in (asked.before, asked.after)
    )
    return Confusion(before, after)
