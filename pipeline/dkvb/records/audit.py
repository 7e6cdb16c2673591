"""What an audit measures of unlearned models beside retrained ones, and the batches of models that it trains."""

from __future__ import annotations

from typing import ClassVar, Literal

from dkvb.records.base import Record

Direction = Literal["lower", "higher", "null"]
"""Which way is better: lower, higher, or the nearer to the null the better."""

Kind = Literal["values", "values-keys", "linear", "converged", "ridge"]
"""What is trained: values on the trained model's keys, values on keys that were fitted without the forgotten classes, a
linear head by epochs, one to convergence, or ridge regression on random features."""

Audited = Literal[Kind, "given"]
"""What an entry is of: a kind that is trained here, or outputs of somebody else's models."""

Role = Literal["original", "oracle", "shadow"]
"""Whether a model learned all classes, all but the forgotten ones, or a random half of the rows."""


class Measured(Record):
    """One measure of the unlearned models."""

    absent: ClassVar[frozenset[str]] = frozenset({"null_low", "null_high", "nothing", "separates"})

    name: str
    """Of the measure."""
    value: float
    """Mean over the unlearned models, or over points."""
    low: float | None
    """Lower end of its 95 % interval; None where there is none, as the note then says."""
    high: float | None
    """Upper end of it."""
    null: float | None
    """The same of retrained models, each beside the other ones: what a perfect unlearner has. None where there are too
    few of them."""
    null_low: float | None = None
    """Lower end of the middle 95 % of retrained models."""
    null_high: float | None = None
    """Upper end of it."""
    nothing: float | None = None
    """The same of the originals: what doing nothing has."""
    direction: Direction
    """Which way is better: lower, higher, or the nearer to the null."""
    separates: float | None = None
    """How well the measure tells an original from a retrained model: 1 always, 0.5 never. Where it does not, it says
    nothing of unlearned models either."""
    note: str
    """What it is, and what stands against reading more into it."""

    @property
    def at_null(self) -> bool | None:
        """Whether the interval meets the middle 95 % of retrained models; None where either is missing."""
        ends = self.low, self.high, self.null_low, self.null_high
        if any(end is None for end in ends):
            return None
        low, high, null_low, null_high = (float(end) for end in ends if end is not None)
        return low <= null_high and null_low <= high


class LeftOut(Record):
    """A measure that could not be taken."""

    name: str
    """Of the measure."""
    reason: str
    """Why, and what would be needed."""


class Judgement(Record):
    """All measures that the outputs of some models allow."""

    unlearned: int
    retrained: int
    originals: int
    """Models of each kind."""
    points: int
    """Rows that they were asked about."""
    measured: list[Measured]
    left_out: list[LeftOut]


class ModelBatch(Record):
    """A batch of models that were trained for an audit."""

    kind: Kind
    role: Role
    forget: list[int]
    """Ids of the classes that they never saw, or of shadow models are asked about; empty for originals."""
    seed: int
    """Of the data, the keys and the first model."""
    first: int
    models: int
    """The models `first` to `first + models - 1`."""
    seconds: list[float]
    """What each took to train."""
    kept: bool
    """Whether the models themselves are kept beside what they answer."""


class Attacked(Record):
    """U-LiRA on one method's shadow models."""

    absent: ClassVar[frozenset[str]] = frozenset({"measured", "left_out"})

    measured: Measured | None = None
    """How well the attacker did."""
    left_out: str | None = None
    """Why there is nothing, where there is not."""


class KindModels(Record):
    """How many models of a kind an audit trained, and what that took."""

    kind: Kind
    """What the models are."""
    originals: int
    """Each with a training seed of its own; methods start from these."""
    oracles: int
    """Retrained models that all others are compared with."""
    held_out: int
    """More retrained models, which stand in for a perfect method and are compared with the others."""
    seconds_originals: list[float]
    """What each took to train, whenever that was."""
    seconds_oracles: list[float]
    """The same of oracles, and after them of those held out."""


class AuditEntry(Record):
    """One method of an audit, on one kind of model."""

    absent: ClassVar[frozenset[str]] = frozenset({"skipped", "artifact"})

    method: str
    """Its name in the registry, or `original` and `retrained` for the two lines."""
    label: str
    """What people call it."""
    role: Literal["unlearned", "original", "retrained"]
    """A method; doing nothing; or retrained models that are held out, which no method can better."""
    model: Audited
    """What it unlearns from, and the kind of the retrained models that it is compared with."""
    family: str
    """masking, training or control, see `dkvb.entries.MethodEntry`."""
    rival: bool
    """Whether it is a published method that masking is compared with."""
    source: str | None
    """Where it was published; None for this package's own."""
    seed: int
    forget: list[int]
    models: int
    """Models that it was run on, each another original: measures are means over these, never over reruns from one."""
    settings: str | None
    """What was chosen, in words; None where there is nothing to choose."""
    measures: dict[str, Measured]
    """By name. What could not be measured is in `left_out`, and not here."""
    left_out: dict[str, str]
    """Name of a measure -> why it is missing, and what would be needed."""
    seconds: float | None
    """Of unlearning one model, its selections counted, without choosing settings; the median over models."""
    seconds_choosing: float | None
    """Of choosing its settings, once; None where there is nothing to choose."""
    flops: int | None
    """Floating-point operations of unlearning one model; None where that is not known."""
    bytes: int | None
    """What it keeps beside the model, a mask say, or in place of the model's weights; None where nothing is kept."""
    note: str | None
    """What a user should know about how it came about."""
    error: str | None
    """Why it failed, where it did: there are no measures then."""
    skipped: bool | None = None
    artifact: str | None = None

    @property
    def key(self) -> str:
        """Names it among the entries of an audit."""
        return f"{self.method}-{self.model}"


class AuditAbout(Record):
    """What was audited, and by how many models."""

    name: str
    """Of the recipe or, of other people's outputs, of their file."""
    data: str
    """Of the data set."""
    classes: list[str]
    """Names of all classes."""
    forget: list[int]
    forget_names: list[str]
    seed: int
    """Of the data split, the keys and the first model."""
    oracles: int
    """Retrained models that each entry is compared with."""
    unlearned: int
    """Models that each method was run on."""
    kinds: list[KindModels]
    points: int
    """Rows that models were asked about."""
    says: list[str]
    """What so many models can show and what not, a sentence each."""
    seconds: float
    """Of all of it, what an earlier run had done left out."""


class Audit(AuditAbout):
    """A whole audit: every method beside retrained models, for one seed and forget set."""

    absent: ClassVar[frozenset[str]] = frozenset({"skipped", "artifact"})

    entries: list[AuditEntry]
    """The two lines of each kind first, then methods."""
    skipped: bool | None = None
    artifact: str | None = None

    def of(self, method: str, model: Audited | None = None) -> AuditEntry | None:
        """The entry of a method, on a kind of model where it has several."""
        return next((e for e in self.entries if e.method == method and model in (None, e.model)), None)
