"""What `dkvb status` and `dkvb doctor` return."""

from __future__ import annotations

from typing import ClassVar, Literal

from dkvb.records.base import Record
from dkvb.records.levels import Level


class ArtifactStatus(Record):
    """An artifact of the recipe and how far it has come."""

    stage: str
    what: str
    state: Literal["done", "unfinished", "missing"]
    """"unfinished": begun, and stopped before its end."""
    bytes: int
    """Size on disk."""
    seconds: float
    path: str | None
    """The artifact's folder; None while there is none."""
    fingerprint: str | None
    """Hash of its settings and of all that it is made from."""


class RequestStatus(Record):
    """A deletion request, as `dkvb status` lists it."""

    id: str
    """Id of the request."""
    classes: list[int]
    names: list[str]
    state: str
    """masked, purged or restored."""
    level: Level | None
    """How it is forgotten: hidden, erased or exact; None once it was restored."""
    level_in_words: str | None
    """What that means."""
    samples: int | None
    """Single samples that it forgets; None where it forgets classes."""
    masked: int
    created: str
    """When it was opened."""
    seed: int
    of_recipe: bool
    """Whether it belongs to a model of the recipe."""
    purging: bool
    """Whether a purge was begun and has not ended."""


class Capacity(Record):
    """How much room the requests of one seed's model have left for more."""

    seed: int
    classes: list[int]
    """Classes that it forgets already."""
    allowed: float
    """Share of all pairs that no request masks."""
    least: int
    """Unmasked pairs in the codebook that has fewest."""
    pairs: int
    """Pairs in each codebook."""
    dry: list[int]
    """Codebooks that run dry."""
    warning: str | None
    """What to do about them; None where no codebook runs dry."""


class Problem(Record):
    """Something that is not as it was written, or that does not fit what it was made from."""

    stage: str
    """The stage; or requests, ledger, receipts, recipe, report or export."""
    where: str
    """The file, or the folder where more than one is concerned."""
    what: str
    """What is wrong, in words."""
    remedy: str
    """What to do about it."""


class Unchecked(Record):
    """Something that cannot be checked in full."""

    where: str
    """Its folder."""
    why: str
    """Why not."""


class FileCheck(Record):
    """All files of a workspace, compared with what was written down of them."""

    absent: ClassVar[frozenset[str]] = frozenset({"healed", "sealed"})

    files: int
    """Files of artifacts that were looked at."""
    bytes: int
    """Their size."""
    seconds: float
    problems: list[Problem]
    unchecked: list[Unchecked]
    """What an earlier version wrote; of its arrays the checksums that they carry themselves were checked, which do not
    say whose they are."""
    healed: list[Problem] | None = None
    """What was wrong and was mended; with --heal."""
    sealed: list[Unchecked] | None = None
    """What got hashes, of its files as they are now; with --heal."""


class Status(Record):
    """What of a recipe is done, and what to run next."""

    absent: ClassVar[frozenset[str]] = frozenset({"check"})

    check: FileCheck | None = None
    """With --check or --heal."""
    status: list[ArtifactStatus]
    requests: list[RequestStatus]
    capacity: list[Capacity]
    next: str
    """The command to run next."""


class DoctorCheck(Record):
    """One check of the machine."""

    check: str
    ok: bool
    """Whether it is as it has to be."""
    detail: str
    """What is there, or what is missing and how to get it."""
