"""Controls that have never seen the forget set: models trained from scratch on the retain set (not in the paper)."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.methods.base import Control, Outcome
from dkvb.records.train import RetrainedResult
from dkvb.training.linear_head import new_head, predict
from dkvb.training.on_retain_set import What, load_bottleneck, load_head, retrained


class Retrain(Control):
    """The same keys and codes, values from scratch."""

    name: What = "retrain"

    @cached_property
    def _again(self) -> tuple[StoredBottleneck, np.ndarray]:
        return load_bottleneck(self.trained, self.forgotten, self.name)

    def predictions(self, split: str, n: int) -> np.ndarray:
        model, order = self._again if n else (self.trained.bottleneck, self.trained.no_mask)
        return masked_predictions(model, order, [0], split)[0]

    def forget(self, n: int) -> Outcome:
        """Train again, where that has not been done; `seconds` and `flops` are those of the training, whenever it
        was."""
        before, after = self.both()
        result = retrained(self.trained, self.forgotten, self.name).result_as(RetrainedResult)
        # it keeps nothing here: the model is an artifact of its own
        return Outcome(before, after, result.seconds, flops=result.flops, flops_adam=result.flops_adam or 0)


class RetrainKeys(Retrain):
    """The same with keys that are fitted anew, to the retain set alone: no part of the head has seen the forget set."""

    name: What = "retrain-keys"


class RetrainLinear(Retrain):
    """The linear head, trained from scratch on the retain set."""

    name: What = "retrain-linear"
    model = "linear"

    @cached_property
    def _heads(self) -> list[torch.nn.Module]:
        heads: list[torch.nn.Module] = []
        for weights in (self.trained.linear, load_head(self.trained, self.forgotten)):
            head = new_head(self.trained.seed, weights["weight"].shape[1], len(weights["weight"]))
            head.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
            heads.append(head)
        return heads

    def predictions(self, split: str, n: int) -> np.ndarray:
        return predict(self._heads[n], torch.from_numpy(self.trained.splits.features_of(split)))
