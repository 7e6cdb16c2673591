"""What a fitted model has forgotten: classes by masks, as `dkvb forget` does it, single samples by values trained
without them, as `dkvb forget --samples` does."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dkvb.deletion import together
from dkvb.deletion.forget import new_holder
from dkvb.deletion.together import Holder
from dkvb.encoders.recorded import Encoding
from dkvb.errors import UsageError
from dkvb.estimator.fitting import retrained_without
from dkvb.evaluation.in_memory import ArraySeed
from dkvb.inference.bottleneck_model import Model, Weights
from dkvb.inference.classifier import About


@dataclass(frozen=True)
class Forgotten:
    """Something that was forgotten at one time: classes, or samples."""

    classes: tuple[int, ...] = ()
    """Their ids."""
    rows: tuple[int, ...] = ()
    """Rows of the training data."""


@dataclass(frozen=True)
class Forgetting:
    """A trained model and all that it has forgotten; forgetting more makes another."""

    trained: ArraySeed
    """As it was trained."""
    events: tuple[Forgotten, ...]
    """In the order of their time."""
    now: ArraySeed
    """With the values that stand."""
    holders: tuple[Holder, ...]
    """The classes that the values that stand know, with the pairs that they mask."""
    masked: np.ndarray
    """(C, M) bool, all pairs that are passed over."""

    @classmethod
    def nothing(cls, trained: ArraySeed) -> Forgetting:
        """A model that has forgotten nothing."""
        return cls(trained, (), trained, (), trained.no_mask < 0)

    @property
    def samples(self) -> int:
        """N, rows of the training data."""
        return len(self.trained.splits.stored["train"].labels)

    @property
    def classes(self) -> list[int]:
        """Ids of the forgotten classes, sorted."""
        return sorted({c for event in self.events for c in event.classes})

    @property
    def rows(self) -> np.ndarray:
        """(n,) int64 rows that were forgotten one by one, sorted."""
        return np.unique(np.array([row for event in self.events for row in event.rows], np.int64))

    @property
    def without(self) -> list[int]:
        """Ids of the classes that the values that stand were trained without: those forgotten before samples were."""
        last = max((place for place, event in enumerate(self.events) if event.rows), default=0)
        return sorted({c for event in self.events[:last] for c in event.classes})

    def of_classes(self, classes: Sequence[int]) -> Forgetting:
        """Forget classes, those that are not forgotten already, as well: the fewest pairs are masked that leave none of
        their own rows recognised.

        Raises:
            UsageError: no class would be left.
        """
        new = [c for c in sorted(set(classes)) if c not in self.classes]
        if not new:
            return self
        names = self.trained.splits.classes
        if len(new) + len(self.classes) >= len(names):
            raise UsageError(
                f"Forgetting {', '.join(names[c] for c in new)} as well would leave no class: {len(self.classes)} of"
                f" {len(names)} are forgotten already. Leave one out."
            )
        holder, note = new_holder(self.now, new, self.masked)
        if note:
            warnings.warn(f"forget {', '.join(names[c] for c in new)}: {note}", UserWarning, stacklevel=3)
        events = (*self.events, Forgotten(classes=tuple(new)))
        return self._held(events, self.now, [*map(_fresh, self.holders), holder])

    def of_rows(self, rows: Sequence[int]) -> Forgetting:
        """Forget single rows of the training data, those that are not forgotten already, as well: values are trained
        again without them, without all that is forgotten one by one, and without the forgotten classes.

        Raises:
            DkvbError: nothing would be left to train on.
        """
        known = set(self.rows.tolist())
        new = tuple(row for row in sorted(set(rows)) if row not in known)
        if not new:
            return self
        gone = np.array(sorted({*known, *new}))
        made = retrained_without(self.trained, self.classes, gone)
        now = self.trained.standing_as((made.values, made.passed_over), gone)
        # these values know no forgotten class: the masks of classes are needed no more
        return Forgetting(self.trained, (*self.events, Forgotten(rows=new)), now, (), now.no_mask < 0)

    def restored(self, classes: Sequence[int], rows: Sequence[int]) -> Forgetting:
        """The model that has never forgotten these classes and rows, and has forgotten all else in the same order."""
        events = [
            Forgotten(
                tuple(c for c in event.classes if c not in set(classes)),
                tuple(row for row in event.rows if row not in set(rows)),
            )
            for event in self.events
        ]
        gone = [row for event in events for row in event.rows]
        last = max((place for place, event in enumerate(events) if event.rows), default=-1)
        model = Forgetting.nothing(self.trained)
        for place, event in enumerate(events):
            model = model.of_classes(event.classes)
            if place == last:  # all rows at once: values are trained once
                model = model.of_rows(gone)
        return model

    def _held(self, events: tuple[Forgotten, ...], now: ArraySeed, holders: list[Holder]) -> Forgetting:
        """With masks that hold together: a class that is recognised again under all of them masks more."""
        masked = together.hold(now, holders, now.no_mask < 0)
        return Forgetting(self.trained, events, now, tuple(holders), masked)

    def model(self) -> Model:
        """The classifier in use. A forgotten class is no answer of it: its logit is minus infinity."""
        now, splits = self.now, self.now.splits
        unused = now.no_mask < 0
        bottleneck = now.bottleneck
        weights = Weights(bottleneck.projection, bottleneck.keys, bottleneck.values, unused)
        about = About(classes=splits.classes, seed=now.seed, encoding=Encoding(None), name="arrays")
        counts = self.trained.class_counts
        model = Model(about, weights, np.zeros_like(unused), bottleneck.top_k, bottleneck.pool, counts)
        return model.masked(self.masked & ~unused, self.classes) if self.classes else model


def _fresh(holder: Holder) -> Holder:
    """The same pairs, as a holder that has not grown yet."""
    return replace(holder, recognised=None, raised=None, stuck=False, looked=[])
