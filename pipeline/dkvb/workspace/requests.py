"""Deletion requests on disk: `requests/<id>/` holds `mask.safetensors` and, written last, `request.json`; that of an
exact request also what `exact_values` keeps.

A request belongs to one trained bottleneck, by its fingerprint. Its state is "masked", "purged" or "restored"; the
masks of all requests that are not restored unite. The newest exact request that is not restored brings values of its
own, trained without what it and all requests before it forget, so that no mask of theirs is needed; those of later
requests apply. A request whose purge was begun and not finished carries `purging`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from dkvb.bottleneck.mask_order import unpack
from dkvb.errors import DamagedArtifact, UsageError, nearest
from dkvb.recipe import Recipe
from dkvb.records.deletion import MadeOn, RequestRecord
from dkvb.records.purges import State
from dkvb.workspace import exact_values
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import REQUESTS, refuse_half_purged
from dkvb.workspace.files import sha256
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import MASK, REQUEST
from dkvb.workspace.specs import embed_settings

MASKED: State = "masked"
PURGED: State = "purged"
RESTORED: State = "restored"
TOPPED_UP = "topped-up"
"""The event in the ledger of a request whose N was raised."""
EXACT = "exact"
"""That of a request for which values were trained: a hidden one became exact, or its values stand again."""
REINIT = "reinit"
"""That of a request whose mask was emptied, since keys were fitted anew."""


@dataclass(frozen=True)
class Request:
    """One request: its folder, and what its `request.json` holds."""

    path: Path
    record: RequestRecord

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def state(self) -> State:
        return self.record.state

    @property
    def classes(self) -> list[int]:
        return self.record.classes

    @property
    def names(self) -> list[str]:
        return self.record.names

    @property
    def public_names(self) -> list[str]:
        """Names of its classes, or what stands for them in the ledger."""
        return self.record.public().names

    @property
    def train(self) -> str:
        """Fingerprint of the trained bottleneck."""
        return self.record.train

    @property
    def in_force(self) -> bool:
        return self.state != RESTORED

    @property
    def values_may_be_gone(self) -> bool:
        """Whether it was purged, or a purge of it has begun."""
        return self.state == PURGED or self.record.purging is not None

    @property
    def exact(self) -> bool:
        return self.record.level == "exact"

    @property
    def rows(self) -> np.ndarray:
        """(n,) rows of the stored training set that it forgets one by one; none where it forgets classes.

        Raises:
            DamagedArtifact: their file is missing or was altered.
        """
        samples = self.record.samples
        return exact_values.read_rows(self.path, samples) if samples else np.empty(0, np.int64)

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Of an exact request that stands: values (C, M, L), and the pairs (C, M) bool that are passed over.

        Raises:
            DamagedArtifact: the file is missing or was altered.
        """
        assert self.record.exact is not None
        return exact_values.read(self.path, self.record.exact)

    def mask(self) -> np.ndarray:
        """(C, M) bool, the pairs that this request masks, those by which its N was raised among them; of an exact one,
        none.

        Raises:
            DamagedArtifact: the mask is missing or was altered.
        """
        mask = self._stored(MASK, self.record.mask_sha256)
        if self.exact:  # one that was hidden first keeps its mask on disk, but needs it no more
            return np.zeros_like(mask)
        for number, raised in enumerate(self.record.topped_up or [], 1):
            mask |= self._stored(top_up_file(number), raised.mask_sha256)
        return mask

    def _stored(self, name: str, sha: str | None) -> np.ndarray:
        file = self.path / name
        try:
            if sha256(file) != sha:
                raise ValueError
            arrays = load_file(file)
            return unpack(arrays["mask"], int(arrays["shape"][1]))
        except PermissionError:
            raise
        except (OSError, ValueError, KeyError, SafetensorError):
            raise DamagedArtifact(
                f"{file} is damaged: `dkvb restore {self.id}` closes the request without it, then `dkvb forget` opens"
                " it again."
            ) from None


@dataclass(frozen=True)
class Union:
    """What all requests of a model forget together."""

    mask: np.ndarray | None
    """(C, M) bool; None where no request is in force."""
    classes: list[int]
    requests: list[Request]
    standing: Request | None = None
    """The exact request whose values take the place of those of training."""

    @property
    def masking(self) -> list[Request]:
        """The requests whose masks apply: all, or those after the one whose values stand."""
        return _after(self.requests, self.standing)

    @property
    def rows(self) -> np.ndarray:
        """(n,) rows of the stored training set that are forgotten one by one."""
        return np.unique(np.concatenate([np.empty(0, np.int64), *(request.rows for request in self.requests)]))

    @property
    def values(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Values (C, M, L) that stand in the place of those of training, and the pairs (C, M) bool that are passed over
        with them."""
        return self.standing.values() if self.standing else None


def folder(workspace: Workspace) -> Path:
    return workspace.root / "requests"


def all_requests(workspace: Workspace, train: str | None = None) -> list[Request]:
    """All requests, oldest first; of one trained bottleneck where its fingerprint is given.

    Raises:
        DamagedArtifact: a request cannot be read.
    """
    requests = []
    for file in sorted(folder(workspace).glob(f"*/{REQUEST}")):
        try:
            record = RequestRecord.model_validate_json(file.read_bytes())
        except ValueError:
            raise DamagedArtifact(
                f"{file} is damaged, and with it is lost what it forgets: put it back from a backup. Without one,"
                " delete the folder and forget those classes again; `dkvb ledger` then says that the request is gone."
            ) from None
        if train in (None, record.train):
            requests.append(Request(file.parent, record))
    return requests


def forgotten(workspace: Workspace, train: Artifact) -> Union:
    """The mask and classes of all masked or purged requests of a trained bottleneck.

    Raises:
        DamagedArtifact: a request or its mask has been altered, or is not of this model as it is now.
    """
    in_force = [request for request in all_requests(workspace, train.fingerprint) if request.in_force]
    refuse_of_other(train, in_force)
    return unite(in_force)


def made_on(train: Artifact) -> MadeOn | None:
    """What a mask for a trained bottleneck is made on; None where an earlier version trained it."""
    return MadeOn(model=train.content, keys=train.inputs_content.get("quantize")) if train.content else None


def of_other(train: Artifact, request: Request) -> str | None:
    """Which part of a trained bottleneck is not what a request's mask, or values, were made on; None where both are, or
    where that is not known."""
    then, now = request.record.made_on, made_on(train)
    if then is None or now is None:
        return None
    if then.keys and now.keys and then.keys != now.keys:
        return "keys"
    return "values" if then.model != now.model else None


def refuse_of_other(train: Artifact, applied: Sequence[Request]) -> None:
    """Raise where a mask or values were made on other keys or values of a bottleneck than are there now.

    Raises:
        DamagedArtifact: names the request, and what to do.
    """
    for request in applied:
        if part := of_other(train, request):
            again = "" if request.values_may_be_gone else f", or `dkvb restore {request.id}` and `dkvb forget` again"
            raise DamagedArtifact(
                f"Request {request.id} was made on other {part} than {train.path} has now, which was trained again or"
                f" altered since: put that folder, and the keys it was trained on, back from a backup{again}."
            )


def unite(requests: Sequence[Request], exact: bool = True) -> Union:
    """What some requests of one model forget together.

    Args:
        exact: whether values of an exact request stand in the place of those of training.
    """
    standing = next((one for one in reversed(requests) if exact and one.record.exact and one.record.exact.file), None)
    mask = standing.values()[1] if standing else None
    for request in _after(requests, standing):
        mask = request.mask() if mask is None else mask | request.mask()
    return Union(mask, sorted({c for request in requests for c in request.classes}), list(requests), standing)


def _after(requests: Sequence[Request], standing: Request | None) -> list[Request]:
    return list(requests) if standing is None else list(requests[requests.index(standing) + 1 :])


def find(workspace: Workspace, wanted: str) -> Request:
    """The request of an id, or of its number alone (`r0001`).

    Raises:
        UsageError: there is none; names the nearest.
    """
    known = all_requests(workspace)
    for request in known:
        if wanted in (request.id, request.id.split("-", 1)[0]):
            return request
    if not known:
        raise UsageError(
            f"There is no request '{wanted}': nothing was ever forgotten in {workspace.root}; `dkvb forget CLASS` opens"
            " one."
        )
    raise UsageError(f"There is no request '{wanted}'{nearest(wanted, [request.id for request in known])}")


@contextmanager
def held(workspace: Workspace) -> Iterator[None]:
    """The right to open, change or close requests; one process at a time."""
    with workspace.hold(REQUESTS, "deletion requests"):
        workspace.remember_recipe()
        yield


def top_up_file(number: int) -> str:
    """The file in a request's folder that holds the pairs by which its N was raised for the number-th time."""
    return f"top-up-{number}.safetensors"


def need_features(recipe: Recipe, workspace: Workspace) -> Artifact:
    """The embeddings of the recipe's data, found by their settings, so that the data themselves may be gone.

    Raises:
        MissingStage: nothing embedded yet.
        DamagedArtifact: one of their files is missing or is not as it was written.
    """
    refuse_half_purged(workspace)
    return workspace.need("embed", embed_settings(recipe), f"The embedded data set '{recipe.data_name}'")
