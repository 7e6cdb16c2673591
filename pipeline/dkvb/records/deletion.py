"""Deletion requests and their purge: what `request.json` holds and `dkvb forget`, `restore` and `purge` print.

Masking            what masking some classes does, measured
  Plan             `forget --plan --json`: nothing was opened
  RequestFields    a request was opened; later restored or purged
    RequestRecord  `requests/<id>/request.json`
    RequestEntry   the same in `--json`
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from dkvb.records.accuracies import Accuracies
from dkvb.records.base import Record
from dkvb.records.levels import NEW_KEYS, UNPURGED, WORDS, Level

State = Literal["masked", "purged", "restored"]
Keys = Literal["keep", "reinit"]
"""What a purge does with the keys: keep them, or fit them anew to the rows that stay."""

Shares = list[float | None]
"""(L,) accuracy of each class; None where it has no samples."""


class MaskSettings(Record):
    """N, and all else on which the choice of the masked pairs rests."""

    absent: ClassVar[frozenset[str]] = frozenset({"target", "judged_on"})
    model_config = ConfigDict(extra="allow")  # a method may have settings of its own

    n: int
    n_name: str
    """"N_v", "N_a" or "N_e"."""
    given: int | str
    """N as the recipe has it: a number, or "auto"."""
    target: Literal["chance", "zero"] | None = None
    """What "auto" aimed at; None where N was given, and in requests of version 0.1."""
    judged_on: list[str] | None = None
    """Splits whose rows of these classes decided N; empty where there were no such rows."""


class CorrectCounts(Record):
    """(L,) correct predictions and samples of each class, before and after masking."""

    absent: ClassVar[frozenset[str]] = frozenset({"validation_before", "validation_after", "validation_total"})

    test_before: list[int]
    """On test data, before."""
    test_after: list[int]
    """On test data, after."""
    test_total: list[int]
    """Test samples."""
    validation_before: list[int] | None = None
    """On validation data, before."""
    validation_after: list[int] | None = None
    """On validation data, after."""
    validation_total: list[int] | None = None
    """Validation samples."""

    def of(self, split: str, what: Literal["before", "after", "total"]) -> list[int] | None:
        """Those of a split ("test" or "validation"); None where there is no validation data."""
        counts: list[int] | None = getattr(self, f"{split}_{what}")
        return counts


class TopUp(Record):
    """A request's N was raised, since its classes were recognised again under what another request changed."""

    request: str
    """The request whose N was raised."""
    cause: str
    """Id of the request that was opened, restored or purged."""
    names: list[str]
    """Classes of the request."""
    recognised: float
    """Highest share of a class's validation or training rows that were recognised before."""
    n_before: int
    """N before."""
    n: int
    """N now."""
    pairs: int
    """Pairs that it masks beside those that it masked before."""
    mask_sha256: str | None = None
    """Of the file that holds them; None in a plan."""


class Looked(Record):
    """What is recognised of a forgotten class under all masks together."""

    class_id: int = Field(alias="class")
    """Id of the class."""
    name: str
    """Its name."""
    request: str | None
    """The request that forgets it; None for one that is not opened yet."""
    recognised: dict[str, float]
    """Split ("validation", "train") -> share of its rows that are recognised; empty where it has none to look at, as
    after a purge."""


class Masking(Record):
    """What masking some classes does to a trained bottleneck in which others may be masked already.

    `before` and `after` are accuracies on these classes (forget) and on those that no request forgets (retain), with
    the mask alone: labels of forgotten classes are among the answers, which `dkvb predict` and exports leave out.
    """

    absent: ClassVar[frozenset[str]] = frozenset(
        {"per_class_validation_before", "per_class_validation_after", "retain_train_rows", "looked", "raised"}
    )

    names: list[str]
    classes: list[int]
    """Ids of the classes."""
    seed: int
    method: str
    settings: MaskSettings
    masked: int
    """Pairs that this masks."""
    newly_masked: int
    """Pairs among them that no earlier request masks."""
    masked_together: int
    """Pairs that this and all earlier requests mask."""
    allowed: int
    """Pairs that are left."""
    pairs_total: int
    earlier: list[int]
    """Ids of the classes that were forgotten before."""
    model_before_sha256: str
    """Hash of the model under the earlier masks."""
    model_after_sha256: str
    """Hash of the model under this mask as well."""
    before: Accuracies
    after: Accuracies
    retain_train_rows: int | None = None
    """Training samples on which `retain_train` was measured: at most 5,000, evenly spaced; None in requests of version
    0.1, which measured all."""
    correct: CorrectCounts
    per_class_test_before: Shares
    """(L,) test accuracy before."""
    per_class_test_after: Shares
    """(L,) test accuracy after."""
    per_class_validation_before: Shares | None = None
    """(L,) validation accuracy before."""
    per_class_validation_after: Shares | None = None
    """(L,) validation accuracy after."""
    looked: list[Looked] | None = None
    """Every forgotten class, these and those of earlier requests, under all masks together."""
    raised: list[TopUp] | None = None
    """Earlier requests whose N had to be raised for this one."""
    note: str | None = None
    """What a user should know about the N that was chosen."""
    seconds: float
    """Ranking and masking."""
    seconds_total: float
    """All of it, choosing N and measuring included."""


class Harmed(Record):
    """A retained class that loses accuracy by a plan."""

    class_id: int = Field(alias="class")
    name: str
    split: str
    """On what it was measured: "validation", or "test" where there is no validation data."""
    before: float
    """Its accuracy now."""
    after: float
    """Its accuracy under the plan."""
    lost: float
    """The difference."""


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


class SplitRows(Record):
    """Rows of the request's classes in the stored features."""

    train: int
    """Rows of the training set."""
    test: int
    """Rows of the test set."""


class Scan(Record):
    """A search of all files for rows that were erased."""

    files: int
    bytes: int
    """Their size, unpacked."""
    needles: int
    """Marks (salted hashes) of erased rows and values that were looked for."""
    found: dict[str, int]
    """File -> how many of the rows it holds."""
    unreadable: list[str]
    """Files that could not be looked at, and why."""


class Erased(Record):
    """Names of the artifacts that a purge changed or deleted."""

    values: dict[str, int]
    """Bottleneck -> pairs whose values were zeroed."""
    codes: list[str]
    """Their codes of the classes' samples were erased."""
    heads: list[str]
    """Their rows of the classes were zeroed in the linear head."""
    artifacts: list[str]
    """Deleted: trained with the classes, or unfinished."""


class PurgePlan(Record):
    """What a purge would do."""

    request: str
    state: State
    names: list[str]
    samples: int | None = None
    """Single samples; None where classes are purged."""
    models_deleted: list[str]
    """Models that still know one of the classes or samples."""
    keys: Keys | None
    """How a purge that was cut short treats the keys; None where none was begun."""

    @property
    def what(self) -> str:
        """What it erases, in words."""
        return ", ".join(self.names) if self.samples is None else f"{self.samples:,} samples"


class PurgeBegun(Record):
    """A purge that is under way, or was cut short: what `dkvb purge` needs to end it."""

    absent: ClassVar[frozenset[str]] = frozenset({"deleted", "done", "scan", "exact"})

    stage: Literal["erase", "reinit", "close"]
    """The step that comes next."""
    keys: Keys
    """Whether keys are kept or fitted anew."""
    started: str
    """When it began."""
    rows: SplitRows
    """Rows that were erased."""
    shared_rows: int
    """Rows that are equal to rows that stay, and can therefore not be looked for."""
    before_sha256: str
    """Of the file of values."""
    together: list[str]
    """Ids of the requests that are purged with it, its own among them."""
    deleted: list[str] | None = None
    """Bottlenecks that were deleted because they still knew the classes."""
    exact: dict[str, str] | None = None
    """Bottleneck (its fingerprint) -> hash of the values, trained without what is purged, that take the place of its
    own; they lie in the request's folder until the purge has ended."""
    done: Erased | None = None
    scan: Scan | None = None


class PurgeRecord(Record):
    """A purge that has ended."""

    absent: ClassVar[frozenset[str]] = frozenset({"exact"})

    keys: Keys
    """Whether keys were kept or fitted anew."""
    started: str
    """When it began."""
    rows: SplitRows
    """Rows that were erased."""
    shared_rows: int
    """Rows that are equal to rows that stay, and could therefore not be looked for."""
    deleted: list[str]
    """Models that were deleted because they still knew the classes or samples."""
    exact: dict[str, str] | None = None
    """Bottleneck (its fingerprint) -> hash of the values, trained without what was purged, that took the place of its
    own."""
    done: Erased
    scan: Scan
    before_sha256: str
    """Hash of the file of values before."""
    together: list[str]
    """Ids of the requests that were purged with it, its own among them."""
    finished: str
    """When it ended."""
    seconds: float
    after_sha256: str | None
    """Of the file of values; None where that model is gone."""


class RequestFields(Masking):
    """What a request's file and its `--json` entry have in common."""

    model_config = ConfigDict(extra="allow")  # fields of a later version are kept when the file is written again
    absent: ClassVar[frozenset[str]] = Masking.absent | {
        *("note", "unrecorded", "restored", "purging", "purge", "masked_before_reinit", "topped_up"),
        *("level", "exact", "samples"),
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


class RequestRecord(RequestFields):
    """What `request.json` holds."""

    id: str
    train: str
    """Fingerprint of the trained bottleneck."""
    mask_sha256: str
    """Of `mask.safetensors`."""

    def entry(self, skipped: bool) -> RequestEntry:
        """Its entry in `--json`. `skipped`: there was nothing left to do."""
        fields: dict[str, Any] = {name: value for name, value in self if name not in ("id", "train", "mask_sha256")}
        return RequestEntry(request=self.id, skipped=skipped, **fields)


class RequestEntry(RequestFields):
    """A request in `--json`."""

    request: str
    skipped: bool
