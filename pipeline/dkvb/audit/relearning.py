"""Relearning: how many samples of the forgotten class bring it back, and how many epochs.

A model is trained on n samples of the forgotten classes and as many of each other class, by a fresh Adam at the
recipe's learning rate; an unlearned model and a retrained one see the same samples in the same order. What
`dkvb.metrics.relearning` counts from that says how far the class was from being back. On frozen features it is back
within a few samples even in a retrained model: only the difference from that says anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from dkvb.bottleneck.decoder import Decoder
from dkvb.evaluation.selections import masked_ids
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.metrics.relearned import Relearned, relearning
from dkvb.recipe import Linear, Train
from dkvb.runtime.seeding import generator
from dkvb.training.adam import Adam

EPOCHS = 20

Learner = Callable[[int], Iterator[float]]
"""Number of samples -> accuracy on the forgotten classes before training a model and after each epoch."""


@dataclass(frozen=True)
class Samples:
    """Which samples models learn the forgotten classes again from, and in what order."""

    labels: np.ndarray
    """(N,) integers of training rows, those of the forgotten classes among them."""
    settings: Linear | Train
    seed: int

    def rows(self, n: int) -> np.ndarray:
        """Training rows of n samples of every class, or of all that it has; smaller draws are the beginnings of larger
        ones."""
        drawn = [
            generator(self.seed, "audit", "relearn", c).permutation(np.flatnonzero(self.labels == c))[:n]
            for c in np.unique(self.labels)
        ]
        return np.concatenate(drawn)

    def epochs(self, module: torch.nn.Module, inputs: torch.Tensor, n: int, epochs: int = EPOCHS) -> Iterator[int]:
        """Train a module in place on `rows(n)`; yields the number of finished epochs.

        Args:
            inputs: (m, …), what the module takes for these rows.
        """
        labels, adam = torch.from_numpy(self.labels[self.rows(n)]).long(), Adam(module, self.settings.lr)
        for epoch in range(epochs):
            drawn = generator(self.seed, "audit", "relearn", "order", n, epoch).permutation(len(labels))
            for batch in torch.from_numpy(drawn).split(self.settings.batch_size):
                loss = functional.cross_entropy(module(inputs[batch]), labels[batch])
                adam.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                adam.step()
            yield epoch + 1


@dataclass(frozen=True)
class Lesson:
    """What heads learn the forgotten classes again from, and are measured on."""

    features: np.ndarray
    """(N, D) float32 of training rows, those of the forgotten classes among them."""
    samples: Samples
    test: np.ndarray
    """(n, D) float32 of held-out rows of the forgotten classes."""
    test_labels: np.ndarray
    """(n,)"""

    def learner(self, weight: np.ndarray, bias: np.ndarray, epochs: int = EPOCHS) -> Learner:
        """Of a head.

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
            yield float(((self.test @ weight.T + bias).argmax(1) == self.test_labels).mean())
            inputs = torch.from_numpy(self.features[self.samples.rows(n)])
            for _ in self.samples.epochs(head, inputs, n, epochs):
                yield _accuracy(head, torch.from_numpy(self.test), self.test_labels)

        return learn


@dataclass(frozen=True)
class ValuesLesson:
    """What values learn the forgotten classes again from: keys, codes and masks stay as they are."""

    model: StoredBottleneck
    samples: Samples
    split: str
    """Where the rows to be measured on are, and their places (n,) in it."""
    test: np.ndarray
    test_labels: np.ndarray

    def learner(
        self, values: np.ndarray, masked: np.ndarray, excluded: Sequence[int] | np.ndarray = (), epochs: int = EPOCHS
    ) -> Learner:
        """Of values (C, M, L) under a mask (C, M) bool; classes that were only never answered are answered again once
        it trains."""
        asked = masked_ids(self.model, self.split, masked, self.test)

        def learn(n: int) -> Iterator[float]:
            ids = masked_ids(self.model, "train", masked, self.samples.rows(n))
            # Adam moves nothing that never had a gradient: these rows alone give the same as all
            used, compact = torch.unique(torch.cat([ids, asked]), return_inverse=True)
            start = torch.from_numpy(values.reshape(masked.size, -1))[used]
            decoder = Decoder(start, self.model.top_k, self.model.pool, (~masked).sum(1))
            inputs, test = compact.to(torch.int32).split([len(ids), len(asked)])
            yield _accuracy(decoder, test, self.test_labels, excluded)
            for _ in self.samples.epochs(decoder, inputs, n, epochs):
                yield _accuracy(decoder, test, self.test_labels)

        return learn


def _accuracy(
    module: torch.nn.Module, test: torch.Tensor, labels: np.ndarray, excluded: Sequence[int] | np.ndarray = ()
) -> float:
    with torch.inference_mode():
        logits = module(test).numpy()
    logits[:, list(excluded)] = -np.inf
    return float((logits.argmax(1) == labels).mean())


def relearned(learner: Learner, original: float, samples: Sequence[int]) -> Relearned:
    """How fast a model learns the forgotten classes again; `original` is the original's accuracy on the lesson's test
    rows. One thread: so few samples are not worth a second."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return relearning(learner, original, samples)
    finally:
        torch.set_num_threads(before)
