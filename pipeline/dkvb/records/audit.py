"""What an audit measures of unlearned models beside retrained ones, and the batches of models that it trains."""

from __future__ import annotations

from typing import ClassVar, Literal

from dkvb.records.base import Record

Direction = Literal["lower", "higher", "null"]
"""Which way is better: lower, higher, or the nearer to the null the better."""

Kind = Literal["values", "values-keys", "linear", "converged", "ridge"]
"""What is trained: values on the trained model's keys, values on keys that were fitted without the forgotten classes, a
linear head by epochs, one to convergence, or ridge regression on random features."""

Role = Literal["original", "oracle"]
"""Whether a model learned all classes, or all but the forgotten ones."""


class Measured(Record):
    """One measure of the unlearned models."""

    absent: ClassVar[frozenset[str]] = frozenset({"null_low", "null_high", "nothing", "separates"})

    name: str
    value: float
    """Mean over the unlearned models, or over points."""
    low: float | None
    high: float | None
    """Ends of its 95 % interval; None where there is none, as the note then says."""
    null: float | None
    """The same of retrained models, each beside the other ones: what a perfect unlearner has. None where there are too
    few of them."""
    null_low: float | None = None
    null_high: float | None = None
    """The middle 95 % of retrained models."""
    nothing: float | None = None
    """The same of the originals: what doing nothing has."""
    direction: Direction
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
    """Ids of the classes that they never saw; empty for originals."""
    seed: int
    """Of the data, the keys and the first model."""
    first: int
    models: int
    """The models `first` to `first + models - 1`."""
    seconds: list[float]
    """What each took to train."""
    kept: bool
    """Whether the models themselves are kept beside what they answer."""
