"""The trained models of one seed with the data they are studied on: what every unlearning method is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from safetensors.numpy import load_file

from dkvb.evaluation.splits import Splits
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.recipe import Recipe
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Artifact, Workspace
from dkvb.workspace.names import COUNTS, LINEAR, VALUES
from dkvb.workspace.specs import dkvb_spec, linear_spec, quantize_spec


@dataclass
class TrainedSeed:
    """One seed's trained models; each is read when a method first asks for it.

    Raises (by its properties):
        MissingStage: that model has not been trained.
        DamagedArtifact: it has been altered.
    """

    recipe: Recipe
    workspace: Workspace
    features: Artifact
    seed: int

    @cached_property
    def splits(self) -> Splits:
        return Splits(self.features, self.recipe.data.validation, self.seed)

    @cached_property
    def dkvb_artifact(self) -> Artifact:
        codes = self.workspace.get(quantize_spec(self.recipe, self.seed, self.features))
        fingerprint = codes.fingerprint if codes else ""
        return self.workspace.need_spec(
            dkvb_spec(self.recipe, self.seed, fingerprint), f"The trained bottleneck of seed {self.seed}"
        )

    @cached_property
    def linear_artifact(self) -> Artifact:
        spec = linear_spec(self.recipe, self.seed, self.features)
        return self.workspace.need_spec(spec, f"The trained linear head of seed {self.seed}")

    @cached_property
    def bottleneck(self) -> StoredBottleneck:
        trained = self.dkvb_artifact
        codes = self.workspace.need_spec(
            quantize_spec(self.recipe, self.seed, self.features), f"The keys and codes of seed {self.seed}"
        )
        values = load_file(trained.path / VALUES)["values"]
        return StoredBottleneck(self.splits, codes, values, self.recipe.train.pool, self.recipe.keys.unused == "mask")

    @cached_property
    def linear(self) -> dict[str, np.ndarray]:
        """`weight` (L, D) and `bias` (L,) float32."""
        return load_file(self.linear_artifact.path / LINEAR)

    def class_counts(self, classes: Sequence[int]) -> np.ndarray:
        """(C, M): how often training samples of some classes selected each pair in the last epoch."""
        return arrays.read(self.dkvb_artifact, COUNTS, list(classes)).sum(0, dtype=np.int64)

    @cached_property
    def no_mask(self) -> np.ndarray:
        """The mask order (C, M) of the trained model."""
        if not self.bottleneck.masks_unused:
            return self.bottleneck.no_mask(np.empty((self.bottleneck.codebooks, self.bottleneck.pairs)))
        return self.bottleneck.no_mask(self.class_counts(range(len(self.splits.classes))))
