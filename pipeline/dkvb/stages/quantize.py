"""Stage 2: keys fitted to the features, and every sample's codes (paper, sections 3 and 4); the work itself is
`dkvb.training.codes`."""

from __future__ import annotations

from dkvb.errors import SettingsClash
from dkvb.recipe import Recipe
from dkvb.records.quantize import QuantizeResult
from dkvb.training.codes import quantize_seed
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features


def run(recipe: Recipe, workspace: Workspace, force: bool = False) -> list[QuantizeResult]:
    """Fit keys and code every sample, for each seed of the recipe.

    Raises:
        MissingStage: nothing embedded yet.
        UsageError: settings that these data cannot serve.
        SettingsClash: forced, where masks of purged classes belong to the keys that are there.
    """
    features = need_features(recipe, workspace)
    if force and features.lost_rows:
        raise SettingsClash(
            f"Classes or samples were purged from {features.path}, and masks and values belong to the keys that are"
            " there: new keys would leave them without meaning. `dkvb purge REQUEST --keys reinit` fits new keys and"
            " trains new values together."
        )
    return [quantize_seed(recipe, workspace, features, seed, force) for seed in recipe.run.seeds]
