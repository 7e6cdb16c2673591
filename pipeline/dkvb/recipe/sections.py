"""The sections of a recipe, as classes: every setting with its default, its range and what it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from dkvb import registry


def _distinct(given: list[Any]) -> list[Any]:
    if twice := [item for item in given if given.count(item) > 1]:
        raise ValueError(f"{twice[0]!r} is named twice; name it once")
    return given


Auto = Literal["auto"]
Whole = Annotated[int, Field(ge=0, le=2**31 - 1)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Share = Annotated[float, Field(ge=0, le=1)]
Change = Annotated[float, Field(ge=-1, le=1)]
"""A difference of two shares."""
Positive = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Distinct = AfterValidator(_distinct)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Data(Section):
    source: str = "cifar10"
    path: str | None = None
    """Folder, file or archive, where the source needs one; relative to the recipe file."""
    validation: float = Field(0.0, ge=0, lt=1)
    """Share of the training set kept out for choosing N, stratified, drawn from the run's seed."""
    train: str | None = None
    """Folder (or file) of the training set, where it is not told by its name: below `path`, or anywhere."""
    test: Annotated[float, Field(gt=0, lt=1)] | str = 0.2
    """Share split off as the test set where the source has none; or, as a text, the folder (or file) of the test
    set."""
    compat: Literal["none", "scrub"] = "none"
    """"scrub": draw LACUNA as the public build script does, with replacement, so that test images leak into train."""
    on_bad: Literal["fail", "skip"] = "fail"
    """Images that cannot be read: fail, naming them all, or leave them out and record them."""
    strict: bool = False
    """Fail, rather than warn, where files are passed over, class names look alike, or contents are shared between train
    and test or between classes."""
    exif_rotate: bool = False
    """Whether images are turned as their EXIF orientation says, as viewers show them."""
    x_column: str | None = None
    """Column that holds features, images or paths, where the source has columns; none: found by its usual names."""
    y_column: str | None = None
    """Column of the labels, likewise."""
    labels: Literal["from-0", "from-1", "sparse"] = "from-0"
    """How labels that are numbers count classes: from 0 or from 1 without gaps, or "sparse", any integers, each a class
    named by its number."""
    scale: float | None = None
    """Features that are integers are taken times this, after `offset` was added; needed for them, and an error for
    others."""
    offset: float = 0.0

    @property
    def test_share(self) -> float:
        """Share split off as the test set where there is none."""
        return self.test if isinstance(self.test, float) else float(type(self).model_fields["test"].default)

    @property
    def own(self) -> bool:
        """Whether this data set is told apart by its path; any other is one data set, wherever it lies."""
        return registry.source(self.source).own_data

    @property
    def features(self) -> bool:
        """Whether its rows are ready-made features, so that no encoder takes part."""
        return registry.source(self.source).features


class Encoder(Section):
    name: str = "clip-vit-b32"
    weights: str | None = None
    """A tag of the encoder's library, a local file, or "random"; none: the encoder's own default."""
    layer: str | None = None
    """Where a ResNet50 is read: layer1 … layer4 (averaged over space) or avgpool, the default."""
    precision: Literal["fp32", "bf16"] = "fp32"
    backend: Literal["torch", "openvino"] = "torch"
    """What computes the forward pass: torch, or on a CPU OpenVINO (extra `dkvb[openvino]`). Features differ in their
    last bits, so that embeddings of the one are not those of the other."""
    batch_size: Count = 64
    size: Count | None = None
    """Side in pixels to which `pixels` resizes; none: images stay as they are and must all be of one size."""


class Keys(Section):
    codebooks: Count = 256
    pairs: int = Field(4096, ge=1, le=65535)
    dim: Count = 8
    top_k: Count = 1
    epochs: Whole = 10
    batch_size: Count = 256
    decay: float = Field(0.95, gt=0, lt=1)
    init: Literal["official", "sample"] = "official"
    neighbours: Whole = 64
    """Nearest keys kept per test sample and codebook, from which masked lookups are served."""
    unused: Literal["keep", "mask"] = "keep"
    """Whether pairs that training never selected may be selected afterwards."""
    adapt: bool = False
    """Where there are fewer training samples than `pairs` and keys start at samples: take as many pairs as there are
    samples, and a `top_k` of no more than that. Otherwise that is an error."""

    @model_validator(mode="after")
    def _k_within_pairs(self) -> Keys:
        if self.top_k > self.pairs and not self.adapt:
            raise ValueError(
                f"top_k = {self.top_k} is more than pairs = {self.pairs}; a codebook has only that many keys"
            )
        return self


class Train(Section):
    epochs: Count = 74
    lr: Positive = 0.1
    batch_size: Count = 256
    values: Literal["normal", "zeros", "uniform"] = "normal"
    pool: Literal["mean", "sum"] = "mean"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of each training label that is spread evenly over all classes; not in the paper."""
    adam: Literal["dense", "rows"] = "dense"
    """"dense": every step passes over all values. "rows": over those that it selects, and what the others miss is made
    up for when they are next selected; the same but for rounding, for values of many classes, on disk where they are
    too large for the memory."""


class Linear(Section):
    epochs: Count = 2
    lr: Positive = 0.001
    batch_size: Count = 256
    until: Literal["epochs", "converged"] = "epochs"
    """When the head's training ends: after `epochs`, as in the paper, or where it has converged (L-BFGS; `epochs`, `lr`
    and `batch_size` then mean nothing). It is the head from which SCRUB starts."""
    converged: bool = False
    """Beside a head of `epochs`, also train one to convergence, for comparison alone."""


class Scrub(Section):
    max_steps: Whole = 3
    min_steps: Count | Auto = 3
    """Epochs run; "auto": the stopping rule of Appendix E.3, at most 10."""
    lr: Positive = 0.001
    alpha: float = Field(0.001, ge=0)
    gamma: float = Field(0.99, ge=0)
    temperature: Positive = 4.0
    values_lr: Positive = 1.0
    """Learning rate of SCRUB on the bottleneck's values, of which the paper says nothing. A logit averages hundreds of
    values, so that each has to move far."""
    batch_size: Count = 256


class Unlearn(Section):
    forget: str | int | list[str | int] = "best"
    """"best", the best-learned class; "each", all in turn; or classes: a text is a name ("#3": the class of id 3), a
    number is an id. A class that is called best or each is named in a list, `["best"]`; "#best" is always the
    keyword."""
    best_on: Literal["validation", "test"] = "validation"
    """The split on which "best" is chosen: validation, one class for all seeds together, or test, by each seed for
    itself, as the paper does. Without validation data it is test."""
    method: str | Annotated[list[str], Distinct] = [name for name, entry in registry.methods().items() if entry.default]
    na: Whole | Auto = 180_000
    ne: Whole | Auto = 3_200
    nv: Whole | Auto = "auto"
    """N_v, pairs to mask by votes."""
    rank: Literal["value", "counted", "share"] = "value"
    """How votes rank pairs: by the vote for the class alone, times the class's selections, or as a share of all
    votes."""
    counts: Literal["forget-set", "last-epoch", "proxy"] = "forget-set"
    """Where the selections come from: the forget training set, training's last epoch, or a proxy set."""
    proxy: str | None = None
    """Features (.npz with x and optional y) or a folder of images that stand in for the forget set."""
    target: Literal["chance", "zero"] = "zero"
    """What forget accuracy `auto` aims at."""
    choose: Literal["validation", "test"] = "validation"
    """The split on which `auto` chooses; the paper reads it off the test curve."""
    sweep: bool = False
    retrain: Whole = 0
    """Epochs of training on the retain set after unlearning, to see what they would bring (the paper: 10)."""
    retrain_lr_activations: Positive = 0.3
    retrain_lr_examples: Positive = 0.3
    """Learning rates of that (Table 7)."""

    @property
    def methods(self) -> list[str]:
        return [self.method] if isinstance(self.method, str) else list(self.method)


class Verify(Section):
    """Limits of `dkvb verify` on accuracies in [0, 1], and its protocol of relearning."""

    max_forget: Share | Literal["chance"] = 0.01
    """Highest accuracy on each forgotten class; a model that never saw it has 0. "chance": one in the number of
    classes."""
    max_retain_drop: Change = 0.02
    """Most accuracy by which the classes that stay may be behind the oracle's."""
    max_class_drop: Change = 0.05
    """The same of a single class, the worst and those nearest to what is forgotten; no less than `max_retain_drop`."""
    min_retain: Share | None = None
    """Lowest accuracy on the classes that stay; none: not checked."""
    max_relearn: Change | None = None
    """Most by which a relearned class's accuracy may be above that of the oracle, trained the same way; none: not
    checked."""
    max_distance: Share | None = None
    """Farthest that the probabilities of a forgotten class's samples may be from the oracle's; none: not checked."""
    samples: Annotated[list[Count], Field(min_length=1), Distinct] = [5, 20, 100]
    """Samples of a forgotten class from which it is learned again."""
    epochs: Count = 10
    """Epochs of that."""


class Deletion(Section):
    days: Count = 30
    """Days from its opening within which a request is to be purged or refused."""


class Report(Section):
    """What pages show."""

    pictures: bool = True
    """Small pictures of the samples that a page is about, where the data are images. They are kept in the workspace and
    erased by a purge; without them, those that were kept go."""


class Run(Section):
    seeds: Annotated[list[Seed], Field(min_length=1), Distinct] = [0]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: Count = 1
    """Processes of a local Dask cluster; 1 works in this process, on all its cores."""
    memory: Positive = 4.0
    """GiB that a process fitting and coding keys stays within; less means more passes over the features, and the same
    bits."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, tcp://host:port, whose workers see the same files."""
