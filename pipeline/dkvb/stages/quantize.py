"""Stage 2: keys fitted to the features, and every sample's codes (paper, sections 3 and 4); the work itself is
`dkvb.training.codes`."""

from __future__ import annotations

from typing import Any

from dkvb.errors import SettingsClash
from dkvb.recipe import Recipe
from dkvb.training.codes import quantize_seed
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features


def run(recipe: Recipe, workspace: Workspace, force: bool = False, masks_emptied: bool = False) -> list[dict[str, Any]]:
    """Fit keys and code every sample, for each seed of the recipe.

    Args:
        masks_emptied: the caller empties the masks of purged classes itself; they mean nothing for new keys, so that
            without this no new keys are forced.

    Raises:
        MissingStage: nothing embedded yet.
        UsageError: settings that these data cannot serve.
        SettingsClash: forced, where masks of purged classes belong to the keys that are there.
    """
    features = need_features(recipe, workspace)
    if force and not masks_emptied and features.result.get("purged"):
        raise SettingsClash(
            f"Classes were purged from {features.path}, and their masks belong to the keys that are there: new keys"
            " would leave the masks without meaning. `dkvb purge REQUEST --keys reinit` fits new keys and trains new"
            " values together."
        )
    return [quantize_seed(recipe, workspace, features, seed, force) for seed in recipe.run.seeds]
