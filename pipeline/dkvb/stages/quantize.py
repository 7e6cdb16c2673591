"""Stage 2: keys fitted to the features, and every sample's codes (paper, sections 3 and 4); the work itself is
`dkvb.training.codes`."""

from __future__ import annotations

from dkvb.recipe import Recipe
from dkvb.records.quantize import QuantizeResult
from dkvb.training.codes import quantize_seed
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.keys_spec import quantize_spec
from dkvb.workspace.purged import refuse_anew
from dkvb.workspace.requests import need_features


def run(recipe: Recipe, workspace: Workspace, force: bool = False) -> list[QuantizeResult]:
    """Fit keys and code every sample, for each seed of the recipe.

    Raises:
        MissingStage: nothing embedded yet.
        UsageError: settings that these data cannot serve.
        SettingsClash: forced or deleted, where rows were purged since the keys were fitted.
    """
    features = need_features(recipe, workspace)
    for seed in recipe.run.seeds:
        spec = quantize_spec(recipe, seed, features)
        if force or workspace.get(spec) is None:
            refuse_anew(workspace, spec, features)
    return [quantize_seed(recipe, workspace, features, seed, force) for seed in recipe.run.seeds]
