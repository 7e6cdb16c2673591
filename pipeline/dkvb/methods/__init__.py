"""Unlearning methods, one a file, behind one small protocol.

A method is given the trained models of one seed and the classes to forget. `n` is its one dial: N_a pairs, N_e examples or epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from dkvb.methods.activations import Activations
from dkvb.methods.base import CurvePoint, Forgotten, Point
from dkvb.methods.examples import Examples
from dkvb.methods.logit_mask import LogitMask
from dkvb.methods.retrain import Retrain, RetrainKeys, RetrainLinear
from dkvb.methods.scrub import ScrubMethod, ScrubRewind, ScrubValues
from dkvb.study import Study

__all__ = ["METHODS", "Forgotten", "Method", "Point", "Study"]


class Method(Protocol):
    """What the unlearn stage asks of a method."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> Literal["dkvb", "linear"]:
        """The trained model on which it works."""
        ...

    @property
    def dial(self) -> str:
        """What n counts: "N_a", "N_e", "epochs", or "" where there is nothing to choose."""
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

    def forget(self, n: int) -> Forgotten:
        """Unlearn, and predict every split."""
        ...


METHODS: dict[str, Callable[[Study, Sequence[int]], Method]] = {
    "activations": Activations,
    "examples": Examples,
    "scrub": ScrubMethod,
    "scrub-values": ScrubValues,
    "scrub-r": ScrubRewind,
    "logit-mask": LogitMask,
    "retrain": Retrain,
    "retrain-keys": RetrainKeys,
    "retrain-linear": RetrainLinear,
}
