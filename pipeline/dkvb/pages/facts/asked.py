"""What a bottleneck answers to single samples: before unlearning, after it, and as a retrained model would.

The pictures of single samples are drawn from it: confusion, where samples go, and the map. Only rows that are still
there are asked; a purge takes the pages with them along (`Page.samples`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open

from dkvb.bottleneck.mask_order import NEVER
from dkvb.errors import DkvbError
from dkvb.evaluation.splits import Splits
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_logits_at
from dkvb.pages.facts import look_ups
from dkvb.pages.facts.runs import MethodResult, ReportRun
from dkvb.pages.facts.setups import Trained
from dkvb.workspace import tensors
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import VALUES

Split = Literal["test", "train"]

SPLITS: tuple[Split, Split] = ("train", "test")

MOST: dict[Split, int] = {"test": 5_000, "train": 2_000}
"""Rows of a split that are asked at most, evenly over classes and within each."""

UNREADABLE = (DkvbError, OSError, KeyError, SafetensorError, ValueError)


@dataclass(frozen=True)
class Asked:
    """Rows of one split, and what is answered to each."""

    rows: np.ndarray
    """(n,) places within the split."""
    labels: np.ndarray
    """(n,) classes they are of."""
    before: np.ndarray
    after: np.ndarray
    """(n,) answers."""
    oracle: np.ndarray | None
    """(n,) those of the retrained model."""
    of: int
    """Rows that the split has."""

    def picked(self, places: np.ndarray) -> Asked:
        """Some of them (m,)."""
        oracle = None if self.oracle is None else self.oracle[places]
        return Asked(self.rows[places], self.labels[places], self.before[places], self.after[places], oracle, self.of)


@dataclass(frozen=True)
class Answers:
    """What one seed's bottleneck answers to samples, with one method's mask and without."""

    result: MethodResult
    trained: Trained
    splits: Splits
    asked: dict[Split, Asked] = field(default_factory=dict)

    @property
    def has_oracle(self) -> bool:
        return any(one.oracle is not None for one in self.asked.values())

    @property
    def thinned(self) -> bool:
        """Whether not all test rows were asked."""
        return len(self.asked["test"].rows) < self.asked["test"].of


def answers(run: ReportRun) -> Answers | str:
    """What is answered to the samples of a run; why not, as a sentence, where that cannot be known."""
    found = subject(run)
    if isinstance(found, str):
        return found
    result, trained, unlearned = found
    try:
        return _answers(run, result, trained, unlearned)
    except UNREADABLE:
        return "Its features, codes, values or mask are missing or damaged; `dkvb status --check` says which."


def subject(run: ReportRun) -> tuple[MethodResult, Trained, Artifact] | str:
    """Whose answers are asked for: the leading method that masks pairs, of the first seed that has it; why there is
    none, as a sentence."""
    results = (run.find(method) for method in run.masking)
    result = next((one for one in results if one and one.setup is run.setup), None)
    if result is None:
        return "No method that masks pairs has been run here."
    by_fingerprint = {trained.artifact.fingerprint: trained for trained in run.setup.seeds}
    for made in result.made:
        if trained := by_fingerprint.get(made.artifact.inputs.get("train", "")):
            if trained.artifact.lost_rows:
                return (
                    "Rows were purged from this model, or values with them, and what it answered to single samples"
                    " before is not known any more."
                )
            return result, trained, made.artifact
    return "The model that it was unlearned from is gone."


def _answers(run: ReportRun, result: MethodResult, trained: Trained, unlearned: Artifact) -> Answers:
    oracle = run.oracles.get(trained.seed)
    with whole(trained) as model:
        splits = model.splits
        order, alone = orders(model, trained, run.forget)
        masked = hidden(order, look_ups.mask_of(unlearned, model.pairs))
        found = Answers(result, trained, splits)
        for split in SPLITS:
            rows = _rows(splits.labels[split], run.forget, MOST[split])
            before, after = masked_logits_at(model, masked, [0, 1], split, rows).argmax(2)
            told = None
            if oracle:
                with _values(oracle) as others:
                    told = masked_logits_at(model.with_values(others), alone, [0], split, rows)[0].argmax(1)
            of = len(splits.labels[split])
            found.asked[split] = Asked(rows, splits.labels[split][rows], before, after, told, of)
    return found


@contextmanager
def whole(trained: Trained) -> Iterator[StoredBottleneck]:
    """A trained bottleneck with its values, which are read a codebook at a time."""
    with _values(trained.artifact) as values:
        yield look_ups.stored(trained).with_values(values)


def hidden(order: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mask order (C, M) that masks nothing at N = 0 and a mask (C, M) bool at N = 1."""
    return np.where(mask & (order == NEVER), 0, order)


def orders(model: StoredBottleneck, trained: Trained, forget: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Mask orders (C, M) of the trained model, and of one that was trained without the forget set."""
    if not model.masks_unused:
        nothing = model.no_mask(np.empty((model.codebooks, model.pairs)))
        return nothing, nothing
    counts = look_ups.Counts(trained)
    total = look_ups.selected(counts).total
    return model.no_mask(total), model.no_mask(total - counts.of(forget).sum(0, dtype=np.int64))


def _rows(labels: np.ndarray, forget: Sequence[int], most: int) -> np.ndarray:
    """(n,) at most `most` rows, sorted: half of them the forgotten classes' where these have so many; evenly within
    each class."""
    mine = np.isin(labels, list(forget))
    share = min(int(mine.sum()), max(most // 2, most - int((~mine).sum())))
    return np.sort(np.concatenate([spaced(labels, mine, share), spaced(labels, ~mine, most - share)]))


def spaced(labels: np.ndarray, among: np.ndarray, most: int) -> np.ndarray:
    """(n,) at most `most` of the rows that `among` (N,) bool marks, evenly spaced within each class, and of every
    class the same share of its rows."""
    rows = np.flatnonzero(among)
    if len(rows) <= most:
        return rows
    by_class = rows[np.argsort(labels[rows], kind="stable")]
    return by_class[np.linspace(0, len(rows) - 1, most).round().astype(int)] if most else rows[:0]


class _ByCodebook:
    """Values (C, M, L) float32 of a file, read a codebook at a time."""

    def __init__(self, stored: Any) -> None:
        self._read = lru_cache(2)(lambda codebook: np.asarray(stored[codebook : codebook + 1])[0])

    def __getitem__(self, codebook: int) -> np.ndarray:
        values: np.ndarray = self._read(codebook)
        return values


@contextmanager
def _values(model: Artifact) -> Iterator[Any]:
    path = model.file(VALUES)
    with tensors.reading(path), safe_open(path, framework="numpy") as file:
        yield _ByCodebook(file.get_slice("values"))
