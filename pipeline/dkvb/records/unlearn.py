"""What `dkvb unlearn` returns: of a method, of its sweep over n, and of training on afterwards."""

from __future__ import annotations

from typing import ClassVar, Literal

from dkvb.records.accuracies import Accuracies, BeforeAndAfter, MaybeValidated, Model, Share
from dkvb.records.base import Record

Keeps = Literal["mask", "weights", "excluded", "nothing"]
"""What unlearning leaves on disk: masked pairs; weights, of the linear head or the bottleneck's values; classes whose
logits are minus infinity; or nothing of its own (a control)."""


class SweepPoint(MaybeValidated):
    """One point of a sweep: accuracies at one n, with `masked` pairs."""

    n: int
    masked: int
    retain_test: Share
    forget_test: Share


class TrainOnPoint(Accuracies):
    """Accuracies after `epoch` epochs of training on; epoch 0 is the unlearned model."""

    epoch: int
    """Epochs of training on so far."""


class UnlearnResult(Record):
    """One method on one forget set and seed; measured with the mask (or the weights) alone, labels of forgotten classes
    among the answers."""

    absent: ClassVar[frozenset[str]] = frozenset(
        {
            *("judged_on", "evaluations", "seconds_choose", "flops_adam", "best_on", "baseline", "keeps", "measures"),
            *("curve", "retraining", "skipped", "artifact"),
        }
    )

    method: str
    model: Model
    forget: list[int]
    forget_names: list[str]
    classes: list[str]
    """Names of all classes."""
    seed: int
    n: int
    n_name: str
    """What n counts: "N_v", "N_a", "N_e", "epochs", a rival's "setting", or "" where there is nothing to choose."""
    chosen: Literal["given", "validation", "test"]
    """By whom n was chosen: given by the recipe, or by the accuracy on this split."""
    judged_on: list[str] | None = None
    """Splits whose rows of the forget set decided n ("validation", "train"); None where n was given or read off a
    sweep."""
    evaluations: int | None = None
    """Masks under which those rows were looked at."""
    seconds_choose: float | None = None
    """Of choosing n, the sweep included where it was read off one; not in `seconds`. None where n was given."""
    masked: int
    activated: int | None
    """Pairs that the forget set selects."""
    pairs_total: int | None
    """Pairs of the bottleneck; None for the linear head."""
    seconds: float
    """Of unlearning itself, without counting selections and without measuring."""
    seconds_counts: float
    """Of counting the forget set's selections."""
    flops: int | None
    """Floating-point operations of unlearning itself."""
    flops_adam: int | None = None
    """Of `flops`, those of Adam; None in results of version 0.1, whose `flops` leave them out."""
    flops_counts: int
    """Those of counting selections."""
    seconds_evaluate: float
    """Of measuring."""
    note: str | None
    """What a user should know about this result."""
    not_in_paper: list[str]
    """Settings whose values the paper does not give."""
    keeps: Keeps | None = None
    """What the artifact keeps; version 0.1 did not say."""
    before: Accuracies
    per_class_before: list[Share]
    """Test accuracy of each class."""
    after: Accuracies
    per_class_after: list[Share]
    """The same after unlearning."""
    measures: dict[str, BeforeAndAfter] | None = None
    """The registry's metrics by name, on test data; version 0.1 had none."""
    curve: list[SweepPoint] | None = None
    """The sweep over n, where one was made."""
    retraining: list[TrainOnPoint] | None = None
    """The course of training on, where the recipe asks for it."""
    best_on: Literal["validation", "test"] | None = None
    """Split on which the class was chosen as the best learned; None where it was named. Of entries alone."""
    baseline: bool | None = None
    """Of a method on the linear head, whether the head had learned the class, without which it is no baseline (`note`
    says why); None for any other. Of entries alone."""
    skipped: bool | None = None
    artifact: str | None = None


class Sweep(Record):
    """Accuracies at every n of a grid; shared by every n that is chosen from it."""

    absent: ClassVar[frozenset[str]] = frozenset({"seconds"})

    method: str
    model: Model
    forget: list[int]
    seed: int
    n_name: str
    grid: list[int]
    points: list[SweepPoint]
    seconds: float | None = None
    """What it took; version 0.1 did not say."""


class TrainOn(Record):
    """Training on after unlearning, on the retain set."""

    absent: ClassVar[frozenset[str]] = frozenset({"from_original"})

    method: str
    model: Model
    forget: list[int]
    forget_names: list[str]
    seed: int
    n: int
    n_name: str
    epochs: int
    points: list[TrainOnPoint]
    from_original: list[TrainOnPoint] | None = None
    """SCRUB's whole course from the trained model on, where the paper's curve begins."""
