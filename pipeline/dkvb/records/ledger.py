"""The ledger of deletion requests, and the receipt of one."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from dkvb.records.base import Record
from dkvb.records.levels import Level
from dkvb.records.masking import MaskSettings, TopUp
from dkvb.records.proportions import Accuracy
from dkvb.records.purges import PurgeRecord, State


class VerifiedMeasures(Record):
    """What a verdict rests on."""

    absent: ClassVar[frozenset[str]] = frozenset({"forget_validation", "forget_train"})

    forget_test: dict[str, float | None]
    """Test accuracy of each of the request's classes, by name."""
    forget_validation: dict[str, float | None] | None = None
    forget_train: dict[str, float | None] | None = None
    """The same on validation and training samples."""
    retain_test: Accuracy | None
    oracle_retain_test: Accuracy | None


class LedgerEntry(Record):
    """An event of a request. Its hash is over all its other fields as they stand in its line."""

    model_config = ConfigDict(extra="allow")  # an event of a later version is no damage
    absent: ClassVar[frozenset[str]] = frozenset(
        {"format", "mask", "top_up", "values", "state", "passed", "verdict", "measured", "receipt", "facts"}
        | {"reason", "because", "notified"}
    )

    format: int | None = None
    """2; None in entries of version 0.1, which hold no facts."""
    number: int
    """Its place, from 1 on."""
    event: str
    """masked, topped-up, exact, reinit (keys were fitted anew and its mask was emptied), verified, restored, refused,
    purged, notified or receipt."""
    request: str
    classes: list[int]
    train: str
    """Fingerprint of the trained bottleneck."""
    time: str
    """When it was written."""
    mask: str | None = None
    """masked: hash of the mask's file."""
    top_up: TopUp | None = None
    """topped-up: how N was raised, and by which request."""
    values: str | None = None
    """purged: hash of the file of values. masked, of an exact request, and exact: of the values that were trained."""
    state: State | None = None
    """verified, receipt: the request's state then."""
    passed: bool | None = None
    """verified: whether no check failed."""
    verdict: str | None = None
    """verified: passed, failed or not-shown."""
    measured: VerifiedMeasures | None = None
    """verified: the verdict."""
    receipt: str | None = None
    """receipt: hash of its JSON file."""
    reason: str | None = None
    """masked: why the request was made, where that was said."""
    because: str | None = None
    """refused: why."""
    notified: str | None = None
    """notified: who was told."""
    facts: dict[str, str] | None = None
    """Of events that change the request: kind of thing that its record says -> hash of that."""
    previous: str
    """Hash of the entry before; of the first, 64 zeros."""
    hash: str
    """Over all other fields."""


class LedgerHead(Record):
    """What `ledger.head.json` holds: how long the ledger is, so that its end cannot be cut off unseen."""

    absent: ClassVar[frozenset[str]] = frozenset({"signature"})

    entries: int
    hash: str
    """Of the last entry."""
    pending: dict[str, Any] | None
    """An entry that is being written."""
    signature: dict[str, Any] | None = None
    """Its signature."""


class TimeStamp(Record):
    """An entry's hash, stamped by an authority (RFC 3161)."""

    entry: int
    """Number of the entry, the last at the time."""
    hash: str
    """Its hash."""
    url: str
    """The authority's address."""
    time: str
    """What the authority says."""
    response: str
    """Its answer, in base64."""


class KeyPair(Record):
    """Files of a new key."""

    private: str
    """The private key: give its path as `DKVB_SIGNING_KEY`."""
    public: str
    """The public key, for whoever checks."""


class Ledger(Record):
    """What `dkvb ledger` prints."""

    absent: ClassVar[frozenset[str]] = frozenset({"keys", "stamped"})

    ledger: list[LedgerEntry]
    """The entries that fit."""
    valid: bool
    """Whether no entry was changed, removed or reordered, and every request and receipt is what its entries say."""
    problem: str | None
    """The first thing that does not fit, in words."""
    problems: list[str]
    """Everything that does not fit."""
    not_checked: list[str]
    """What could not be checked, and why."""
    head: str
    """Hash of the last entry: kept elsewhere, it shows by `--expect` that nothing before it was changed or cut off."""
    keys: KeyPair | None = None
    """With `--keygen`, the files that were written."""
    stamped: TimeStamp | None = None
    """With `--timestamp`, what the authority answered."""
    path: str
    """The ledger's file."""


class NamedClass(Record):
    """A class by id and name."""

    id: int
    """Its id."""
    name: str


class ReceiptModel(Record):
    """The bottleneck that a request is about."""

    train: str
    """Its fingerprint."""
    seed: int
    before_sha256: str | None
    """Hash before the request."""
    after_sha256: str | None
    """Hash after it."""
    of: str
    """What the two hashes are taken over."""


class ReceiptMeasure(Record):
    """An accuracy as it was measured when the request was opened; without its numbers where there were no samples."""

    absent: ClassVar[frozenset[str]] = frozenset({"accuracy", "low", "high", "correct", "samples"})

    what: Literal["forget", "retain"]
    """On the request's classes, or on those that stay."""
    split: str
    """On which data."""
    when: Literal["before", "after"]
    """Before or after masking."""
    accuracy: float | None = None
    """The share that was predicted correctly."""
    low: float | None = None
    high: float | None = None
    correct: int | None = None
    samples: int | None = None


class ReceiptSeconds(Record):
    """Seconds that masking, all of `forget`, and the purge took."""

    masking: float
    """Ranking and masking."""
    forget: float
    """All of `forget`."""
    purge: float | None
    """The purge; None where there was none."""


class ReceiptTimes(Record):
    """When what was done."""

    forgotten: str
    """When it was masked."""
    restored: str | None
    purged: str | None
    """When it was purged."""
    issued: str
    """When the receipt was written."""


class Receipt(Record):
    """One request: what it was to forget, what was done, and what was measured: `receipts/<id>.json`."""

    model_config = ConfigDict(extra="allow")  # one that a later version issued is still shown
    absent: ClassVar[frozenset[str]] = frozenset({"level", "level_in_words", "samples", "samples_sha256"})

    request: str
    state: State
    """masked, purged or restored."""
    level: Level | None = None
    """hidden, erased or exact; None once it was restored, and in receipts of earlier versions."""
    level_in_words: str | None = None
    """What that means."""
    samples: int | None = None
    """Single samples that it forgets; None where it forgets classes."""
    samples_sha256: str | None = None
    """Of the file of their row numbers."""
    classes: list[NamedClass]
    model: ReceiptModel
    method: str
    settings: MaskSettings
    masked: int
    pairs_total: int
    measures: list[ReceiptMeasure]
    purge: PurgeRecord | None
    seconds: ReceiptSeconds
    times: ReceiptTimes
    versions: dict[str, str]
    """Package -> version."""
    previous: str
    """Hash of the ledger's last entry before this receipt."""
    done: list[str]
    """What was done, in sentences."""
    not_claimed: list[str]
    """What a reader might think and is not said."""


class ReceiptEntry(Receipt):
    """A receipt in `--json`, with its place in the ledger."""

    absent: ClassVar[frozenset[str]] = Receipt.absent | {"envelope"}

    receipt_sha256: str
    """Hash of its JSON file."""
    entry: int
    """Number of its entry in the ledger."""
    head: str
    """Hash of that entry: kept elsewhere, `dkvb ledger --expect HASH` shows that nothing before it was changed."""
    envelope: str | None = None
    """The receipt as a signed statement; None where there is no key."""
    path: str
    """The JSON file."""
    page: str
    """The same as an HTML page."""
    skipped: bool
    """Whether nothing had changed since it was issued."""
