"""What using a trained model returns: predictions of new samples, and an export."""

from __future__ import annotations

from pydantic import Field

from dkvb.records.base import Record


class ClassProbability(Record):
    """A class and how probable it is for one input."""

    class_name: str = Field(alias="class")
    id: int
    """Id of the class."""
    probability: float
    """Softmax of the logits, over all classes."""


class Prediction(Record):
    """The most probable class of one input, and those after it."""

    input: str
    """Path of an image, or `FILE.npz[ROW]`."""
    class_name: str = Field(alias="class")
    id: int
    """Id of the class."""
    probability: float
    """Softmax of the logits, over all classes."""
    top: list[ClassProbability]
    """As many classes as `--top` says, the most probable first."""


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


class ExportResult(Record):
    """A folder that `dkvb export` wrote."""

    path: str
    """The folder."""
    files: list[str]
    """Names of the files in it."""
    bytes: int
    """Their size together."""
    sha256: str
    """Hash of `model.safetensors`."""
    classes: list[str]
    """Names of all classes."""
    forgotten: list[int]
    """Ids of the classes whose pairs were left out."""
    masked: int
    """Pairs that were left out."""
    test: list[float | None] | None
    """(L,) test accuracy of each class, None without samples; None where the workspace no longer has the test set."""
