"""Reading safetensors files of a workspace: whatever is wrong with one is said of that file, with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from dkvb.errors import DamagedArtifact, DkvbError

MAKERS = {
    stage: f"`dkvb {command} --force` makes it again."
    for stage, command in {
        "quantize": "quantize",
        "train": "train",
        "unlearn": "unlearn",
        "retrained": "unlearn",
        "audit": "audit",
        "oracles": "audit",
    }.items()
}
"""Folder of artifacts -> what mends them."""


@contextmanager
def reading(file: Path, remedy: str | None = None) -> Iterator[None]:
    """Turn whatever safetensors raises while a file is read into one error that names the file.

    Args:
        remedy: what mends it, a sentence; by default, the command that makes the artifact it lies in.

    Raises:
        DamagedArtifact: the file is missing, or is no safetensors file.
        DkvbError: there is too little memory for it.
    """
    mend = remedy or MAKERS.get(file.parent.parent.name, "put it back from a backup.")
    try:
        yield
    except FileNotFoundError:
        raise DamagedArtifact(f"{file} is missing: {mend}") from None
    except SafetensorError as error:
        raise DamagedArtifact(f"{file} is damaged ({str(error).splitlines()[0][:120]}): {mend}") from None
    except MemoryError:
        size = f" of {file.stat().st_size:,} bytes" if file.is_file() else ""
        raise DkvbError(
            f"There is too little memory to read {file}{size}: end other programs, or use a machine with more."
        ) from None


def load_file(file: Path) -> dict[str, np.ndarray]:
    """Name -> array of a file in an artifact.

    Raises:
        DamagedArtifact, DkvbError: see `reading`.
    """
    with reading(file):
        return safetensors.numpy.load_file(file)
