"""`purge --keys reinit`: keys fitted anew to the rows that stay, and values trained on their codes."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import save_file

from dkvb.bottleneck.mask_order import pack
from dkvb.deletion import erase
from dkvb.deletion.lineage import Tree
from dkvb.errors import SettingsClash
from dkvb.recipe import Recipe
from dkvb.stages import train
from dkvb.training.codes import quantize_seed
from dkvb.workspace import requests
from dkvb.workspace.artifacts import Artifact, Workspace
from dkvb.workspace.files import atomic, sha256
from dkvb.workspace.names import MASK
from dkvb.workspace.requests import need_features
from dkvb.workspace.specs import dkvb_spec, quantize_spec


def _own(recipe: Recipe, workspace: Workspace, tree: Tree) -> tuple[Recipe, Artifact]:
    """The recipe for the request's seed alone, checked to be the one that made its model."""
    seed = int(tree.request.data["seed"])
    features = need_features(recipe, workspace)
    made = dkvb_spec(recipe, seed, quantize_spec(recipe, seed, features).fingerprint).fingerprint
    if made != tree.request.train:
        raise SettingsClash(
            f"Request {tree.request.id} is of a model of another recipe: give --recipe the one that it was trained"
            " with."
        )
    return recipe.with_(run={"seeds": [seed]}), features


def check(recipe: Recipe, workspace: Workspace, tree: Tree) -> None:
    """Raise where keys cannot be fitted anew.

    Raises:
        SettingsClash: another recipe's model, or a request that is masked only: its mask says nothing of new keys.
    """
    _own(recipe, workspace, tree)
    for request in requests.all_requests(workspace, tree.request.train):
        if request.state == requests.MASKED and request.id not in {r.id for r in tree.together}:
            raise SettingsClash(
                f"Request {request.id} is masked and not purged, and its mask would mean nothing for new keys: purge or"
                " restore it first."
            )


def run(recipe: Recipe, workspace: Workspace, tree: Tree) -> None:
    """Fit and train again under the same names. The masks of the model's purged requests become empty: no pair holds
    their classes."""
    own, features = _own(recipe, workspace, tree)
    for artifact in workspace.all("train"):
        if (
            artifact.manifest["inputs"].get("quantize") == tree.codes.fingerprint
            and artifact.fingerprint != tree.request.train
        ):
            erase.shred_folder(artifact.path)  # values of the old keys
    # the stage itself refuses new keys while masks of purged classes belong to the old ones; these are emptied below
    quantize_seed(own, workspace, features, own.run.seeds[0], force=True)
    train.run(own, workspace, force=True)
    for request in requests.all_requests(workspace, tree.request.train):
        mask = np.zeros_like(request.mask())
        with atomic(request.path / MASK) as temporary:
            save_file({"mask": pack(mask), "shape": np.array(mask.shape)}, temporary)
        requests.change(
            request,
            mask_sha256=sha256(request.path / MASK),
            masked_before_reinit=request.data["masked"],
            masked=0,
        )
