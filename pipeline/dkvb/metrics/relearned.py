"""Relearning: how many samples, and how many epochs, bring a forgotten class back to what the original knew of it?

A class that comes back faster than to a model that never saw it was hidden, not forgotten: the nearer to the retrained
model the better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

WITHIN = 0.05
"""How far below the original's accuracy counts as having reached it (Chundawat et al. 2023; Golatkar et al. 2020)."""


@dataclass(frozen=True)
class Relearned:
    """When a class was back."""

    samples: int | None
    """The fewest samples, of those tried, with which it came back at all; None where none were enough."""
    epochs: int | None
    """Epochs that it took with the most samples tried, 0 where it was there from the start; None where it did not come
    back."""
    wanted: float
    """The accuracy that counted as back."""
    curves: dict[int, tuple[float, ...]]
    """Samples -> accuracy on the class before the first epoch and after each, up to the one with which it was back."""


def relearning(
    learn: Callable[[int], Iterable[float]], original: float, samples: Sequence[int], within: float = WITHIN
) -> Relearned:
    """How fast a model learns a class again.

    Args:
        learn: number of samples of the class -> accuracy on the class, in [0, 1], before training and after each epoch;
            each time from the same start, and stopped early by no longer asking.
        original: accuracy of the model before it forgot the class.
        samples: the numbers of samples that are tried, any order.
        within: see `WITHIN`.
    """
    if not samples:
        raise ValueError("relearning needs a number of samples to try")
    wanted = original - within
    curves = {n: _until(learn(n), wanted) for n in sorted(set(samples))}
    enough = [n for n, curve in curves.items() if curve and curve[-1] >= wanted]
    last = curves[max(curves)]
    return Relearned(min(enough, default=None), len(last) - 1 if last and last[-1] >= wanted else None, wanted, curves)


def _until(accuracies: Iterable[float], wanted: float) -> tuple[float, ...]:
    curve = []
    for accuracy in accuracies:
        curve.append(float(accuracy))
        if accuracy >= wanted:
            break
    return tuple(curve)


def ain(unlearned: Relearned, retrained: Relearned) -> float | None:
    """Anamnesis index (Chundawat et al. 2023, "Zero-shot machine unlearning"): epochs that the unlearned model takes,
    over those of the retrained one. 1 is the retrained model's, below 1 the class is back sooner: traces are left.

    None where either never came back, or the retrained model had it from the start.
    """
    if unlearned.epochs is None or not retrained.epochs:
        return None
    return unlearned.epochs / retrained.epochs
