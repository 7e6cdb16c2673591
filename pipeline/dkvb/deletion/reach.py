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
    """Linear heads on the features that lose the rows of the classes: all, where classes are purged."""
    covered: list[Artifact]
    """Bottlenecks whose requests forget all that is purged: their masked values are erased, or others take their
    place."""
    knowing: list[Artifact]
    """Models that still know one of the classes or samples: they are deleted."""
    together: list[Request]
    """Requests that are purged with this one, itself among them: those of other models for the same classes or
    samples."""

    @property
    def classes(self) -> list[int]:
        return self.request.classes

    def rows(self, split: str) -> np.ndarray:
        """Stored rows (n,) of the classes, or those of the samples, whether purged already or not."""
        if self.request.record.samples:
            return self.request.rows if split == "train" else np.empty(0, np.int64)
        return np.flatnonzero(np.isin(labels(self.features, split), self.classes))

    def model_of(self, request: Request) -> Artifact:
        """The bottleneck of one of the requests that are purged together."""
        return next(model for model in self.covered if model.fingerprint == request.train)

    def exact(self, request: Request) -> Request | None:
        """Of the requests that are purged together an exact one of the same model, if there is any: values trained
        without it take the place of those of training."""
        return next((one for one in self.together if one.exact and one.train == request.train), None)


def reach_of(workspace: Workspace, request: Request, together: Sequence[str] | None = None) -> Reach:
    """What a purge of the request reaches.

    Args:
        together: ids of the requests that are purged with it, where that was settled before; else they are looked for.

    Raises:
        MissingStage: the request's model, or what that was made from, is gone.
    """
    begun = request.record.purging
    lineage = Lineage(workspace, in_change=begun is not None and begun.stage == "erase")
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
        in_force = [r for r in every if r.in_force and r.train == bottleneck.fingerprint]
        (covered if _forgotten(request, in_force, made.features) else knowing).append(bottleneck)
    if together is None:
        together = [r.id for r in every if r.id == request.id or _same(r, request, bottlenecks)]
    heads = lineage.made_from(made.features, "train")
    if request.record.samples:  # a head has no part that holds single samples
        heads, knowing = [], [*knowing, *heads]
    with_it = [r for r in every if r.id in together]
    return Reach(workspace, request, made.features, made.model, quantized, heads, covered, knowing, with_it)


def _forgotten(request: Request, in_force: Sequence[Request], features: Artifact) -> bool:
    """Whether the requests of a bottleneck that are in force forget all that a request does: single samples exactly."""
    if not request.record.samples:
        return set(request.classes) <= {c for one in in_force for c in one.classes}
    exact = [one for one in in_force if one.exact]
    gone = np.concatenate([np.empty(0, np.int64), *(one.rows for one in exact)])
    classes = [c for one in exact for c in one.classes]
    rows = request.rows
    return bool((np.isin(rows, gone) | np.isin(labels(features, "train")[rows], classes)).all())


def _same(other: Request, request: Request, bottlenecks: Sequence[Artifact]) -> bool:
    """Whether a masked request of one of these bottlenecks is for no other classes, or samples, than the request."""
    if other.state != MASKED or not any(other.train == model.fingerprint for model in bottlenecks):
        return False
    if request.record.samples or other.record.samples:
        both = bool(request.record.samples and other.record.samples)
        return both and bool(np.isin(other.rows, request.rows).all())
    return set(other.classes) <= set(request.classes)
