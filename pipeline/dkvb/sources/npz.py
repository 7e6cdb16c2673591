"""The one reader of .npz files of features: `x (N, D)`, and `y (N,)` and `classes` where the caller reads them."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dkvb.errors import DkvbError
from dkvb.sources.numbers import is_bfloat16
from dkvb.sources.text import decoded


class UnreadableFeatures(DkvbError):
    """A .npz file that cannot be used: its `path` and the `reason`, which says how to mend it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[type[UnreadableFeatures], tuple[Path, str]]:
        return UnreadableFeatures, (self.path, self.reason)


def read_npz(path: Path, needs: Sequence[str] = ("x",), may_have: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Some arrays of an .npz file, those that are there; no other is read, and objects are never unpickled.

    Args:
        needs, may_have: of "x", "y" and "classes".

    Returns:
        x (N, D), D > 0, real numbers of any type, for `numbers` to read; y as it is, of N rows, for `labels` to read;
        classes (L,) of str.

    Raises:
        UnreadableFeatures: not an .npz file, truncated or altered; an array is missing, or of another shape or type.
    """
    arrays = _stored(path, needs, may_have)
    for name, check in (("x", _features), ("classes", _names)):
        if name in arrays:
            arrays[name] = check(path, arrays[name])
    if {"x", "y"} <= arrays.keys() and arrays["y"].shape[:1] != arrays["x"].shape[:1]:
        shapes = f"y has shape {arrays['y'].shape} and x {arrays['x'].shape}"
        raise UnreadableFeatures(path, f"{shapes}; y must be (N,), a label for each row of x.")
    return arrays


def _stored(path: Path, needs: Sequence[str], may_have: Sequence[str]) -> dict[str, np.ndarray]:
    save = f"np.savez(path, {', '.join(f'{name}=…' for name in needs)})"
    if path.is_file() and not zipfile.is_zipfile(path):
        raise UnreadableFeatures(path, f"it is no .npz file or is truncated; save it with {save}, or copy it again.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if missing := [name for name in needs if name not in archive.files]:
                held = ", ".join(archive.files) or "nothing"
                what = {"x": "x (N, D)", "y": "y (N,)"}
                wanted = " and ".join(what.get(name, name) for name in needs)
                raise UnreadableFeatures(
                    path, f"it has no {' and no '.join(missing)} (it holds {held}); it needs {wanted}."
                )
            return {name: np.asarray(archive[name]) for name in (*needs, *may_have) if name in archive.files}
    except (MemoryError, UnreadableFeatures):
        raise
    except Exception as error:  # zip, zlib and NumPy raise nearly anything on altered files
        objects = (
            " Save plain arrays, names as np.array(names, dtype=str), not dtype=object."
            if "allow_pickle" in str(error)
            else ""
        )
        reason = f"it cannot be read as .npz ({str(error) or type(error).__name__}).{objects} Save or copy it again."
        raise UnreadableFeatures(path, reason) from None


def _features(path: Path, x: np.ndarray) -> np.ndarray:
    if x.ndim != 2 or x.shape[1] == 0:
        raise UnreadableFeatures(path, f"x has shape {x.shape}; it must be (N, D), a row of features for each sample.")
    if x.dtype.kind not in "fiu" and not is_bfloat16(x.dtype):
        raise UnreadableFeatures(path, f"x is {x.dtype}; features must be real numbers.")
    return x


def _names(path: Path, names: np.ndarray) -> np.ndarray:
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise UnreadableFeatures(path, f"classes must be a list of names, not {names.dtype} of shape {names.shape}.")
    try:
        return np.array([decoded(name, "classes", row) for row, name in enumerate(names.tolist())], dtype=str)
    except DkvbError as error:
        raise UnreadableFeatures(path, str(error)) from None
