"""Whether requests, their files and their receipts are what the entries of the ledger say, and the other way round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from dkvb.deletion.erased_checks import Unchecked, erased
from dkvb.errors import DamagedArtifact
from dkvb.records.ledger import LedgerEntry
from dkvb.records.purges import State
from dkvb.workspace import exact_values
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.facts import FIXED, WORDS, facts
from dkvb.workspace.files import sha256
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.names import MASK, RECEIPTS
from dkvb.workspace.requests import PURGED, REINIT, Request, all_requests, of_other, top_up_file

NEEDED: dict[State, tuple[str, ...]] = {
    "masked": ("masked",),
    "restored": ("masked", "restored"),
    "purged": ("masked", "purged"),
}
"""State of a request -> the events that the ledger must hold of it."""

MAY_CHANGE = {
    "mask": ("topped-up", "reinit", "purged"),
    "values": ("exact",),
    "state": ("restored", "purged"),
    "purge": ("purged",),
    "life": ("refused", "notified"),
}
"""Kind of fact -> the events of its request that may change it; of those not named here, see `FIXED`, and `REWRITING`
of what a mask was made on."""

OF_ITS_OWN = tuple(kind for kind in WORDS if kind != "model")
"""Kinds that nothing but events of the request itself changes."""

REWRITING = (PURGED, REINIT)
"""Events of any request by which values or keys, on which masks of others were made as well, become other ones."""


@dataclass
class Looked:
    """What was found."""

    problems: list[str] = field(default_factory=list)
    """Sentences without their stop, each beginning with the entry, request or receipt that it is about."""
    not_checked: list[str] = field(default_factory=list)
    """What could not be checked, and why."""

    def add(self, said: Iterable[str | Unchecked], first: bool = False) -> None:
        """Take in what a check says. `first`: before all other problems."""
        wrong = []
        for one in said:
            if isinstance(one, Unchecked):
                self.not_checked.append(one.why)
            else:
                wrong.append(one)
        self.problems = [*wrong, *self.problems] if first else [*self.problems, *wrong]


def look(workspace: Workspace, entries: Sequence[LedgerEntry], whole: bool = True) -> Looked:
    """Everything that does not fit.

    Args:
        entries: those of a ledger whose lines fit.
        whole: whether these are all. Where others do not fit, nobody knows what they said, and only what the earlier
            ones say for good is looked at.
    """
    found = Looked()
    try:
        requests = all_requests(workspace)
    except DamagedArtifact as error:
        found.problems.append(str(error).rstrip("."))
        return found
    found.add(_gone(entries, requests))
    lineage = Lineage(workspace)
    busy = {other for request in requests if request.record.purging for other in request.record.purging.together}
    for request in requests:
        mine = [entry for entry in entries if entry.request == request.id]
        found.add(_plain(request, mine))
        found.add(_files(request, mine, whole))
        if not whole:
            continue
        found.add(_missing(request, mine))
        found.add(_raised(request, mine))
        found.add(_facts(request, mine, request.id in busy))
        found.add(_made_on(lineage, request, entries, bool(busy)))
        if request.state == PURGED and not request.record.unrecorded:
            found.add(erased(lineage, request, entries))
    if whole:
        found.add(_receipts(workspace, entries))
    else:
        found.not_checked.append(f"requests and receipts were held against the first {len(entries)} entries alone")
    return found


def _gone(entries: Sequence[LedgerEntry], requests: Sequence[Request]) -> list[str]:
    """Requests that entries are about and that are no longer there."""
    there = {request.id for request in requests}
    first: dict[str, int] = {}
    for entry in entries:
        first.setdefault(entry.request, entry.number)
    return [f"request {name} of entry {number} is gone" for name, number in first.items() if name not in there]


def _missing(request: Request, mine: Sequence[LedgerEntry]) -> Iterator[str | Unchecked]:
    """Events of a request that the ledger lacks."""
    events = {entry.event for entry in mine}
    for event in NEEDED[request.state]:
        if event not in events and request.record.unrecorded != event:
            yield f"request {request.id} is {request.state}, and its entry '{event}' was removed"
    if request.record.unrecorded:
        yield Unchecked(
            f"request {request.id}: a process was stopped before it entered '{request.record.unrecorded}'; the next"
            " command that changes requests enters it"
        )
    if request.record.pseudonym and not request.record.pseudonym.fits(request.names):
        yield f"request {request.id}: its names are not those that its pseudonyms were made of"
    if request.path.name != request.id:
        yield f"request {request.id} lies in the folder {request.path.name}"


def _plain(request: Request, mine: Sequence[LedgerEntry]) -> Iterator[str | Unchecked]:
    """What entries say in plain words: classes, model and mask, those of earlier versions among them."""
    record = request.record
    for entry in mine:
        if entry.classes != request.classes:
            yield f"request {request.id}: its classes differ from entry {entry.number}"
        if entry.train != request.train:
            yield f"request {request.id}: its model (train) differs from entry {entry.number}"
    masked = next((entry for entry in mine if entry.event == "masked"), None)
    if masked is None or not masked.mask:
        return
    if record.masked_before_reinit is not None:
        if not any(entry.facts for entry in mine):
            yield Unchecked(
                f"request {request.id}: its mask was emptied when keys were fitted anew, by an earlier version"
            )
    elif masked.mask != record.mask_sha256:
        yield f"request {request.id}: its mask differs from entry {masked.number}"


def _raised(request: Request, mine: Sequence[LedgerEntry]) -> Iterator[str | Unchecked]:
    """The masks by which its N was raised."""
    record = request.record
    raised = [entry.mask for entry in mine if entry.event == "topped-up"]
    stored = [raise_.mask_sha256 for raise_ in record.topped_up or []]
    if record.masked_before_reinit is None and not record.unrecorded and raised != stored:
        yield f"request {request.id}: the masks by which its N was raised differ from its entries 'topped-up'"


def _facts(request: Request, mine: Sequence[LedgerEntry], busy: bool) -> Iterator[str | Unchecked]:
    """What the record says, against the last entry; and what entries say one after the other."""
    bound = [(entry, entry.facts) for entry in mine if entry.facts]
    if mine and not mine[0].facts:
        yield Unchecked(
            f"request {request.id}: the numbers of its record were not checked: entry {mine[0].number} was written by"
            " an earlier version"
        )
    if not bound:
        return
    for (before, was), (after, then) in pairwise(bound):
        for kind in OF_ITS_OWN:
            events = () if kind in FIXED else MAY_CHANGE[kind]
            if was.get(kind) != then.get(kind) and after.event not in events:
                yield f"request {request.id}: between entries {before.number} and {after.number}, {WORDS[kind]}"
    last, said = bound[-1]
    now = facts(request.record)
    for kind in FIXED if busy or request.record.unrecorded else OF_ITS_OWN:
        if now[kind] != said.get(kind):
            yield f"request {request.id}: {WORDS[kind]} from entry {last.number}"
    if busy:
        yield Unchecked(f"request {request.id}: its purge has not come to its end")


def _made_on(
    lineage: Lineage, request: Request, entries: Sequence[LedgerEntry], busy: bool
) -> Iterator[str | Unchecked]:
    """The keys and values that a mask was made on, against the entries and what is there now; a purge of any request
    may have made them other ones."""
    if busy or request.record.unrecorded:
        return
    bound = [(entry.number, entry.facts["model"]) for entry in entries if entry.request == request.id and entry.facts]
    rewritten = [entry.number for entry in entries if entry.event in REWRITING]
    bound.append((len(entries) + 1, facts(request.record)["model"]))
    for (before, was), (after, then) in pairwise(bound):
        if was != then and not any(before < number <= after for number in rewritten):
            yield f"request {request.id}: {WORDS['model']} from entry {before}"
    train = lineage.find("train", request.train)
    if train and request.in_force and (part := of_other(train, request)):
        yield f"request {request.id}: its mask was made on other {part} than {train.path.name} has now"


def _files(request: Request, mine: Sequence[LedgerEntry], whole: bool) -> Iterator[str | Unchecked]:
    """The files of a request: masks, rows of samples, and values that stand."""
    record = request.record
    stored = {MASK: record.mask_sha256}
    stored |= {top_up_file(n): one.mask_sha256 or "" for n, one in enumerate(record.topped_up or [], 1)}
    if record.samples:
        stored[exact_values.ROWS] = record.samples.rows_sha256
    if record.exact and record.exact.file:
        stored[record.exact.file] = record.exact.values_sha256 or ""
        trained = [entry.values for entry in mine if entry.event in ("masked", "exact") and entry.values]
        if whole and trained and trained[-1] != record.exact.values_sha256 and not record.unrecorded:
            yield f"request {request.id}: its values are not those that the ledger has last"
    for name, sha in stored.items():
        file = request.path / name
        if not file.is_file():
            yield f"request {request.id}: {name} is missing"
        elif sha256(file) != sha:
            yield f"request {request.id}: {name} is not the file that its record names"


def _receipts(workspace: Workspace, entries: Sequence[LedgerEntry]) -> Iterator[str | Unchecked]:
    """Receipts, against the last entry of each."""
    folder = workspace.root / RECEIPTS
    issued = {entry.request: entry for entry in entries if entry.event == "receipt"}
    for name, entry in issued.items():
        file = folder / f"{name}.json"
        waiting = folder / f"{name}.json.new"  # killed before it took the name
        if any(one.is_file() and sha256(one) == entry.receipt for one in (file, waiting)):
            continue
        wrong = "was changed since" if file.is_file() else "is gone: it was issued by"
        yield f"receipt {name} {wrong} entry {entry.number}"
    for file in sorted(folder.glob("*.json")):
        if file.stem not in issued and not file.name.endswith(".dsse.json"):
            yield f"receipt {file.stem} has no entry"
