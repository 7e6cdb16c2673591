"""What every unlearning method is, what it returns, and what controls without a dial share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from dkvb import registry
from dkvb.errors import UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.splits import Splits
from dkvb.metrics.accuracy import per_class
from dkvb.records.accuracies import Model
from dkvb.records.unlearn import Keeps, SweepPoint
from dkvb.workspace.names import MEASURED_SPLITS


@dataclass(frozen=True)
class Point:
    """One point of a sweep on one split: (L,) correct predictions and samples of every class."""

    n: int
    split: str
    correct: np.ndarray
    total: np.ndarray
    masked: int


@dataclass(frozen=True)
class CurvePoint:
    """Accuracies in [0, 1] at one n on the split on which n is chosen."""

    n: int
    retain: float
    forget: float


def curve_on(split: str, points: Iterable[SweepPoint]) -> list[CurvePoint]:
    """A sweep's accuracies on one split.

    Raises:
        UsageError: the split holds no samples of the forget classes, or none of the others.
    """
    curve = []
    for at in points:
        retain, forget = at.of("retain", split), at.of("forget", split)
        if retain is None or forget is None:
            lacking = "forget" if forget is None else "retain"
            raise UsageError(
                f"'auto' chooses on {split} data, and there are no {split} samples of the {lacking} classes: give a"
                " number, or set unlearn.choose to the other split."
            )
        curve.append(CurvePoint(at.n, retain, forget))
    return curve


def smallest_reaching(curve: Sequence[CurvePoint], target: float) -> tuple[int, str | None]:
    """The smallest n whose forget accuracy is at most the target; failing that, the n with the lowest, and a note."""
    for at in curve:
        if at.forget <= target:
            return at.n, None
    best = min(curve, key=lambda at: (at.forget, at.n))
    return best.n, f"no point of the sweep brings forget accuracy to {target:.1%}; the lowest is {best.forget:.1%}"


@dataclass
class Outcome:
    """The outcome of unlearning at one n.

    `before` and `after` hold predicted classes (N,) for "train" and "test". `keeps` says what of the outcome goes to
    disk, and `arrays` holds that: for a "mask" `mask` (C, ceil(M / 8)) as `dkvb.bottleneck.mask_order.pack` makes it
    and `shape` (2,); for "weights" `weight` (L, D) and `bias` (L,) of a linear head, or `values` (C, M, L) of the
    bottleneck; for "excluded" `excluded`, the ids of classes whose logits become minus infinity.

    `seconds` and `flops` are those of unlearning itself (`flops_adam`: of them, those of Adam); `seconds_counts` and
    `flops_counts` those of the pass that gathers selections.
    """

    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]
    seconds: float
    masked: int = 0
    activated: int | None = None
    keeps: Keeps = "nothing"
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    note: str | None = None
    flops: int | None = None
    flops_adam: int = 0
    seconds_counts: float = 0.0
    flops_counts: int = 0


def point(splits: Splits, split: str, predicted: np.ndarray, n: int, masked: int = 0) -> Point:
    """A sweep's point from predictions (N,)."""
    return Point(n, split, *per_class(predicted, splits.labels[split], len(splits.classes)), masked)


class Method(Protocol):
    """What the unlearn stage asks of a method."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> Model:
        """The trained model on which it works."""
        ...

    @property
    def dial(self) -> str:
        """What n counts: "N_a", "N_e", "epochs", "setting", or "" where there is nothing to choose."""
        ...

    @property
    def given(self) -> int | str:
        """The recipe's n, or "auto"."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """Everything beside n on which its results depend."""
        ...

    @property
    def not_in_paper(self) -> list[str]:
        """Settings whose values the paper does not give."""
        ...

    def grid(self) -> list[int]:
        """The values of n in a sweep; the first is 0, the trained model."""
        ...

    def check(self, n: int) -> None:
        """Raise UsageError for an n that makes no sense."""
        ...

    def sweep(self, grid: Sequence[int], advance: Callable[[int], None]) -> list[Point]:
        """Correct predictions per class at every n, on test and, where there is one, validation data."""
        ...

    def choose(self, curve: Sequence[CurvePoint], target: float) -> tuple[int, str | None]:
        """The n to take from a curve, aiming at a forget accuracy of `target`, and what a user should know about it."""
        ...

    def forget(self, n: int) -> Outcome:
        """Unlearn, and predict every split."""
        ...


class Control:
    """A method with nothing to choose."""

    family = "control"
    name: str
    model: Model = "dkvb"
    dial = ""
    given: int | str = 1

    def __init__(self, trained: TrainedSeed, forget: Sequence[int]) -> None:
        self.trained, self.forgotten = trained, list(forget)
        self.settings: dict[str, Any] = {}
        self.not_in_paper = ["the control itself"]

    def predictions(self, split: str, n: int) -> np.ndarray:
        """Predicted classes (N,) of a split."""
        raise NotImplementedError

    def grid(self) -> list[int]:
        return [0, 1]

    def check(self, n: int) -> None:
        """Nothing to choose."""

    def sweep(self, grid: Sequence[int], advance: Callable[[int], None]) -> list[Point]:
        points = []
        for split in self.trained.splits.evaluation:
            for n in grid:
                points.append(point(self.trained.splits, split, self.predictions(split, n), n))
                advance(1)
        return points

    def choose(self, curve: Sequence[CurvePoint], target: float) -> tuple[int, str | None]:
        return 1, None

    def both(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Predictions of the trained model and of the control, by split."""
        before, after = ({split: self.predictions(split, n) for split in MEASURED_SPLITS} for n in (0, 1))
        return before, after


def make(name: str, trained: TrainedSeed, forget: Sequence[int]) -> Method:
    """The method of a name, on the trained models of a seed.

    Raises:
        UsageError: there is no such method, or it is another package's and cannot be imported.
    """
    return registry.find("methods", name).load()(trained, forget)  # type: ignore[no-any-return]
