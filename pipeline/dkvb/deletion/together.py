"""Requests hold together: under all masks at once every forgotten class is looked at, and the N of one that is
recognised again is raised.

Masking one class's pairs takes votes from others too, so that a class that was forgotten while its rivals were there
may come back when they go; and a restored request gives back pairs that others relied on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dkvb.bottleneck.mask_order import NEVER
from dkvb.deletion import ledger
from dkvb.deletion.wanted import first_model
from dkvb.evaluation.seed import TrainedSeed
from dkvb.methods.base import make
from dkvb.methods.pair_masking import Masking, PairRanking
from dkvb.metrics.accuracy import target_accuracy
from dkvb.recipe import Recipe
from dkvb.records.masking import Looked, MaskSettings, TopUp
from dkvb.runtime import progress
from dkvb.workspace import request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import MASKED, Request, Union

ROUNDS = 8
"""Times that all classes are looked at, before those that cannot be held are left as they are."""


@dataclass
class Holder:
    """Classes that are forgotten together, and the pairs that they mask: a request, or one that is about to be
    opened."""

    classes: list[int]
    settings: MaskSettings
    method: Masking
    mask: np.ndarray
    """(C, M) bool, its own pairs."""
    n: int
    request: Request | None = None
    recognised: float | None = None
    """Highest share of a class's rows on a split that was recognised when it was first looked at."""
    raised: np.ndarray | None = None
    """(C, M) bool, pairs by which it grew."""
    stuck: bool = False
    """Whether no further pair brings it to its target."""
    looked: list[Looked] = field(default_factory=list)

    @property
    def automatic(self) -> bool:
        """Whether its N was chosen by dkvb, which then keeps its promise; an N given by a person stays."""
        return self.settings.given == "auto"

    def target(self, trained: TrainedSeed) -> float | None:
        """The accuracy in [0, 1] that none of its classes may exceed; None where N was given."""
        if not self.automatic:
            return None
        aim = self.settings.target or trained.recipe.unlearn.target  # version 0.1 did not write it down
        return target_accuracy(aim, len(trained.splits.classes))

    def top_up(self, cause: str) -> TopUp | None:
        """How it grew because of a request; None where it did not, or is not opened yet."""
        if self.request is None or self.raised is None or self.recognised is None:
            return None
        return TopUp(
            request=self.request.id,
            cause=cause,
            names=self.request.public_names,
            recognised=self.recognised,
            n_before=self.request.record.n,
            n=self.n,
            pairs=int(self.raised.sum()),
        )


def holders_of(trained: TrainedSeed, union: Union) -> tuple[list[Holder], np.ndarray]:
    """The requests whose masks can grow, and the pairs (C, M) bool that are masked beside theirs: what purged requests
    mask, of whose classes no row is left to look at."""
    holders = [
        holder_of(trained, request) for request in union.masking if not (request.values_may_be_gone or request.exact)
    ]
    gone = [request.mask() for request in union.masking if request.values_may_be_gone]
    return holders, np.logical_or.reduce([trained.no_mask < 0, *gone])


def holder_of(trained: TrainedSeed, request: Request) -> Holder:
    """A request as it lies on disk."""
    settings = request.record.settings
    method = make(_ranking(request.record.method, settings), trained, request.classes)
    assert isinstance(method, Masking)
    more: dict[str, Any] = dict(settings.model_extra or {})
    known: dict[str, Any] = {name: more[name] for name in ("counts", "rank") if name in more}
    method.recipe = method.recipe.model_copy(update=known)
    return Holder(request.classes, settings, method, request.mask(), request.record.n, request)


def _ranking(method: str, settings: MaskSettings) -> str:
    """The method by whose ranking a request grows: its own, or votes where that needs data of its own."""
    proxy = (settings.model_extra or {}).get("counts") == "proxy"
    return "votes" if method == "examples" or proxy else method


def hold(trained: TrainedSeed, holders: Sequence[Holder], always: np.ndarray) -> np.ndarray:
    """Raise the N of holders until no class of theirs is recognised above its target under all masks together.

    Args:
        always: (C, M) bool, pairs that are masked beside those of the holders.

    Returns:
        (C, M) bool: all that is masked then. The holders say how they grew.
    """
    masked = always.copy()
    for holder in holders:
        masked |= holder.mask
    evidence = {id(holder): holder.method.evidence(target=0.0) for holder in holders}
    for _ in range(ROUNDS):
        grown = False
        for holder in holders:
            looking = evidence[id(holder)]
            recognised = looking.recognised(masked)
            holder.looked = _looked(trained, holder, looking.shares(recognised))
            worst = looking.worst(recognised)
            holder.recognised = worst if holder.recognised is None else holder.recognised
            target = holder.target(trained)
            if target is None or worst <= target or holder.stuck:
                continue
            masked |= _grow(holder, masked, target)
            grown = True
        if not grown:
            break
    return masked


def _grow(holder: Holder, masked: np.ndarray, target: float) -> np.ndarray:
    """Give a holder the fewest further pairs that bring its classes to the target; returns them, (C, M) bool."""
    order = holder.method.order()
    order[holder.mask] = -1
    rest = np.flatnonzero((order.ravel() >= 0) & (order.ravel() < NEVER))
    ranks = np.full(order.size, NEVER, np.int32)
    ranks[rest[np.argsort(order.ravel()[rest], kind="stable")]] = np.arange(len(rest), dtype=np.int32)
    following = ranks.reshape(order.shape)
    chosen = holder.method.evidence(masked, target).choose(following, len(rest))
    more = following < chosen.n
    holder.stuck = chosen.note is not None
    holder.mask = holder.mask | more
    holder.raised = more if holder.raised is None else holder.raised | more
    if isinstance(holder.method, PairRanking):
        holder.n += chosen.n
    return more


def _looked(trained: TrainedSeed, holder: Holder, shares: dict[int, dict[str, float]]) -> list[Looked]:
    request, names = holder.request, dict(enumerate(trained.splits.classes))
    if request:  # what is kept of another request has its pseudonyms, where it has any
        names |= dict(zip(request.classes, request.public_names, strict=True))
    return [
        Looked(class_id=c, name=names[c], request=request.id if request else None, recognised=of_class)
        for c, of_class in shares.items()
    ]


def top_ups(holders: Sequence[Holder], cause: str) -> list[TopUp]:
    """How requests grew, as the request that caused it records it."""
    return [raised for holder in holders if (raised := holder.top_up(cause))]


def write(trained: TrainedSeed, holders: Sequence[Holder], cause: str) -> list[TopUp]:
    """Write how requests grew, into them and into the ledger. Call with requests held."""
    written = []
    for holder in holders:
        raised = holder.top_up(cause)
        if raised is None or holder.request is None or holder.raised is None:
            continue
        request = request_writing.top_up(holder.request, holder.raised, raised)
        holder.request = ledger.record_top_ups(trained.workspace, request)
        written.append((holder.request.record.topped_up or [])[-1])
        progress.note(
            f"{raised.request} ({', '.join(raised.names)}): {raised.recognised:.1%} of its rows were recognised again;"
            f" {raised.pairs:,} further pairs masked"
        )
    return written


def look_again_with(recipe: Recipe, workspace: Workspace, cause: Request) -> list[TopUp]:
    """`look_again` in the model that a request is about, where the recipe is of that model; otherwise it says that
    nothing was looked at."""
    left = [request for request in requests.all_requests(workspace, cause.train) if request.state == MASKED]
    if not left:
        return []
    trained = first_model(recipe, workspace)
    if trained.dkvb_artifact.fingerprint != cause.train:
        progress.note(
            f"{cause.id} is about another model than this recipe's: the classes of"
            f" {', '.join(request.id for request in left)} were not looked at again (give that model's --recipe)"
        )
        return []
    return look_again(trained, cause.id)


def look_again(trained: TrainedSeed, cause: str) -> list[TopUp]:
    """Look at all classes that are masked and not purged, after a request was restored or purged, and raise the N of
    those that are recognised again. Call with requests held.

    Args:
        cause: id of that request.
    """
    union = requests.forgotten(trained.workspace, trained.dkvb_artifact)
    trained = trained.under(union)
    holders, always = holders_of(trained, union)
    hold(trained, holders, always)
    return write(trained, holders, cause)
