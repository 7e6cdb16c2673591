"""What a purge would do, what one that is under way keeps, and what one that has ended erased."""

from __future__ import annotations

from typing import ClassVar, Literal

from dkvb.records.base import Record

State = Literal["masked", "purged", "restored"]
Keys = Literal["keep", "reinit"]
"""What a purge does with the keys: keep them, or fit them anew to the rows that stay."""


class SplitRows(Record):
    """Rows of the request's classes in the stored features."""

    train: int
    """Rows of the training set."""
    test: int
    """Rows of the test set."""


class Scan(Record):
    """A search of all files for rows that were erased."""

    absent: ClassVar[frozenset[str]] = frozenset({"names", "named"})

    files: int
    bytes: int
    """Their size, unpacked."""
    needles: int
    """Marks (salted hashes) of erased rows and values that were looked for."""
    names: int | None = None
    """Erased samples that were also looked for by id and file name; None in purges of earlier versions."""
    found: dict[str, int]
    """File -> how many of the rows it holds."""
    named: dict[str, int] | None = None
    """File -> how many of the samples it names."""
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

    absent: ClassVar[frozenset[str]] = frozenset(
        {"deleted", "artifacts", "done", "scan", "exact", "unfit", "unnamed_rows"}
    )

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
    unnamed_rows: int | None = None
    """Rows whose ids are too short, or those of rows that stay as well, to be looked for."""
    before_sha256: str
    """Of the file of values."""
    together: list[str]
    """Ids of the requests that are purged with it, its own among them."""
    deleted: list[str] | None = None
    """Models that are deleted because they still know the classes or samples: written down before any of them goes."""
    artifacts: list[str] | None = None
    """What else is deleted, likewise: trained with the classes, unfinished, or made anew."""
    exact: dict[str, str] | None = None
    """Bottleneck (its fingerprint) -> hash of the values, trained without what is purged, that take the place of its
    own; they lie in the request's folder until the purge has ended."""
    unfit: list[str] | None = None
    """Artifacts and requests that did not fit what they were made from before; they are not made to."""
    done: Erased | None = None
    scan: Scan | None = None


class PurgeRecord(Record):
    """A purge that has ended."""

    absent: ClassVar[frozenset[str]] = frozenset({"exact", "unnamed_rows"})

    keys: Keys
    """Whether keys were kept or fitted anew."""
    started: str
    """When it began."""
    rows: SplitRows
    """Rows that were erased."""
    shared_rows: int
    """Rows that are equal to rows that stay, and could therefore not be looked for."""
    unnamed_rows: int | None = None
    """Rows whose ids were too short, or those of rows that stay as well, to be looked for; None in purges of earlier
    versions."""
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
