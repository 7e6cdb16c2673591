"""What `dkvb verify` finds on the forgotten classes of one trained bottleneck."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from dkvb.records.base import Record
from dkvb.records.deletion import State
from dkvb.records.proportions import Accuracy, Difference, SplitAccuracy


class Check(Record):
    """One measure against its limit."""

    name: str
    """Name of the check."""
    passed: bool
    value: float | None
    """None where it could not be measured, which is not passed."""
    threshold: float
    """The limit."""
    detail: str
    """What was measured, in words."""


class RequestState(Record):
    """A request whose classes the verdict is about."""

    id: str
    """Id of the request."""
    classes: list[int]
    state: State
    """masked, purged or restored."""
    masked: int
    """Pairs that it masks."""
    erased: float | None
    """The share of them whose values are gone; None where it masks none."""


class RetainBefore(Record):
    """What training measured, before anything was forgotten."""

    retain: Accuracy | None
    """On the classes that stay; None where the model's manifest does not say."""


class VerdictAccuracy(Record):
    """Accuracies of the model under the masks of its requests alone: labels of forgotten classes are among the answers,
    which `dkvb predict`, `dkvb.load` and exports leave out."""

    absent: ClassVar[frozenset[str]] = frozenset({"validation"})

    test: SplitAccuracy
    validation: SplitAccuracy | None = None
    before: RetainBefore


class OracleDifference(Record):
    """Test accuracy of the model less that of the oracle."""

    retain: Difference | None
    forget: Difference | None


class OracleRecord(Record):
    """The model that was retrained on the retain set alone, with the same keys."""

    absent: ClassVar[frozenset[str]] = frozenset({"validation"})

    artifact: str
    seconds: float
    test: SplitAccuracy
    validation: SplitAccuracy | None = None
    difference: OracleDifference


class Destination(Record):
    """What the test samples of a forgotten class are taken for."""

    class_id: int = Field(alias="class")
    samples: int
    unlearned: list[float]
    """(L,) share of them that this model, with its mask alone, takes for each class."""
    oracle: list[float]
    """(L,) the same of the oracle."""
    total_variation: float | None
    """Distance of the two in [0, 1]; None without samples."""


class RelearnRow(Record):
    """How well a forgotten class is known again after training on some of its samples: this model, with its mask alone,
    and the oracle."""

    absent: ClassVar[frozenset[str]] = frozenset({"unlearned_retain", "oracle_retain"})

    class_id: int = Field(alias="class")
    name: str
    samples: int
    """Samples of the class that were called for."""
    used: int
    """Those that there were."""
    source: str
    """The split that they come from."""
    note: str | None = None
    """Where samples were missing."""
    unlearned_retain: Accuracy | None = None
    oracle_retain: Accuracy | None = None
    """On the classes that stay."""
    unlearned: Accuracy | None = None
    oracle: Accuracy | None = None
    """On the class itself; None where nothing could be measured."""
    difference: float | None = None
    """This model's accuracy less the oracle's."""
    ratio: float | None = None
    """None where the oracle's accuracy is 0."""


class Recovered(Record):
    """A forgotten class under the mask, and with the mask lifted."""

    class_id: int = Field(alias="class")
    masked: Accuracy | None
    unmasked: Accuracy | None
    """None where the values of all masked pairs are gone."""


class Recovery(Record):
    """What lifting the mask would bring back."""

    possible: bool
    """Whether values of masked pairs are still there."""
    erased: float | None
    """The share of masked pairs whose values are gone; None where none is masked."""
    detail: str
    """The same in words."""
    classes: dict[str, Recovered]
    """By the class's name."""


class Verdict(Record):
    """The verdict on one trained bottleneck."""

    absent: ClassVar[frozenset[str]] = frozenset({"recorded"})

    seed: int
    classes: list[int]
    """Ids of all forgotten classes."""
    names: list[str]
    labels: list[str]
    """Names of all classes."""
    passed: bool
    """Whether every check that could be made was passed, and one was made of every class."""
    masked: int
    pairs_total: int
    requests: list[RequestState]
    checks: list[Check]
    accuracy: VerdictAccuracy
    oracle: OracleRecord
    destinations: dict[str, Destination]
    """By the class's name."""
    relearning: list[RelearnRow]
    recovery: Recovery
    seconds: float
    mend: list[str] = Field(default_factory=list)
    """What to run where a class is remembered too well, a sentence per request."""
    recorded: bool | None = None
    """Whether the ledger holds the verdict now."""
