"""`purge --keys reinit`: keys fitted anew to the rows that stay, and values trained on their codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dkvb.deletion import ledger
from dkvb.deletion.reach import Reach
from dkvb.deletion.standing import tidy
from dkvb.errors import SettingsClash
from dkvb.recipe import Recipe
from dkvb.stages import train
from dkvb.training.codes import quantize_seed
from dkvb.workspace import request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.keys_spec import quantize_spec
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.requests import MASKED, REINIT, Request, need_features
from dkvb.workspace.shredding import shred_folder
from dkvb.workspace.specs import dkvb_spec


@dataclass(frozen=True)
class Reinit:
    """What `dkvb.deletion.purge` calls where the keys are to be fitted anew, with the recipe that made the model."""

    recipe: Recipe
    workspace: Workspace

    def check(self, reach: Reach) -> None:
        """Raise where keys cannot be fitted anew.

        Raises:
            SettingsClash: another recipe's model, or a request that is masked only: its mask says nothing of new keys.
        """
        self._codes(reach.request)
        together = {request.id for request in reach.together}
        for request in requests.all_requests(self.workspace, reach.request.train):
            if request.state == MASKED and request.id not in together:
                raise SettingsClash(
                    f"Request {request.id} is masked and not purged, and its mask would mean nothing for new keys:"
                    " purge or restore it first."
                )

    def replaced(self, request: Request) -> list[str]:
        """Names of what belongs to the former keys, which is deleted."""
        return [one.path.name for one in self._of_former_keys(request)]

    def _of_former_keys(self, request: Request) -> list[Artifact]:
        """Masks and measures of models of the former keys, that of the request among them; then those models
        themselves, but for that of the request, which is trained again."""
        codes = self._codes(request)
        everything = [one for stage in ("train", "retrained") for one in self.workspace.all(stage)]
        models = {one.fingerprint: one for one in everything if one.inputs.get("quantize") == codes}
        made = [one for one in self.workspace.all("unlearn") if one.inputs.get("train") in {*models, request.train}]
        return [*made, *(one for one in models.values() if one.fingerprint != request.train)]

    def run(self, request: Request) -> None:
        """Fit and train again under the same names. The masks of the model's purged requests become empty: no pair
        holds their classes. May be repeated."""
        for old in self._of_former_keys(request):
            shred_folder(old.path)
        own = self.recipe.with_(run={"seeds": [request.record.seed]})
        # the stage refuses new keys while masks of purged classes belong to the old ones; these are emptied below
        quantize_seed(own, self.workspace, need_features(own, self.workspace), request.record.seed, force=True)
        train.run(own, self.workspace, force=True)
        nothing = np.zeros_like(request.mask())
        purged = request.record.purging.together if request.record.purging else []
        model = Lineage(self.workspace).find("train", request.train)
        assert model is not None  # it was trained just now
        for other in requests.all_requests(self.workspace, request.train):
            emptied, before = request_writing.write_mask(other.path, nothing), other.record.masked_at_first
            mask = {"mask_sha256": emptied, "masked_before_reinit": before, "masked": 0, "topped_up": None}
            mask |= {"made_on": requests.made_on(model)}
            if other.id in purged:  # the entry of its purge says so
                request_writing.change(other, **mask)
            elif other.record.masked_before_reinit is None or other.record.mask_sha256 != emptied:
                ledger.record(self.workspace, REINIT, request_writing.change(other, **mask, unrecorded=REINIT))
        tidy(self.workspace, request.train)

    def _codes(self, request: Request) -> str:
        """The fingerprint of the codes of the request's model.

        Raises:
            SettingsClash: the recipe is not the one that made that model.
        """
        seed, features = request.record.seed, need_features(self.recipe, self.workspace)
        codes = quantize_spec(self.recipe, seed, features).fingerprint
        if dkvb_spec(self.recipe, seed, codes).fingerprint != request.train:
            raise SettingsClash(
                f"Request {request.id} is of a model of another recipe: give --recipe the one that it was trained with."
            )
        return codes
