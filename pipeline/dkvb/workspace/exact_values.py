"""What an exact request keeps in its folder: `values-<hash>.safetensors`, values that were trained without what it
forgets, and `rows.npy`, the single samples that it forgets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from dkvb.bottleneck.mask_order import pack, unpack
from dkvb.errors import DamagedArtifact
from dkvb.records.deletion import ExactValues, ForgottenSamples
from dkvb.workspace.files import atomic, sha256

ROWS = "rows.npy"


def write(folder: Path, values: np.ndarray, passed_over: np.ndarray) -> tuple[str, str]:
    """Keep values (C, M, L) and the pairs (C, M) bool that are passed over; the file's name and hash. The same values
    have the same name, and no file that is there is changed."""
    with atomic(folder / "values.safetensors") as temporary:
        save_file({"values": values, "mask": pack(passed_over), "shape": np.array(passed_over.shape)}, temporary)
    sha = sha256(folder / "values.safetensors")
    name = f"values-{sha[:12]}.safetensors"
    (folder / "values.safetensors").replace(folder / name)
    return name, sha


def read(folder: Path, exact: ExactValues) -> tuple[np.ndarray, np.ndarray]:
    """Values (C, M, L), and the pairs (C, M) bool that are passed over.

    Raises:
        DamagedArtifact: the file is missing or was altered.
    """
    file = folder / str(exact.file)
    try:
        if sha256(file) != exact.values_sha256:
            raise ValueError
        arrays = load_file(file)
        return arrays["values"], unpack(arrays["mask"], int(arrays["shape"][1]))
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, SafetensorError):
        raise DamagedArtifact(
            f"{file} is damaged: `dkvb restore {folder.name}` closes the request without it, then `dkvb forget --exact`"
            " trains the values again."
        ) from None


def write_rows(folder: Path, rows: np.ndarray) -> str:
    """Keep the rows (n,) of the stored training set that a request forgets; the hash of the file."""
    with atomic(folder / ROWS) as temporary, open(temporary, "wb") as file:
        np.save(file, rows.astype(np.int64))
    return sha256(folder / ROWS)


def read_rows(folder: Path, samples: ForgottenSamples) -> np.ndarray:
    """(n,) int64 rows of the stored training set.

    Raises:
        DamagedArtifact: the file is missing or was altered.
    """
    file = folder / ROWS
    try:
        if sha256(file) != samples.rows_sha256:
            raise ValueError
        rows: np.ndarray = np.load(file, allow_pickle=False)
    except PermissionError:
        raise
    except (OSError, ValueError):
        raise DamagedArtifact(
            f"{file} is damaged, and with it is lost which samples request {folder.name} forgets: put it back from a"
            " backup."
        ) from None
    return rows
