"""Relearning of a linear head: how many samples of the forgotten class bring it back, and how many epochs.

A head is trained on n samples of the forgotten classes and as many of each other class, by a fresh Adam at the recipe's
learning rate; an unlearned head and a retrained one see the same samples in the same order. What
`dkvb.metrics.relearning` counts from that says how far the class was from being back. On frozen features it is back
within a few samples even in a retrained head: only the difference from that says anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from dkvb.metrics.relearned import Relearned, relearning
from dkvb.recipe import Linear
from dkvb.runtime.seeding import generator
from dkvb.training.loop import optimiser, suitable_threads

EPOCHS = 20


@dataclass(frozen=True)
class Lesson:
    """What heads learn the forgotten classes again from, and are measured on."""

    features: np.ndarray
    """(N, D) float32 of training rows, those of the forgotten classes among them."""
    labels: np.ndarray
    """(N,) integers."""
    test: np.ndarray
    """(n, D) float32 of held-out rows of the forgotten classes."""
    test_labels: np.ndarray
    """(n,)"""
    forget: Sequence[int]
    settings: Linear
    seed: int

    def rows(self, n: int) -> np.ndarray:
        """Training rows of n samples of every class, or of all that it has; smaller draws are the beginnings of larger
        ones."""
        drawn = [
            generator(self.seed, "audit", "relearn", c).permutation(np.flatnonzero(self.labels == c))[:n]
            for c in np.unique(self.labels)
        ]
        return np.concatenate(drawn)

    def learner(self, weight: np.ndarray, bias: np.ndarray, epochs: int = EPOCHS) -> Callable[[int], Iterator[float]]:
        """Number of samples -> accuracy on the forgotten classes before training a head and after each epoch.

        Args:
            weight: (L, D) float32; bias: (L,) float32. A bias of minus infinity, of an output that was cut off, starts
                as the least of the finite ones.
        """

        def learn(n: int) -> Iterator[float]:
            head = torch.nn.Linear(weight.shape[1], weight.shape[0])
            finite = np.where(np.isfinite(bias), bias, bias[np.isfinite(bias)].min(initial=0))
            with torch.no_grad():
                head.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight, np.float32)))
                head.bias.copy_(torch.from_numpy(finite.astype(np.float32)))
            adam, rows = optimiser(head, self.settings.lr), self.rows(n)
            yield float(((self.test @ weight.T + bias).argmax(1) == self.test_labels).mean())
            for epoch in range(epochs):
                order = generator(self.seed, "audit", "relearn", "order", n, epoch).permutation(rows)
                with suitable_threads(head):
                    self._epoch(head, adam, order)
                yield self._accuracy(head)

        return learn

    def _epoch(self, head: torch.nn.Linear, adam: torch.optim.Adam, order: np.ndarray) -> None:
        for start in range(0, len(order), self.settings.batch_size):
            batch = order[start : start + self.settings.batch_size]
            logits = head(torch.from_numpy(self.features[batch]))
            adam.zero_grad(set_to_none=True)
            functional.cross_entropy(logits, torch.from_numpy(self.labels[batch]).long()).backward()
            adam.step()

    def _accuracy(self, head: torch.nn.Linear) -> float:
        with torch.inference_mode():
            predicted = head(torch.from_numpy(self.test)).argmax(1).numpy()
        return float((predicted == self.test_labels).mean())


def relearned(
    lesson: Lesson, weight: np.ndarray, bias: np.ndarray, original: float, samples: Sequence[int], epochs: int = EPOCHS
) -> Relearned:
    """How fast a head (`weight` (L, D), `bias` (L,)) learns the forgotten classes again; `original` is the original's
    accuracy on the lesson's test rows."""
    return relearning(lesson.learner(weight, bias, epochs), original, samples)
