"""What the five stages and the experiments return, as records.

Each is at once an entry of `--json` and the `result` of a manifest. Fields that only an entry has (`skipped`,
`artifact`, …) are left out of manifests. Accuracies are shares in [0, 1], None where there are no samples.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from dkvb.records.base import Record

Model = Literal["dkvb", "linear"]

Keeps = Literal["mask", "weights", "excluded", "nothing"]
"""What unlearning leaves on disk: masked pairs; weights, of the linear head or the bottleneck's values; classes whose
logits are minus infinity; or nothing of its own (a control)."""

Role = Literal["retain", "forget"]

Share = float | None
"""An accuracy in [0, 1]; None where there are no samples."""


class _MaybeValidated(Record):
    """Accuracies on validation data are left out of the dump where the recipe keeps no validation data."""

    retain_validation: Share = None
    forget_validation: Share = None

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        validated = (self.retain_validation, self.forget_validation) != (None, None)
        return {name: value for name, value in dump(self).items() if validated or not name.endswith("_validation")}

    def of(self, role: Role, split: str) -> Share:
        """The accuracy on the retain or forget classes of a split ("test", "train" or "validation").

        Raises:
            AttributeError: it is not measured on this split.
        """
        return getattr(self, f"{role}_{split}")  # type: ignore[no-any-return]


class BeforeAndAfter(Record):
    """A metric before and after unlearning, None where it cannot be measured."""

    before: float | None
    after: float | None


class Accuracies(_MaybeValidated):
    """Accuracy on retain and forget classes of train, test and, where it was measured, validation data."""

    retain_test: Share
    forget_test: Share
    retain_train: Share
    forget_train: Share


class SweepPoint(_MaybeValidated):
    """One point of a sweep: accuracies at one n, with `masked` pairs."""

    n: int
    masked: int
    retain_test: Share
    forget_test: Share


class TrainOnPoint(Accuracies):
    """Accuracies after `epoch` epochs of training on; epoch 0 is the unlearned model."""

    epoch: int


class Leaks(Record):
    """Content that occurs more than once in the data; an example is a pair of ids."""

    any: bool
    """Whether accuracy or forgetting would be measured wrongly: content is shared, or has several labels."""
    rows: dict[str, int]
    """Rows checked, by split."""
    shared: int = 0
    """Test rows whose content is in train as well."""
    shared_contents: int = 0
    """Distinct contents among them."""
    across_classes: int = 0
    """Distinct contents that stand under more than one label, be it within a split or across the two."""
    duplicates: int = 0
    """Rows of train that repeat an earlier one, whatever its label. By itself no leak."""
    examples: dict[str, list[tuple[str, str]]] = Field(default_factory=dict)
    """Up to five pairs each for `shared` (train, test), `across_classes` ("train/3 (cat)", …) and `duplicates`."""


class EmbedResult(Record):
    """The features of a data set."""

    absent: ClassVar[frozenset[str]] = frozenset({"purged", "seconds", "skipped", "artifact"})

    source: str
    encoder: str | None
    """None where the data are features already."""
    train: int
    test: int
    """Rows of the split."""
    dim: int
    """D, the width of a feature."""
    mode: Literal["RGB", "L"] | None
    """In what mode images were read."""
    classes: list[str]
    weights_sha256: str | None
    """Hash of the encoder's weights."""
    unreadable: dict[str, list[str]]
    """Split -> what is wrong with each image that was left out."""
    leaks: Leaks
    leaks_in_words: str | None
    purged: list[int] | None = None
    """Classes whose rows were erased by `dkvb purge`."""
    seconds: float | None = None
    skipped: bool | None = None
    """Whether an earlier run had done it."""
    artifact: str | None = None
    """The artifact's folder."""


class EmbedPart(Record):
    """Some shards of a data set, by `--shard-range`, while shards of other ranges are still missing."""

    source: str
    encoder: str | None
    shards: int
    """Shards in all."""
    shards_left: list[int]
    """Shards that are not done yet."""
    skipped: bool = False


class QuantizeResult(Record):
    """The keys of one seed, and every sample's codes."""

    absent: ClassVar[frozenset[str]] = frozenset({"purged", "seconds", "skipped", "artifact"})

    seed: int
    codebooks: int
    pairs: int
    """Pairs in each codebook."""
    used: float
    """Share of keys that some training sample selects, as the mean over codebooks; so are the next three."""
    unique: float
    """Share of keys that are distinct."""
    dead: float
    """1 - `used`."""
    quantisation_error: float
    """Mean squared distance of a query to its nearest key, over the queries' variance."""
    purged: list[int] | None = None
    seconds: float | None = None
    skipped: bool | None = None
    artifact: str | None = None


class ConvergedHead(Record):
    """The linear head that is trained to convergence, beside the recipe's epochs."""

    iterations: int
    seconds: float
    train: float
    per_class_train: list[Share]
    test: float
    per_class_test: list[Share]


class TrainResult(Record):
    """A trained model of one seed: the bottleneck's values, or the linear head."""

    absent: ClassVar[frozenset[str]] = frozenset(
        {"selected_pairs", "converged", "purged", "seconds", "skipped", "artifact"}
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
    parameters: int
    selected_pairs: int | None = None
    """Pairs that some training sample selected in the last epoch; of the bottleneck."""
    converged: ConvergedHead | None = None
    purged: list[int] | None = None
    seconds: float | None = None
    skipped: bool | None = None
    artifact: str | None = None


class RetrainedResult(Record):
    """A model that was trained from scratch without the forget classes (the oracle)."""

    what: Literal["retrain", "retrain-keys", "retrain-linear"]
    forget: list[int]
    seed: int
    seconds: float
    """What training took, fitting new keys included."""
    flops: int


class UnlearnResult(Record):
    """One method on one forget set and seed."""

    absent: ClassVar[frozenset[str]] = frozenset({"keeps", "measures", "curve", "retraining", "skipped", "artifact"})

    method: str
    model: Model
    forget: list[int]
    forget_names: list[str]
    classes: list[str]
    seed: int
    n: int
    n_name: str
    """What n counts: "N_a", "N_e", "epochs", or "" where there is nothing to choose."""
    chosen: Literal["given", "validation", "test"]
    """By whom n was chosen: given by the recipe, or by the accuracy on this split."""
    masked: int
    activated: int | None
    """Pairs that the forget set selects."""
    pairs_total: int | None
    """Pairs of the bottleneck; None for the linear head."""
    seconds: float
    """Of unlearning itself, without counting selections and without measuring."""
    seconds_counts: float
    flops: int | None
    flops_counts: int
    seconds_evaluate: float
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
    measures: dict[str, BeforeAndAfter] | None = None
    """The registry's metrics by name, on test data; version 0.1 had none."""
    curve: list[SweepPoint] | None = None
    """The sweep over n, where one was made."""
    retraining: list[TrainOnPoint] | None = None
    """The course of training on, where the recipe asks for it."""
    skipped: bool | None = None
    artifact: str | None = None


class Sweep(Record):
    """Accuracies at every n of a grid; shared by every n that is chosen from it."""

    method: str
    model: Model
    forget: list[int]
    seed: int
    n_name: str
    grid: list[int]
    points: list[SweepPoint]


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


class MembershipResult(Record):
    """Class membership inference on one unlearned model: a perfect defence leaves the attacker at 0.5."""

    absent: ClassVar[frozenset[str]] = frozenset({"skipped", "artifact"})

    seed: int
    method: str
    model: Model
    forget: list[int]
    forget_names: list[str]
    held_out: int
    held_out_name: str
    n: int | None
    n_name: str
    attack_test: float
    """Share of test samples of which the attacker tells rightly whether their class was trained on."""
    attack_validation: float
    loss_validation_forget: float
    """Mean cross-entropy of the split's samples of the forget or the held-out class."""
    loss_validation_held_out: float
    loss_test_forget: float
    loss_test_held_out: float
    retain_test: Share
    seconds: float
    note: str | None
    skipped: bool | None = None
    artifact: str | None = None


class ReportResult(Record):
    """The pages of a report."""

    index: str
    """Path of index.html."""
    pages: list[str]
    """Paths of all others."""
    written: int
    """How many of them were made anew."""
    seconds: float


class OverSeeds(Record):
    """Mean over seeds; of a single seed, no deviation and no interval."""

    mean: float
    sd: float | None
    """Sample standard deviation."""
    low: float | None
    high: float | None
    """Ends of Student's 95% interval of the mean."""
    seeds: int


class AccuraciesOverSeeds(Record):
    """`Accuracies` over seeds, each None where no seed has samples."""

    absent: ClassVar[frozenset[str]] = frozenset({"retain_validation", "forget_validation"})

    retain_test: OverSeeds | None
    forget_test: OverSeeds | None
    retain_train: OverSeeds | None
    forget_train: OverSeeds | None
    retain_validation: OverSeeds | None = None
    forget_validation: OverSeeds | None = None


class TrainSummary(Record):
    """A model over its seeds."""

    stage: Literal["train"] = "train"
    model: Model
    train: OverSeeds | None
    test: OverSeeds | None
    seconds: OverSeeds | None


class UnlearnSummary(Record):
    """A method on one forget set over the seeds."""

    stage: Literal["unlearn"] = "unlearn"
    method: str
    forget: list[int]
    before: AccuraciesOverSeeds
    after: AccuraciesOverSeeds
    change: AccuraciesOverSeeds
    """After less before, seed by seed."""
    n: OverSeeds | None
    masked: OverSeeds | None
    seconds: OverSeeds | None


StepState = Literal["done", "missing", "skipped", "failed"]


class PlanStep(Record):
    """One step of the plan of the paper's experiments."""

    data: str
    """Name of the recipe."""
    step: str
    """embed, quantize, train, an unlearning method, or membership."""
    seed: int | None
    state: StepState
    seconds: float | None
    """What it took, where it was done just now."""
    estimate_seconds: float | None
    estimate_bytes: int | None
    estimate_from: Literal["workspace", "digits"] | None
    """What the estimate of time was scaled from: steps that ran in the workspace, or a measurement made now."""
    why: str | None
    """Why it was skipped, or how it failed."""


class ArtifactStatus(Record):
    """An artifact of the recipe and how far it has come."""

    stage: str
    what: str
    state: Literal["done", "unfinished", "missing"]
    """"unfinished": begun, and stopped before its end."""
    bytes: int
    seconds: float
    path: str | None
    fingerprint: str | None


class RequestStatus(Record):
    """A deletion request, as `dkvb status` lists it."""

    id: str
    classes: list[int]
    names: list[str]
    state: str
    masked: int
    created: str
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


class Status(Record):
    """What of a recipe is done, and what to run next."""

    status: list[ArtifactStatus]
    requests: list[RequestStatus]
    capacity: list[Capacity]
    next: str
    """The command to run next."""


class DoctorCheck(Record):
    """One check of the machine."""

    check: str
    ok: bool
    detail: str
