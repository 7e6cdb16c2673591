"""What using a trained model returns: predictions of new samples, and an export."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dkvb.records.base import Record


class ClassProbability(Record):
    """A class and how probable it is for one input."""

    class_name: str = Field(alias="class")
    id: int
    """Place of the class in the model's list: in an export without the forgotten classes, not its id in the data."""
    probability: float
    """Softmax of the logits, over all classes that may be the answer."""


class Prediction(Record):
    """The most probable class of one input, and those after it."""

    input: str
    """Path of an image, or `FILE.npz[ROW]`."""
    class_name: str = Field(alias="class")
    id: int
    """Place of the class in the model's list: in an export without the forgotten classes, not its id in the data."""
    probability: float
    """Softmax of the logits, over all classes that may be the answer."""
    top: list[ClassProbability]
    """As many classes as `--top` says, the most probable first; those alone that may be the answer."""
    masked_nearest: float | None
    """Of the pairs that the input would select without masks (k in each codebook), the share in [0, 1] that masks take
    away: near 1, the answer rests on what is left, as for samples of a forgotten class. None where it is not known: of
    a linear head, and of an export with masked pairs, which does not hold their keys."""


class UnreadableInput(Record):
    """A file that cannot be read."""

    input: str
    """Its path."""
    error: str
    """Why, in words."""


class Predictions(Record):
    """What `dkvb predict` prints."""

    predict: list[Prediction]
    unreadable: list[UnreadableInput]
    """Files that were left out."""


class LeftOut(Record):
    """A forgotten class of which an export has no logit, and its test accuracies; None where not measured."""

    id: int
    """In the data set's list of classes."""
    name: str
    trained: float | None
    """Before anything was unlearned."""
    mask_alone: float | None
    """Under the mask, its label still among the answers."""


class LedgerMark(Record):
    """Where a workspace's ledger ended when a model was loaded from it."""

    entries: int = Field(ge=0)
    """How many entries it had."""
    hash: str = Field(pattern="^[0-9a-f]{64}$")
    """Hash of the last; 64 zeros where there was none."""


class ExportResult(Record):
    """A folder that `dkvb export` wrote."""

    format: Literal["safetensors", "onnx"] = "safetensors"
    """What holds the model: `model.safetensors`, which dkvb reads, or `model.onnx`, which any ONNX runtime reads."""
    path: str
    """The folder."""
    files: list[str]
    """Names of the files in it."""
    bytes: int
    """Their size together."""
    sha256: str
    """Hash of `model.safetensors` or `model.onnx`."""
    classes: list[str]
    """L names, in the order of the logits."""
    ids: list[int]
    """(L,) ids of these in the data set's list of classes."""
    forgotten: list[int]
    """Ids, in the data set's list, of the classes whose pairs were left out."""
    left_out: list[LeftOut]
    """Those of them that are not among `classes`: all, unless labels were kept."""
    masked: int
    """Pairs that were left out."""
    test: list[float | None] | None
    """(L,) test accuracy of each class, None without samples; None where the workspace no longer has the test set."""
    ledger: LedgerMark | None
    """Where the workspace's ledger ended when the model was loaded; None where that is not known."""


class RequestSince(Record):
    """A request of which the ledger has events that are not in an export."""

    request: str
    """Its id."""
    names: list[str]
    """Names of its classes; none where it is about single samples or is gone."""
    events: list[str]
    """What was done since, in that order: masked, topped-up, exact, restored, purged."""


class ExportCheck(Record):
    """What `dkvb export --check` found out about a folder that `dkvb export` wrote."""

    format: Literal["safetensors", "onnx"] = "safetensors"
    """What holds its model."""
    path: str
    """The folder; of an export for ONNX perhaps the file."""
    verdict: Literal["current", "stale", "unknown", "damaged"]
    """"stale": requests have been opened, taken back or purged since. "unknown": nothing says whether they have."""
    problems: list[str]
    """What is wrong with its files, or why no more can be known, in sentences."""
    since: list[RequestSince]
    """Requests that it does not know of."""
    exported: LedgerMark | None
    """Where the ledger ended when the model was loaded; None where that is not known."""
    now: LedgerMark | None
    """Where it ends now; None where it cannot be read."""
    not_checked: list[str]
    """What the check cannot see."""
