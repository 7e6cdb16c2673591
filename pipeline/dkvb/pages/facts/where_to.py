"""Where the samples of the forgotten classes go: what they are taken for before unlearning, after it, and by a model
that never saw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from dkvb.pages.facts.asked import SPLITS, Answers, Split
from dkvb.pages.facts.words import percent

SPLIT_WORDS: dict[Split, str] = {"test": "test samples", "train": "training samples"}


@dataclass(frozen=True)
class WhereTo:
    """The answers to the forgotten classes' samples of one split."""

    split: Split
    samples: int
    before: np.ndarray
    after: np.ndarray
    """(L,) share of them that is taken for each class."""
    oracle: np.ndarray | None

    @property
    def apart(self) -> float | None:
        """The least share of the samples that would have to be taken for another class for the answers to agree with
        the retrained model's (total variation)."""
        return None if self.oracle is None else float(np.abs(self.after - self.oracle).sum() / 2)

    @property
    def sentence(self) -> str:
        """How near the answers are to the retrained model's; "" where there is none."""
        if self.apart is None:
            return ""
        if self.apart == 0:
            return f"Its {SPLIT_WORDS[self.split]} go exactly where the retrained model sends them."
        return (
            f"{percent(self.apart)} of its {SPLIT_WORDS[self.split]} would have to go elsewhere to agree with the"
            " retrained model."
        )

    def shares(self) -> dict[str, np.ndarray]:
        """By whom each share is given, those that there are."""
        oracle = {} if self.oracle is None else {"oracle": self.oracle}
        return {"before": self.before, "after": self.after, **oracle}


def where_to(found: Answers, forget: Sequence[int]) -> list[WhereTo]:
    """Of every split that has samples of the forgotten classes, training first."""
    return [one for split in SPLITS if (one := _of_split(found, forget, split))]


def _of_split(found: Answers, forget: Sequence[int], split: Split) -> WhereTo | None:
    asked, classes = found.asked[split], len(found.splits.classes)
    mine = asked.picked(np.flatnonzero(np.isin(asked.labels, list(forget))))
    if not len(mine.rows):
        return None
    before, after, oracle = (
        None if answer is None else np.bincount(answer, minlength=classes) / len(mine.rows)
        for answer in (mine.before, mine.after, mine.oracle)
    )
    assert before is not None
    assert after is not None
    return WhereTo(split, len(mine.rows), before, after, oracle)


def where_table(every: Sequence[WhereTo], classes: Sequence[str]) -> pl.DataFrame:
    """A row per split and class that is answered, with the share of the samples of each."""
    frames = [
        pl.DataFrame(
            {"split": [one.split] * len(classes), "class": range(len(classes)), "name": list(classes), **one.shares()}
        )
        for one in every
    ]
    frame = pl.concat(frames, how="diagonal") if frames else pl.DataFrame()
    answered = [name for name in ("before", "after", "oracle") if name in frame.columns]
    return frame.filter(pl.sum_horizontal(answered) > 0) if answered else frame
