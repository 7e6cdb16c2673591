"""How one model of each kind is trained, and what it answers.

Models are independent of each other as far as training goes: each has start values and a batch order of its own, drawn
from its training seed, on the same data. They are trained one by one, and `--workers` spreads them over processes:
several in one pass are faster only where they share their batch order (benchmarks/oracles.py), and models that share
it are far more alike than models of different seeds; values trained from zeros would even be one model. A head trained
to convergence has no randomness in it: there is one. Ridge regression has none either but for its random features.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch

from dkvb.audit.ridge import fit_ridge
from dkvb.audit.rows import ASKED, Rows
from dkvb.bottleneck.decoder import Decoder, flat_ids, start_values
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.selections import Rows as OfRows
from dkvb.evaluation.standardise import Standardiser
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_logits_at
from dkvb.records.audit import Kind
from dkvb.training.linear_head import converged_head, folded, new_head
from dkvb.training.loop import Schedule, Unit, fit
from dkvb.training.on_retain_set import What, bottleneck, retained, unmasked


@dataclass(frozen=True)
class Model:
    """A model that was trained."""

    tensors: dict[str, np.ndarray]
    """What it consists of: `values` (C, M, L), or `weight` (L, D) and `bias` (L,); nothing for ridge regression, which
    its seed gives again."""
    logits: np.ndarray
    """(P, L) float32, what it answers."""
    seconds: float
    """What training took."""


class Trainer(Protocol):
    """Trains models of one kind on the same rows."""

    def train(self, seed: int) -> Model:
        """The model of a training seed.

        Raises:
            DkvbError: a loss that is not finite.
        """


def trainer(trained: TrainedSeed, kind: Kind, forget: Sequence[int], rows: Rows) -> Trainer:
    """The trainer of originals (`forget` empty) or of models that never saw some classes."""
    return (ValuesTrainer if kind in ("values", "values-keys") else HeadTrainer)(trained, kind, forget, rows)


@dataclass(frozen=True)
class ValuesTrainer:
    """Of values on cached codes, which all models share."""

    trained: TrainedSeed
    kind: Kind
    forget: Sequence[int]
    rows: Rows

    @cached_property
    def _ids(self) -> torch.Tensor:
        return flat_ids(self._model.codes("train"), self._model.pairs)

    @cached_property
    def _model(self) -> StoredBottleneck:
        what: What = "retrain-keys" if self.kind == "values-keys" and self.forget else "retrain"
        return bottleneck(self.trained, self.forget, what, np.empty(0))

    @cached_property
    def _order(self) -> np.ndarray:
        """(C, M), see `Bottleneck.no_mask`."""
        return unmasked(self.trained, self._model, self.forget)

    def train(self, seed: int) -> Model:
        model, splits, settings = self._model, self.trained.splits, self.trained.recipe.train
        rows = np.flatnonzero(retained(self.trained, self.forget))
        classes = len(splits.classes)
        start = start_values(settings.values, model.codebooks, model.pairs, classes, seed)
        decoder = Decoder(start, model.top_k, settings.pool)
        unit = Unit(f"retrain{'-keys' if self.kind == 'values-keys' else ''}" if self.forget else "train dkvb", seed)
        started = time.perf_counter()
        labels = torch.from_numpy(splits.labels["train"][rows])
        fit(OfRows(decoder, self._ids), torch.from_numpy(rows), labels, Schedule.of(settings), unit)
        seconds = round(time.perf_counter() - started, 3)
        values = decoder.values.detach().numpy().reshape(model.codebooks, model.pairs, classes)
        model = model.with_values(values)
        asked = [self.rows.places[self.rows.split == split] for split in ASKED]
        parts = [
            masked_logits_at(model, self._order, [0], split, places)[0]
            for split, places in zip(ASKED, asked, strict=True)
            if len(places)
        ]
        return Model({"values": values}, np.concatenate(parts), seconds)


@dataclass(frozen=True)
class HeadTrainer:
    """Of heads on features."""

    trained: TrainedSeed
    kind: Kind
    forget: Sequence[int]
    rows: Rows

    @cached_property
    def _in_line(self) -> Standardiser:
        return Standardiser.of(self._features)

    @cached_property
    def _learned(self) -> np.ndarray:
        return np.flatnonzero(retained(self.trained, self.forget))

    @cached_property
    def _features(self) -> np.ndarray:
        return self.trained.splits.features_of("train")[self._learned]

    @cached_property
    def _inputs(self) -> torch.Tensor:
        return self._in_line(torch.from_numpy(self._features))

    @cached_property
    def _labels(self) -> np.ndarray:
        return self.trained.splits.labels["train"][self._learned]

    @cached_property
    def _asked(self) -> np.ndarray:
        """(P, D) float32."""
        splits, rows = self.trained.splits, self.rows
        return np.concatenate([splits.features_of(split, rows.places[rows.split == split]) for split in ASKED])

    def train(self, seed: int) -> Model:
        classes, inputs = len(self.trained.splits.classes), self._inputs
        started = time.perf_counter()
        if self.kind == "ridge":
            ridge = fit_ridge(inputs.numpy(), self._labels, classes, seed)
            seconds = round(time.perf_counter() - started, 3)
            return Model({}, ridge.logits(self._in_line(self._asked)), seconds)
        if self.kind == "converged":
            weight, bias, _ = converged_head(inputs.numpy(), self._labels, classes)
            weight, bias = self._in_line.fold(weight, bias)
        else:
            head = new_head(seed, inputs.shape[1], classes)
            unit = Unit("retrain-linear" if self.forget else "train linear", seed)
            fit(head, inputs, torch.from_numpy(self._labels), Schedule.of(self.trained.recipe.linear), unit)
            weight, bias = (tensor.numpy() for tensor in folded(head, self._in_line).values())
        seconds = round(time.perf_counter() - started, 3)
        return Model({"weight": weight, "bias": bias}, self._asked @ weight.T + bias, seconds)
