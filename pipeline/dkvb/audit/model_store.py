"""What models answer, stored one by one as they are made, by this process or by others; the models themselves too where
they are small.

A batch that was interrupted goes on with the models that are not marked as done.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr
from safetensors.numpy import save_file

from dkvb.audit.trainers import Model
from dkvb.workspace import arrays
from dkvb.workspace.files import atomic
from dkvb.workspace.names import LOGITS

LARGE = 2**24
"""Bytes of a model that is too large to be kept a hundred times, and is trained again where it is needed."""

HALF = 2**28
"""Bytes of a batch's answers above which they are kept as float16: its error, below a thousandth, is far less than what
two models differ by."""


@dataclass(frozen=True)
class ModelStore:
    """The models of one artifact.

    Args:
        folder: of the artifact, which is held by the process that began it.
        shape: models, rows, classes.
        keep: whether models are kept, and not their answers alone.
    """

    folder: Path
    shape: tuple[int, int, int]
    keep: bool

    def begin(self) -> list[int]:
        """Make room for the answers; returns the models that are not there yet."""
        dtype = np.float16 if 4 * np.prod(self.shape) > HALF else np.float32
        arrays.create(self.folder, LOGITS, self.shape, dtype, (1, *self.shape[1:]))
        marks = arrays.Marks(self.folder)
        return [model for model in range(self.shape[0]) if marks.get(str(model)) is None]

    def put(self, model: int, made: Model) -> None:
        """Store a model and mark it done."""
        answers = zarr.open_array(self.folder / LOGITS, mode="r+")
        answers[model] = made.logits
        kept = self.keep and 0 < sum(part.nbytes for part in made.tensors.values()) <= LARGE
        if kept:
            with atomic(model_file(self.folder, model)) as temporary:
                save_file(made.tensors, temporary)
        arrays.Marks(self.folder).set(str(model), {"seconds": made.seconds, "kept": kept})

    def done(self) -> tuple[list[float], bool]:
        """What each model took, and whether the models are kept; once all are there."""
        marks = arrays.Marks(self.folder)
        of_all = [marks.get(str(model)) or {} for model in range(self.shape[0])]
        return [of["seconds"] for of in of_all], all(of["kept"] for of in of_all)


def model_file(folder: Path, model: int) -> Path:
    """Where a model of a batch is kept."""
    return folder / f"model-{model}.safetensors"
