"""Arrays that are too large for memory: in files without a name, of which the system keeps in memory what there is room
for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch


def room(shape: Sequence[int], folder: Path | None = None) -> torch.Tensor:
    """Zeros of a shape, float32; in a file in a folder, where one is given, which goes with the process that holds it.

    Raises:
        OSError: the folder cannot be written to.
    """
    if folder is None:
        return torch.zeros(tuple(shape))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        return torch.from_numpy(np.memmap(file, np.float32, "w+", shape=tuple(shape)))
