"""What `dkvb train` returns, and what a model trained without the forget classes keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from dkvb.records.accuracies import Model, Share
from dkvb.records.base import Record


class ConvergedHead(Record):
    """The linear head that is trained to convergence: in place of the recipe's epochs, or beside them."""

    iterations: int
    """Iterations of the solver."""
    seconds: float
    train: float
    per_class_train: list[Share]
    test: float
    per_class_test: list[Share]


class TrainResult(Record):
    """A trained model of one seed: the bottleneck's values, or the linear head."""

    absent: ClassVar[frozenset[str]] = frozenset(
        {"selected_pairs", "converged", "until", "purged", "purged_samples", "seconds", "skipped", "artifact"}
    )

    seed: int
    model: Model
    train: float
    test: float
    per_class_train: list[Share]
    per_class_test: list[Share]
    misclassified_test: list[int]
    """Wrong test predictions of each class."""
    tested: list[int]
    """Test samples of each class."""
    classes: list[str]
    """Names of all classes."""
    parameters: int
    """Trained parameters."""
    selected_pairs: int | None = None
    """Pairs that some training sample selected in the last epoch; of the bottleneck."""
    converged: ConvergedHead | None = None
    until: Literal["converged"] | None = None
    """"converged" where the linear head itself was trained to convergence, rather than one beside it."""
    purged: list[int] | None = None
    purged_samples: int | None = None
    """Single samples that were purged."""
    seconds: float | None = None
    skipped: bool | None = None
    artifact: str | None = None

    def test_accuracy(self, classes: Sequence[int]) -> float | None:
        """Test accuracy in [0, 1] over the samples of some classes; None where there are none."""
        tested = sum(self.tested[c] for c in classes)
        return 1 - sum(self.misclassified_test[c] for c in classes) / tested if tested else None


class RetrainedResult(Record):
    """A model that was trained from scratch without the forget classes (the oracle)."""

    absent: ClassVar[frozenset[str]] = frozenset({"flops_adam"})

    what: Literal["retrain", "retrain-keys", "retrain-linear"]
    forget: list[int]
    seed: int
    seconds: float
    """What training took, fitting new keys included."""
    flops: int
    flops_adam: int | None = None
    """Of `flops`, those of Adam; None in results of version 0.1, whose `flops` leave them out."""
