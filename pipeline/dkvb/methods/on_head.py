"""Rivals on a linear head: arrays in, a head out, so that a hundred heads can be unlearned without a workspace.

A rival is a published method that masking is compared with (docs/rivals.md). It tries a few settings; which of them
is taken is decided on validation data (`searched`, `best_setting`), and trying them all is part of its cost.
Everything it draws depends on (seed, name) alone, and the bits do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np

from dkvb import registry
from dkvb.errors import DkvbError, UsageError
from dkvb.methods.base import CurvePoint
from dkvb.runtime.seeding import generator
from dkvb.runtime.threads import one_thread

Setting = Mapping[str, float]
"""Names of a rival's settings -> values; `LR` among them is in units of 1 / mean squared length of the features."""

T = TypeVar("T")


@dataclass(frozen=True)
class Head:
    """A linear head: weight (L, D) and bias (L,) float32."""

    weight: np.ndarray
    bias: np.ndarray
    note: str | None = None
    """What a user should know about how it came about."""

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, L) float32 of features (N, D)."""
        return features @ self.weight.T + self.bias  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Answers:
    """A rule from features (N, D) to logits (N, L) that no linear head gives."""

    rule: Callable[[np.ndarray], np.ndarray]
    note: str | None = None

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, L) float32 of features (N, D)."""
        return self.rule(features)


Unlearned = Head | Answers


@dataclass(frozen=True)
class Size:
    """How much data a rival works on."""

    train: int
    forget: int
    width: int
    classes: int

    @property
    def retain(self) -> int:
        return self.train - self.forget


@dataclass(frozen=True)
class HeadData:
    """What a head is unlearned with.

    Args:
        train, validation: (N, D) float32 features; labels, validation_labels: (N,) integers.
        forget: ids of the classes to forget.
        kept: what rivals have computed of these data; a search shares it, as do copies for other classes
            (`dataclasses.replace`), and new data start without.
    """

    train: np.ndarray
    labels: np.ndarray
    validation: np.ndarray
    validation_labels: np.ndarray
    forget: list[int]
    seed: int
    kept: dict[tuple[object, ...], Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def forgotten(self) -> np.ndarray:
        """(N,) bool: the training rows of the forget classes.

        Raises:
            DkvbError: there are none, or no others.
        """
        forgotten = np.isin(self.labels, self.forget)
        if not forgotten.any():
            raise DkvbError("The forget classes have no training samples: there is nothing for a rival to unlearn.")
        if forgotten.all():
            raise DkvbError(
                "Nothing is left to retain: the forget classes are all there is in the training set. Leave one out."
            )
        return forgotten

    @cached_property
    def mean_square(self) -> float:
        """Mean squared length of a training row, 1 where all are zero: a linear head's loss curves by it."""
        return float(np.vdot(self.train, self.train)) / len(self.train) or 1.0

    def once(self, what: str, make: Callable[[], T], of: Head | None = None, whole: bool = False) -> T:
        """What `make` gives, made when first asked for under this name.

        Args:
            of: the head that it was computed from, where it was.
            whole: whether it is the same whatever is forgotten.
        """
        key = (what, self.seed, *(() if whole else self.forget))
        if key not in self.kept or self.kept[key][0] is not of:
            self.kept[key] = of, make()
        return self.kept[key][1]  # type: ignore[no-any-return]

    def draw(self, name: str, *unit: object) -> np.random.Generator:
        """The random draws of a rival on these classes."""
        return generator(self.seed, name, *unit, *self.forget)

    def size(self, classes: int) -> Size:
        """With `classes` outputs of the head."""
        return Size(len(self.labels), int(self.forgotten.sum()), self.train.shape[1], classes)


class Rival:
    """A published method on a linear head. Its file says what is the source's and what is ours."""

    name: ClassVar[str]
    settings_tried: ClassVar[Sequence[Setting]]
    """The search: a few settings; the first wins ties, and is the source's where that has one for features."""

    def original(self, head: Head, data: HeadData) -> Unlearned:
        """What is unlearned from: the trained head, unless the method needs a model of its own."""
        return head

    def unlearn(self, head: Head, data: HeadData, setting: Setting) -> Unlearned:
        """The head without the forget classes; the one handed in is left as it is.

        Raises:
            DkvbError: no samples to forget or to retain, or a loss that is not finite.
        """
        _ = data.forgotten
        with one_thread():
            return self._unlearn(head, data, setting)

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Unlearned:
        raise NotImplementedError

    def apart(self, unlearned: Unlearned, data: HeadData) -> float:
        """By what settings that forget are told apart before their retain accuracies: the least is taken. Here nothing
        is."""
        return 0.0

    def flops(self, size: Size, setting: Setting) -> int:
        """Floating-point operations of unlearning with one setting, at most; see `dkvb.metrics.flops`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Found:
    """What a search found: the place of the setting (from 1 on), what it left, and its accuracies on validation
    data."""

    at: CurvePoint
    unlearned: Unlearned
    note: str | None


def best_setting(
    curve: Sequence[CurvePoint], target: float, apart: Callable[[int], float] = lambda n: 0.0
) -> tuple[int, str | None]:
    """The n, from 1 on, that brings forget accuracy to the target with the best retain accuracy; failing that, the one
    with the lowest forget accuracy, and a note. The first of equals.

    Args:
        apart: see `Rival.apart`, of the setting n.
    """
    tried = [at for at in curve if at.n > 0]
    reached = [at for at in tried if at.forget <= target]
    if reached:
        return min(reached, key=lambda at: (apart(at.n), -at.retain)).n, None
    lowest = min(tried, key=lambda at: (at.forget, -at.retain))
    return lowest.n, f"no setting brings forget accuracy to {target:.1%}; the lowest is {lowest.forget:.1%}"


def searched(rival: Rival, head: Head, data: HeadData, target: float = 0.0) -> Found:
    """The best of a rival's settings on validation data.

    Raises:
        UsageError: the validation data have none of the forget classes, or none of the others.
    """
    forgotten = np.isin(data.validation_labels, data.forget)
    if not forgotten.any() or forgotten.all():
        raise UsageError("A rival's setting is chosen on validation data, and they lack forgotten or retained classes.")
    results = [rival.unlearn(head, data, setting) for setting in rival.settings_tried]
    curve = []
    for n, unlearned in enumerate(results, start=1):
        correct = unlearned.logits(data.validation).argmax(1) == data.validation_labels
        curve.append(CurvePoint(n, float(correct[~forgotten].mean()), float(correct[forgotten].mean())))
    n, note = best_setting(curve, target, lambda n: rival.apart(results[n - 1], data))
    return Found(curve[n - 1], results[n - 1], note)


def in_words(setting: Setting) -> str:
    """`a 0.99, lr 1`."""
    return ", ".join(f"{name} {value:g}" for name, value in setting.items())


def rival(name: str) -> Rival:
    """The rival of a name that works on a linear head.

    Raises:
        UsageError: there is none.
    """
    entry = registry.find("methods", name)
    found = getattr(entry.load(), "rival", None)
    if not isinstance(found, Rival):
        raise UsageError(f"'{name}' is no rival on a linear head; those are: {', '.join(on_head())}.")
    return found


def on_head() -> list[str]:
    """Names of all rivals that work on a linear head."""
    return [name for name, entry in registry.methods().items() if entry.rival and not name.endswith("-values")]
