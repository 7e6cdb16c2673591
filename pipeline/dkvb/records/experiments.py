"""What the experiments return: `dkvb membership` and `dkvb reproduce`."""

from __future__ import annotations

from typing import ClassVar, Literal

from dkvb.records.accuracies import Model, Share
from dkvb.records.base import Record


class MembershipResult(Record):
    """Class membership inference on one unlearned model. A defence is as good as forgetting can be where the attacker
    is right as often as against a model that was retrained without the class."""

    absent: ClassVar[frozenset[str]] = frozenset(
        {"shift", "forest_test", "from_retrained", "forest_from_retrained", "skipped", "artifact"}
    )

    seed: int
    method: str
    model: Model
    forget: list[int]
    forget_names: list[str]
    held_out: int
    """Id of the class that took no part in training."""
    held_out_name: str
    """Its name."""
    n: int | None
    n_name: str
    shift: float | None = None
    """What the logit shift subtracts from the forgotten classes' logits."""
    attack_test: float
    """Share of test samples of which the attacker, a logistic regression on the loss, tells rightly whether their class
    was trained on."""
    attack_validation: float
    """The same of the samples on which the attacker was chosen."""
    forest_test: float | None = None
    """The same of a random forest on loss, confidence and entropy; version 0.1 had none."""
    loss_validation_forget: float
    """Mean cross-entropy of the split's samples of the forget or the held-out class."""
    loss_validation_held_out: float
    """The same of the held-out class."""
    loss_test_forget: float
    """The same on test data."""
    loss_test_held_out: float
    """The same on test data."""
    retain_test: Share
    seconds: float
    note: str | None
    """What a user should know about this result."""
    from_retrained: float | None = None
    """|attack_test - that of the model retrained without the class|; None where that was not attacked. Of entries
    alone, as the next."""
    forest_from_retrained: float | None = None
    """The same of the forest."""
    skipped: bool | None = None
    artifact: str | None = None


EstimateFrom = Literal["workspace", "machine"]

StepState = Literal["done", "missing", "skipped", "failed"]


class PlanStep(Record):
    """One step of the plan of the paper's experiments. Estimates are of steps that are missing, and with --dry-run of
    those as well whose data are not here, by the data's published size."""

    absent: ClassVar[frozenset[str]] = frozenset({"estimate_memory_bytes"})

    data: str
    """Name of the recipe."""
    step: str
    """embed, quantize, train, an unlearning method, or membership."""
    seed: int | None
    state: StepState
    seconds: float | None
    """What it took, where it was done just now."""
    estimate_seconds: float | None
    """Seconds that it will take."""
    estimate_bytes: int | None
    """Disk space that it will take."""
    estimate_memory_bytes: int | None = None
    """Memory that its process will take at the most."""
    estimate_from: EstimateFrom | None
    """What the estimate of time rests on: "workspace", steps that ran there, scaled by size, or "machine", a
    measurement of this machine made now."""
    why: str | None
    """Why it was skipped, or how it failed."""
