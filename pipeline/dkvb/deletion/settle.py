"""`settle`: the values that are to stand are made where they are not there; torch is imported then alone."""

from __future__ import annotations

from collections.abc import Collection

from dkvb.deletion.standing import stand
from dkvb.recipe import Recipe
from dkvb.workspace import requests
from dkvb.workspace.artifacts import Workspace


def settle(recipe: Recipe, workspace: Workspace, train: str, leaving: Collection[str] = ()) -> None:
    """See to it that the values that are to stand are there, training them where they are not. Call with requests held.

    Args:
        train: fingerprint of the trained bottleneck.
        leaving: ids of requests that are about to be restored.

    Raises:
        SettingsClash: values have to be trained, and the recipe is not that of the model.
    """
    following = stand(requests.all_requests(workspace, train), leaving)
    if following and not following.settled:
        from dkvb.deletion import exact  # it trains, and imports torch

        exact.train_again(recipe, workspace, following)
