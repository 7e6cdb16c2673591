"""Reading safetensors files of a workspace: whatever is wrong with one is said of that file, with its remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors
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


MAPPED = 2**30
"""Bytes of a file from which on its arrays are mapped rather than read, so that only what is looked at takes memory."""


def load_file(file: Path) -> dict[str, np.ndarray]:
    """Name -> array of a file in an artifact. Arrays of a large file lie on disk; what is written into them is not.

    Raises:
        DamagedArtifact, DkvbError: see `reading`.
    """
    with reading(file):
        if file.stat().st_size >= MAPPED:
            return _mapped(file)
        return safetensors.numpy.load_file(file)


TYPES = {
    **{f"F{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    "BOOL": "?",
}
"""Types of arrays that artifacts hold, as safetensors and as NumPy name them."""


def _mapped(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a file as they lie there: eight bytes with the header's length, the header, and the arrays at the
    offsets that it says."""
    with safetensors.safe_open(file, framework="numpy"):  # whatever is wrong with the header is said by the library
        pass
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    return {
        name: np.memmap(
            file, TYPES[said["dtype"]], "c", offset=8 + length + said["data_offsets"][0], shape=tuple(said["shape"])
        )
        for name, said in header.items()
        if name != "__metadata__"
    }
