"""The trained models of one seed with the data they are studied on: what every unlearning method is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from dkvb.evaluation.splits import Splits
from dkvb.evaluation.standardise import Standardiser
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.metrics.accuracy import per_class
from dkvb.recipe import Keys, Recipe
from dkvb.records.train import TrainResult
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.keys_spec import keys_for
from dkvb.workspace.lineage import SeedModels, seed_models
from dkvb.workspace.names import COUNTS, LINEAR, VALUES
from dkvb.workspace.requests import Union


@dataclass
class TrainedSeed:
    """One seed's trained models; each is read when a method first needs it.

    `check_files` is whether an artifact's files are compared with its manifest before it is given out. `standing` are
    values (C, M, L) that an exact request has put in the place of those of training, and the pairs (C, M) bool that are
    passed over with them; `left_out` (n,) rows of the stored training set that are forgotten one by one: models that
    are trained without the forgotten classes leave them out as well.

    Raises (by its properties):
        MissingStage: that model has not been trained.
        DamagedArtifact: it has been altered.
    """

    recipe: Recipe
    workspace: Workspace
    features: Artifact
    seed: int
    check_files: bool = True
    standing: tuple[np.ndarray, np.ndarray] | None = None
    left_out: np.ndarray | None = None

    def under(self, union: Union) -> TrainedSeed:
        """The same with the values that stand under some requests; their masks are not applied."""
        rows = union.rows
        if union.standing is None and not len(rows):
            return self
        return replace(self, standing=union.values, left_out=rows if len(rows) else None)

    @cached_property
    def splits(self) -> Splits:
        return Splits(self.features, self.recipe.data.validation, self.seed)

    @cached_property
    def _models(self) -> SeedModels:
        return seed_models(self.recipe, self.workspace, self.features, self.seed)

    def _need(self, artifact: Artifact | None, stage: str, what: str) -> Artifact:
        return self.workspace.need_made(artifact, stage, f"{what} of seed {self.seed}", self.check_files)

    @cached_property
    def keys(self) -> Keys:
        """The recipe's `[keys]` as these data are served by them."""
        return keys_for(self.recipe, self.seed, self.features)

    @cached_property
    def dkvb_artifact(self) -> Artifact:
        return self._need(self._models.bottleneck, "train", "The trained bottleneck")

    @cached_property
    def bottleneck_result(self) -> TrainResult | None:
        """What the trained bottleneck reached; None where it has not been trained."""
        trained = self._models.bottleneck
        return trained.result_as(TrainResult) if trained else None

    @cached_property
    def linear_artifact(self) -> Artifact:
        return self._need(self._models.linear, "train", "The trained linear head")

    @cached_property
    def codes_artifact(self) -> Artifact:
        return self._need(self._models.codes, "quantize", "The keys and codes")

    @cached_property
    def bottleneck(self) -> StoredBottleneck:
        values = self.dkvb_artifact.tensors(VALUES)["values"] if self.standing is None else self.standing[0]
        masks_unused = self.recipe.keys.unused == "mask"
        return StoredBottleneck(self.splits, self.codes_artifact, values, self.recipe.train.pool, masks_unused)

    @cached_property
    def linear(self) -> dict[str, np.ndarray]:
        """`weight` (L, D) and `bias` (L,) float32."""
        return self.linear_artifact.tensors(LINEAR)

    @cached_property
    def in_line(self) -> Standardiser:
        """What the linear head was trained through."""
        return Standardiser.of(self.splits.features_of("train"))

    def counts(self, classes: Sequence[int] | None = None) -> np.ndarray:
        """(F, C, M) uint32: how often training samples of each of some classes, or of all, selected each pair in the
        last epoch."""
        return arrays.read(self.dkvb_artifact, COUNTS, slice(None) if classes is None else list(classes))

    def class_counts(self, classes: Sequence[int]) -> np.ndarray:
        """(C, M): how often training samples of some classes selected each pair in the last epoch."""
        return arrays.read(self.dkvb_artifact, COUNTS, list(classes)).sum(0, dtype=np.int64)

    @cached_property
    def validation_errors(self) -> tuple[np.ndarray, np.ndarray]:
        """(L,) validation samples that the bottleneck gets wrong, and (L,) validation samples."""
        (predicted,) = masked_predictions(self.bottleneck, self.no_mask, [0], "validation")
        correct, total = per_class(predicted, self.splits.labels["validation"], len(self.splits.classes))
        return total - correct, total

    @cached_property
    def no_mask(self) -> np.ndarray:
        """The mask order (C, M) of the trained model."""
        if not self.bottleneck.masks_unused:
            order = self.bottleneck.no_mask(np.empty((self.bottleneck.codebooks, self.bottleneck.pairs)))
        else:
            order = self.bottleneck.no_mask(self.class_counts(range(len(self.splits.classes))))
        if self.standing is not None:
            order[self.standing[1]] = -1
        return order


@dataclass
class Seeds:
    """Whichever seed's trained models are asked for: what was read of the last one is kept, and goes to no other
    process."""

    workspace: Workspace
    features: Artifact
    _last: TrainedSeed | None = field(default=None, repr=False)

    def of(self, recipe: Recipe, seed: int) -> TrainedSeed:
        """That seed's; all that ask are of one recipe."""
        if self._last is None or self._last.seed != seed:
            self._last = None  # before there is room for another
            self._last = TrainedSeed(recipe, self.workspace, self.features, seed)
        return self._last

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}
