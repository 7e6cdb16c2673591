"""What masking some classes does to a trained bottleneck, measured."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from dkvb.records.accuracies import Accuracies
from dkvb.records.base import Record

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
    """Training samples on which `retain_train` was measured: at most 2,000, evenly spaced; None in requests of version
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
