"""What a request's purge reaches: all artifacts that were made from the same features as its model."""

from __future__ import annotations

from dkvb.errors import MissingStage
from dkvb.workspace import requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import MASKED, Request


class Tree:
    """All artifacts that were made from the same features as a request's model."""

    def __init__(self, workspace: Workspace, request: Request) -> None:
        self.workspace, self.request = workspace, request
        trained = [a for a in workspace.all("train") if a.fingerprint == request.train]
        quantized = workspace.all("quantize")
        above = {a.fingerprint: a for a in quantized}
        if not trained or trained[0].manifest["inputs"]["quantize"] not in above:
            raise MissingStage(
                f"The model of request {request.id}, or its codes, are no longer in {workspace.root}: nothing can be"
                " purged."
            )
        self.model = trained[0]
        self.codes = above[self.model.manifest["inputs"]["quantize"]]
        self.features = next(
            (a for a in workspace.all("embed") if a.fingerprint == self.codes.manifest["inputs"]["embed"]), None
        )
        if self.features is None:
            raise MissingStage(
                f"The features of request {request.id} are no longer in {workspace.root}: nothing can be purged."
            )
        self.quantized = [a for a in quantized if a.manifest["inputs"]["embed"] == self.features.fingerprint]
        below = {a.fingerprint for a in self.quantized}
        models = [a for a in workspace.all("train") if a.manifest["inputs"].get("quantize") in below]
        self.heads = [
            a for a in workspace.all("train") if a.manifest["inputs"].get("embed") == self.features.fingerprint
        ]
        every = requests.all_requests(workspace)
        # requests of other models for the same classes are purged together with this one
        mine = {a.fingerprint for a in models}
        self.together = [
            r
            for r in every
            if r.id == request.id or (r.state == MASKED and r.train in mine and set(r.classes) <= set(request.classes))
        ]
        covered = {
            a.fingerprint
            for a in models
            if set(request.classes) <= {c for r in every if r.in_force and r.train == a.fingerprint for c in r.classes}
        }
        self.knowing = [a for a in models if a.fingerprint not in covered]
        self.covered = [a for a in models if a.fingerprint in covered]
