"""Deletion requests: what `request.json` holds and `dkvb forget`, `restore` and `purge` print.

Masking            what masking some classes does, measured (`masking`)
  Plan             `forget --plan --json`: nothing was opened
  RequestFields    a request was opened; later restored or purged
    RequestRecord  `requests/<id>/request.json`
    RequestEntry   the same in `--json`
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from dkvb.records.base import Record
from dkvb.records.filing import Notice, Pseudonym, Refusal
from dkvb.records.levels import NEW_KEYS, UNPURGED, WORDS, Level
from dkvb.records.masking import Harmed, Masking, TopUp
from dkvb.records.purges import PurgeBegun, PurgeRecord, State


class ExactValues(Record):
    """Values that were trained again without what a request forgets, and without all that is forgotten beside it."""

    absent: ClassVar[frozenset[str]] = frozenset({"file", "values_sha256"})

    file: str | None = None
    """In the request's folder: `values` (C, M, L), and `mask`, the pairs that no sample that stays selects, where the
    model passes over those. None where the values of a newer request stand in their place, or new keys were fitted."""
    values_sha256: str | None = None
    """Of that file."""
    without: list[str]
    """Ids of the requests whose classes and samples took no part, its own among them."""
    classes: list[int]
    """Ids of all classes that took no part."""
    samples: int
    """Single training samples that took no part, beside those of the classes."""
    seconds: float
    """What training took; that of an earlier run where the values were there already."""


class MadeOn(Record):
    """By content, the bottleneck on which a mask, or values, were made."""

    model: str
    """Of its values and counts."""
    keys: str | None
    """Of the keys and codes that it was trained on; None where that is not known."""


class Losses(Record):
    """Mean cross-entropy of a model: a sample that was learned has a lower one than a sample like it that never was."""

    before: float
    """On the forgotten samples, before."""
    after: float
    """On the same samples, by values that never had them."""
    unseen: float | None
    """On test samples of the same classes, which no model had; None where there are none."""


class ForgottenSamples(Record):
    """Single training samples that a request forgets."""

    count: int
    """How many."""
    rows_sha256: str
    """Of `rows.npy` in the request's folder, which holds their row numbers in the stored training set."""
    per_class: list[int]
    """(L,) samples of each class among them."""
    loss: Losses
    correct_before: int
    """Those whose class was recognised before."""
    correct_after: int
    """Those whose class is recognised afterwards, from what the others of the class are like."""


class LevelCost(Record):
    """What forgetting at one level would do and cost."""

    level: Level
    """hidden, erased or exact."""
    does: str
    """What it does, in words."""
    seconds: float | None
    """None where it cannot be said, or cannot be done."""
    measured: bool
    """Whether the seconds were measured; else they are estimated from what training took."""
    reversible: bool
    """Whether it can be taken back."""
    possible: bool
    """Whether it can be done: masking forgets no single samples."""


class ExactPlan(Record):
    """What `forget --exact` or `forget --samples` would do; nothing was written or trained."""

    request: None = None
    """There is none."""
    plan: Literal[True] = True
    """Marks a plan."""
    names: list[str]
    """Names of the classes; empty for single samples."""
    classes: list[int]
    """Ids of the classes."""
    samples: int | None
    """Single samples; None for classes."""
    rows: int
    """Training samples that values would be trained on."""
    costs: list[LevelCost]
    """What each level would do and cost."""


class Plan(Masking):
    """What `forget` would do; nothing was written."""

    request: None = None
    """There is none."""
    plan: Literal[True] = True
    """Marks a plan."""
    harmed: list[Harmed]
    """The retained classes that lose most, the worst first."""
    costs: list[LevelCost] | None = None
    """What each level of forgetting would do and cost."""


class RequestFields(Masking):
    """What a request's file and its `--json` entry have in common."""

    model_config = ConfigDict(extra="allow")  # fields of a later version are kept when the file is written again
    absent: ClassVar[frozenset[str]] = Masking.absent | {
        *("note", "unrecorded", "restored", "purging", "purge", "masked_before_reinit", "topped_up"),
        *("level", "exact", "samples", "reason", "pseudonym", "refused", "notified"),
    }

    state: State
    """masked, purged or restored."""
    created: str
    """When it was opened."""
    unrecorded: str | None = None
    """An event that happened to the request and has not reached the ledger yet."""
    restored: str | None = None
    """When it was taken back."""
    purging: PurgeBegun | None = None
    """There while a purge is under way."""
    purge: PurgeRecord | None = None
    topped_up: list[TopUp] | None = None
    """How its own N was raised since, the oldest first; the pairs lie in `top-up-1.safetensors` and so on."""
    level: Literal["exact"] | None = None
    """exact: values were trained again. None: pairs are masked, hidden until a purge erases them."""
    exact: ExactValues | None = None
    samples: ForgottenSamples | None = None
    """Where single samples are forgotten rather than classes."""
    reason: str | None = None
    """Why it was made."""
    pseudonym: Pseudonym | None = None
    """What stands for its names in ledger and receipts; None where they stand there themselves."""
    refused: Refusal | None = None
    notified: list[Notice] | None = None
    """Who was told of it, in order."""
    masked_before_reinit: int | None = None
    """`masked` as it was before the keys were fitted anew, which empties the mask."""

    @property
    def n(self) -> int:
        """N as it is now."""
        return self.topped_up[-1].n if self.topped_up else self.settings.n

    @property
    def what(self) -> str:
        """What it forgets, in words."""
        if self.samples:
            return f"{self.samples.count:,} {'sample' if self.samples.count == 1 else 'samples'}"
        return ", ".join(self.names)

    @property
    def reached(self) -> Level | None:
        """The level at which it is forgotten now; None once it was restored."""
        if self.state == "restored":
            return None
        return self.level or ("erased" if self.state == "purged" else "hidden")

    @property
    def level_in_words(self) -> str | None:
        """What that level means; None once it was restored."""
        if self.level == "exact" and self.reached:
            words = NEW_KEYS if self.purge and self.purge.keys == "reinit" else WORDS["exact"]
            return words if self.state == "purged" else f"{words}; {UNPURGED}"
        return WORDS[self.reached] if self.reached else None

    @property
    def masked_at_first(self) -> int:
        """Pairs that were masked when the request was opened."""
        return self.masked if self.masked_before_reinit is None else self.masked_before_reinit


OF_THE_FILE = ("id", "train", "mask_sha256", "made_on")
"""Fields of `request.json` that its `--json` entry has not."""


class RequestRecord(RequestFields):
    """What `request.json` holds."""

    absent: ClassVar[frozenset[str]] = RequestFields.absent | {"made_on"}

    id: str
    train: str
    """Fingerprint of the trained bottleneck."""
    mask_sha256: str
    """Of `mask.safetensors`."""
    made_on: MadeOn | None = None
    """None where an earlier version wrote the request or the model."""

    def public(self) -> RequestRecord:
        """The record as what cannot be taken back may hold it, ledger and receipts: pseudonyms in the place of names,
        and salted hashes in that of texts, where the request has pseudonyms."""
        alias = self.pseudonym
        if alias is None:
            return self
        refused, notified = self.refused, self.notified
        hidden: dict[str, Any] = {
            "names": alias.names,
            "note": None,
            "looked": [one.model_copy(update={"name": ""}) for one in self.looked] if self.looked else self.looked,
            "reason": alias.hide(self.reason),
            "refused": refused and refused.model_copy(update={"because": alias.hide(refused.because)}),
            "notified": notified and [one.model_copy(update={"who": alias.hide(one.who)}) for one in notified],
        }
        return self.model_copy(update=hidden)

    def without_names(self) -> RequestRecord:
        """The record of a purged request: its names and texts are gone for good where it has pseudonyms."""
        if self.pseudonym is None:
            return self
        return self.public().model_copy(update={"pseudonym": self.pseudonym.model_copy(update={"salt": None})})

    def entry(self, skipped: bool) -> RequestEntry:
        """Its entry in `--json`. `skipped`: there was nothing left to do."""
        fields: dict[str, Any] = {name: value for name, value in self if name not in OF_THE_FILE}
        return RequestEntry(request=self.id, skipped=skipped, **fields)


class RequestEntry(RequestFields):
    """A request in `--json`."""

    request: str
    skipped: bool
