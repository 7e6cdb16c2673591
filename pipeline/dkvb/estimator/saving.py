"""An estimator as a folder: the export of its model, which `dkvb.load` reads too, and `estimator.json` beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from dkvb.errors import DamagedArtifact, UsageError
from dkvb.inference import export
from dkvb.inference.bottleneck_model import Model
from dkvb.inference.export_about import Measured
from dkvb.inference.export_files import TENSORS
from dkvb.inference.export_folder import refuse
from dkvb.inference.exported import read_export
from dkvb.records.base import Record
from dkvb.workspace.files import sha256, write_json

ESTIMATOR = "estimator.json"

Label = str | int | float | bool
Kind = Literal["str", "int", "float", "bool"]
KINDS: dict[str, Kind] = {"U": "str", "O": "str", "i": "int", "u": "int", "f": "float", "b": "bool"}
"""NumPy's kinds of labels -> what is kept of them."""


class Described(Record):
    """What an estimator is beside its model."""

    model_sha256: str = ""
    """Of the tensors that lie beside it."""
    kind: Kind
    """Type of the labels."""
    classes: list[Label]
    """Labels that are answers, in the order of the logits."""
    forgotten: list[Label]
    parameters: dict[str, Any]
    feature_names: list[str] | None
    """Columns of the data frame that it was fitted to."""

    def labels(self, of: list[Label]) -> np.ndarray:
        """(n,) labels, of their type."""
        return np.array(of, dtype={"str": str, "int": np.int64, "float": np.float64, "bool": bool}[self.kind])


def kind_of(labels: np.ndarray) -> Kind:
    """The type of labels (L,).

    Raises:
        UsageError: one that cannot be written.
    """
    kind = KINDS.get(labels.dtype.kind)
    if kind is None or (kind == "str" and not all(isinstance(label, str) for label in labels.tolist())):
        raise UsageError(
            f"The labels are of type {labels.dtype}: text, whole numbers, floats and booleans can be saved. Fit with"
            " labels of one of these, such as y.astype(str)."
        )
    return kind


def save(
    model: Model, described: Described, folder: str | Path, force: bool, now: Measured | None = None, head: str = ""
) -> Path:
    """Write a model and what its estimator is to a folder; its path.

    Args:
        now, head: see `dkvb.inference.export.write`.

    Raises:
        UsageError: the folder is a file, or not empty and not `force`.
    """
    place = Path(folder).expanduser().absolute()
    refuse(place, force)
    (place / ESTIMATOR).unlink(missing_ok=True)
    config = export.write(model, place, now, head)
    write_json(place / ESTIMATOR, described.model_copy(update={"model_sha256": config.sha256}).model_dump(mode="json"))
    return place


def load(folder: str | Path) -> tuple[Model, Described]:
    """What `save` wrote; of an export of `dkvb export` the model, whose labels are the names of its classes.

    Raises:
        UsageError: there is no such folder.
        DamagedArtifact: a file is missing or has been altered.
    """
    place = Path(folder).expanduser().absolute()
    if not place.is_dir():
        raise UsageError(f"{place} is no folder: give one that `save` or `dkvb export` wrote.")
    model = read_export(place)
    if not (place / ESTIMATOR).is_file():
        gone = [one.name for one in model.about.left_out]
        told = Described(
            kind="str",
            classes=list(model.classes),
            forgotten=gone,
            parameters={"seed": model.about.seed},
            feature_names=None,
        )
        return model, told
    try:
        described = Described.model_validate(json.loads((place / ESTIMATOR).read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise DamagedArtifact(f"{place / ESTIMATOR} is damaged ({error}): save the model again.") from None
    if described.model_sha256 != sha256(place / TENSORS) or [str(c) for c in described.classes] != model.classes:
        raise DamagedArtifact(f"{place / ESTIMATOR} is of another model than {TENSORS}: save the model again.")
    return model, described
