"""What `dkvb verify` finds on the forgotten classes of one trained bottleneck."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from pydantic import Field

from dkvb.records.base import Record
from dkvb.records.levels import Level
from dkvb.records.proportions import Accuracy, Difference, SplitAccuracy
from dkvb.records.purges import State

CheckState = Literal["passed", "failed", "not-shown"]
"""Failed: more than the limit; not-shown: the interval of what was measured crosses the limit, so that these samples
show neither."""


def in_words(state: CheckState) -> str:
    """A state as people read it."""
    return state.replace("-", " ")


def together(states: Iterable[CheckState]) -> CheckState:
    """Failed where one is failed, else not shown where one is not shown, else passed."""
    known = set(states)
    return "failed" if "failed" in known else "not-shown" if "not-shown" in known else "passed"


class Check(Record):
    """One measure against its limit."""

    absent: ClassVar[frozenset[str]] = frozenset({"low", "high"})

    name: str
    """Name of the check."""
    state: CheckState
    """passed, failed, or not-shown: the interval crosses the limit."""
    sentence: str
    """What was measured, against what, and what follows."""
    passed: bool
    """Whether the state is passed."""
    value: float | None
    """None where it could not be measured."""
    low: float | None = None
    high: float | None = None
    """Ends of its interval."""
    threshold: float
    """The limit."""
    unit: Literal["share", "number"] = "share"
    """Whether value and limit are shares or differences of shares, to be shown in percent."""
    detail: str
    """What was measured, in figures."""


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
    level: Level | None = None
    """The level at which its classes are forgotten now."""
    level_in_words: str | None = None
    """What that level means."""


class RetainBefore(Record):
    """What training measured, before anything was forgotten."""

    retain: Accuracy | None
    """On the classes that stay; None where the model's manifest does not say."""


class VerdictAccuracy(Record):
    """Accuracies of the model under the masks of its requests alone: labels of forgotten classes are among the answers,
    which `dkvb predict`, `dkvb.load` and exports leave out."""

    absent: ClassVar[frozenset[str]] = frozenset({"validation", "train"})

    test: SplitAccuracy
    validation: SplitAccuracy | None = None
    train: SplitAccuracy | None = None
    """Of the forgotten classes alone, from which the model learned."""
    before: RetainBefore


class OracleDifference(Record):
    """Test accuracy of the model less that of the oracle."""

    retain: Difference | None
    forget: Difference | None


class OracleRecord(Record):
    """The model that was retrained on the retain set alone, with the same keys."""

    absent: ClassVar[frozenset[str]] = frozenset({"validation", "train"})

    artifact: str
    seconds: float
    test: SplitAccuracy
    validation: SplitAccuracy | None = None
    train: SplitAccuracy | None = None
    """Of the forgotten classes alone."""
    difference: OracleDifference


class Destination(Record):
    """Where the samples of a forgotten class go: what they are taken for, and how far the probabilities of the retained
    classes are from the oracle's."""

    class_id: int = Field(alias="class")
    samples: int
    unlearned: list[float]
    """(L,) share of its test samples that this model, with its mask alone, takes for each class."""
    oracle: list[float]
    """(L,) the same of the oracle."""
    total_variation: float | None
    """Distance of the two in [0, 1]; None without samples."""
    distance_on: Literal["test", "train", "validation"] | None
    """The split whose rows of the class the distances are means over; None where it has none."""
    distance_rows: int
    """How many these are."""
    distance: float | None
    """Mean total variation, in [0, 1], between this model's and the oracle's probabilities of the retained classes (the
    softmax over these alone)."""
    distance_null: float | None
    """The same between the oracle and a second one, trained from another seed; None where none was trained."""
    distance_before: float | None
    """The same between the model before it forgot anything and the oracle; None where masked values are gone."""
    sentence: str
    """The same in words."""


class BeforePurge(Record):
    """What was measured of a class before its rows were purged, after which nothing can be."""

    class_id: int = Field(alias="class")
    name: str
    request: str
    """The request that was purged."""
    by: Literal["verify", "forget"]
    """What measured it: the last verification before the purge, or the opening of the request."""
    time: str
    """When."""
    test: float | None
    """Share of the class's test samples that were recognised under the mask."""
    validation: float | None
    """Of its validation samples."""
    train: float | None
    """Of its training samples; None where it was not measured."""
    sentence: str
    """The same in words."""


class RelearnRow(Record):
    """How well a forgotten class is known again after training on some of its samples: this model, with its mask alone,
    and the oracle."""

    absent: ClassVar[frozenset[str]] = frozenset({"unlearned_retain", "oracle_retain", "low", "high"})

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
    low: float | None = None
    high: float | None = None
    """Ends of its 95 % interval (Agresti and Min)."""
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
    verdict: CheckState
    """failed where a check failed, else not-shown where one shows nothing, else passed."""
    passed: bool
    """Whether no check failed: those that show nothing count as failed only with `--strict`."""
    checks_failed: int
    """Checks that failed."""
    checks_not_shown: int
    """Checks whose interval crosses their limit."""
    masked: int
    pairs_total: int
    requests: list[RequestState]
    checks: list[Check]
    accuracy: VerdictAccuracy
    oracle: OracleRecord
    destinations: dict[str, Destination]
    """By the class's name."""
    distance: float | None
    """Mean of the forgotten classes' distances to the oracle; None where none can be measured."""
    distance_null: float | None
    """The same between two oracles of different seeds; None where no second one was trained."""
    before_purge: list[BeforePurge] = Field(default_factory=list)
    """Of every class whose rows were purged: what was measured before."""
    relearning: list[RelearnRow]
    recovery: Recovery
    seconds: float
    mend: list[str] = Field(default_factory=list)
    """What to run where a class is remembered too well, a sentence per request."""
    recorded: bool | None = None
    """Whether the ledger holds the verdict now."""

    def failed_by(self, check: Check) -> Verdict:
        """The verdict with a failed check before its own."""
        update = {"checks": [check, *self.checks], "checks_failed": self.checks_failed + 1}
        return self.model_copy(update={**update, "verdict": "failed", "passed": False})

    @property
    def counted(self) -> str:
        """How many checks came out how, in words."""
        passed = len(self.checks) - self.checks_failed - self.checks_not_shown
        return f"{passed} passed, {self.checks_failed} failed, {self.checks_not_shown} not shown"
