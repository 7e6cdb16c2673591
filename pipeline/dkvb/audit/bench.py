"""The originals of one kind, ready to be unlearned, with the data that all of them share read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dkvb.audit.oracles import rows_of, tensors_of, training_seed
from dkvb.audit.ridge import RidgeSums, directions_of
from dkvb.audit.rows import ASKED, Rows
from dkvb.bottleneck.decoder import start_values
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_logits_at
from dkvb.methods.on_head import Head, HeadData
from dkvb.records.audit import Kind, ModelBatch
from dkvb.training.linear_head import new_head
from dkvb.workspace.finished import Artifact


@dataclass
class Bench:
    """What methods of one kind are run on.

    Args:
        originals: batches of them, see `dkvb.audit.oracles.train_models`.
    """

    trained: TrainedSeed
    kind: Kind
    forget: list[int]
    originals: Sequence[Artifact]

    @cached_property
    def rows(self) -> Rows:
        """The P rows that models are asked about."""
        return rows_of(self.trained, self.forget)

    def seed(self, model: int) -> int:
        """Of which all that is random in the training of an original was drawn."""
        return training_seed(self.trained.seed, "original", model)

    def tensors(self, model: int) -> dict[str, np.ndarray]:
        """What an original consists of, see `dkvb.audit.trainers.Model.tensors`."""
        for batch in self.originals:
            held = batch.result_as(ModelBatch)
            if held.first <= model < held.first + held.models:
                return tensors_of(self.trained, batch, model - held.first)
        raise IndexError(f"there is no original {model}")

    def as_trained(self, model: int) -> TrainedSeed:
        """The seed's data and keys with an original in the place of its models; draws are those of the original's own
        training seed."""
        base, tensors = self.trained, self.tensors(model)
        other = replace(base, seed=self.seed(model))
        other.splits, other.keys, other.in_line = base.splits, base.keys, base.in_line
        if "values" in tensors:
            other.dkvb_artifact, other.codes_artifact = base.dkvb_artifact, base.codes_artifact
            other.bottleneck, other.no_mask = base.bottleneck.with_values(tensors["values"]), base.no_mask
        else:
            other.linear = tensors
        return other

    # what heads are unlearned with

    @cached_property
    def asked(self) -> np.ndarray:
        """(P, D) float32 features of the rows, in line."""
        splits, rows = self.trained.splits, self.rows
        parts = [splits.features_of(split, rows.places[rows.split == split]) for split in ASKED]
        return self.trained.in_line(np.concatenate(parts))

    @cached_property
    def data(self) -> HeadData:
        """Of the first original; `data_of` is of another."""
        splits, in_line = self.trained.splits, self.trained.in_line
        train, held_out = (in_line(splits.features_of(split)) for split in ("train", "validation"))
        labels = splits.labels
        return HeadData(train, labels["train"], held_out, labels["validation"], self.forget, self.trained.seed)

    def data_of(self, model: int) -> HeadData:
        return replace(self.data, seed=self.seed(model))

    def head(self, model: int) -> Head:
        """An original head, for features in line."""
        tensors = self.tensors(model)
        return Head(*self.trained.in_line.unfold(tensors["weight"], tensors["bias"]))

    def sums(self, seed: int, forgotten: bool | None = None) -> RidgeSums:
        """What a ridge regression of a training seed is solved from.

        Args:
            forgotten: of the forgotten rows alone, or of all others; None takes all.
        """
        data = self.data
        kept = slice(None) if forgotten is None else data.forgotten == forgotten
        classes, directions = len(self.trained.splits.classes), directions_of(data.train.shape[1], seed)
        return RidgeSums.of(data.train[kept], data.labels[kept], classes, directions)

    # what a bottleneck answers

    def logits(self, model: StoredBottleneck, masked: np.ndarray) -> np.ndarray:
        """(P, L) float32 under a mask (C, M) bool."""
        order = np.where(masked, -1, self.trained.no_mask)
        asked = [self.rows.places[self.rows.split == split] for split in ASKED]
        return np.concatenate(
            [
                masked_logits_at(model, order, [0], split, places)[0]
                for split, places in zip(ASKED, asked, strict=True)
                if len(places)
            ]
        )

    @cached_property
    def untrained(self) -> np.ndarray | None:
        """(P, L) of a model before any training; None of a kind that has no such thing."""
        trained, classes = self.trained, len(self.trained.splits.classes)
        if self.kind in ("values", "values-keys"):
            model = trained.bottleneck
            start = start_values(trained.recipe.train.values, model.codebooks, model.pairs, classes, trained.seed)
            values = start.numpy().reshape(model.codebooks, model.pairs, classes)
            return self.logits(model.with_values(values), trained.no_mask < 0)
        if self.kind == "ridge":
            return None
        head = new_head(trained.seed, self.asked.shape[1], classes)
        weight, bias = (head.get_parameter(name).detach().numpy() for name in ("weight", "bias"))
        return np.asarray(self.asked @ weight.T + bias)
