"""What the purge of a request reaches: everything that was made from the same features as the request's model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dkvb.errors import MissingStage
from dkvb.workspace import requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.requests import MASKED, Request
from dkvb.workspace.rows import labels


@dataclass(frozen=True)
class Reach:
    """The artifacts and requests that a purge changes or deletes."""

    workspace: Workspace
    request: Request
    features: Artifact
    model: Artifact
    """The bottleneck that the request is about."""
    quantized: list[Artifact]
    """All keys and codes of the features."""
    heads: list[Artifact]
    """All linear heads on the features: they lose the rows of the classes."""
    covered: list[Artifact]
    """Bottlenecks whose requests forget all of the classes: their masked values are erased."""
    knowing: list[Artifact]
    """Bottlenecks that still know one of the classes: they are deleted."""
    together: list[Request]
    """Requests that are purged with this one, itself among them: those of other models for the same classes."""

    @property
    def classes(self) -> list[int]:
        return self.request.classes

    def rows(self, split: str) -> np.ndarray:
        """Stored rows (n,) of the classes, whether purged already or not."""
        return np.flatnonzero(np.isin(labels(self.features, split), self.classes))

    def model_of(self, request: Request) -> Artifact:
        """The bottleneck of one of the requests that are purged together."""
        return next(model for model in self.covered if model.fingerprint == request.train)


def reach_of(workspace: Workspace, request: Request, together: Sequence[str] | None = None) -> Reach:
    """What a purge of the request reaches.

    Args:
        together: ids of the requests that are purged with it, where that was settled before; else they are looked for.

    Raises:
        MissingStage: the request's model, or what that was made from, is gone.
    """
    lineage = Lineage(workspace)
    model = lineage.find("train", request.train)
    made = lineage.trained_from(model) if model else None
    if made is None or made.codes is None:
        raise MissingStage(
            f"The model of request {request.id}, its codes or its features are no longer in {workspace.root}: nothing"
            " can be purged."
        )
    quantized = lineage.made_from(made.features, "quantize")
    bottlenecks = [model for codes in quantized for model in lineage.made_from(codes, "train")]
    every = requests.all_requests(workspace)
    covered: list[Artifact] = []
    knowing: list[Artifact] = []
    for bottleneck in bottlenecks:
        forgotten = {c for r in every if r.in_force and r.train == bottleneck.fingerprint for c in r.classes}
        (covered if set(request.classes) <= forgotten else knowing).append(bottleneck)
    if together is None:
        together = [r.id for r in every if r.id == request.id or _same_classes(r, request, bottlenecks)]
    heads = lineage.made_from(made.features, "train")
    with_it = [r for r in every if r.id in together]
    return Reach(workspace, request, made.features, made.model, quantized, heads, covered, knowing, with_it)


def _same_classes(other: Request, request: Request, bottlenecks: Sequence[Artifact]) -> bool:
    """Whether a masked request of one of these bottlenecks is for no other classes than the request."""
    of_these = any(other.train == model.fingerprint for model in bottlenecks)
    return other.state == MASKED and of_these and set(other.classes) <= set(request.classes)
