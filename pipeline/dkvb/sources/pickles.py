"""Reading pickled NumPy arrays without running what a pickle may ask for."""

from __future__ import annotations

import codecs
import io
import pickle
from typing import Any

import numpy as np


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """What Python 3 pickles of protocol 2 use to write bytes; other codecs are refused."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"codec {encoding!r}")
    return codecs.encode(text, "latin1")


# taken from NumPy's own pickles, because the module that defines them has changed its name
_RECONSTRUCT, _SCALAR = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
}


for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _ADMITTED |= {(_module, "_reconstruct"): _RECONSTRUCT, (_module, "scalar"): _SCALAR}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of a NumPy array") from None


def load_arrays(content: bytes) -> Any:
    """Unpickle plain containers, byte strings, numbers and NumPy arrays; `encoding="bytes"`, so Python 2 strings are
    bytes.

    Raises:
        ValueError: truncated, not a pickle, or asking for anything else.
    """
    try:
        return _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ValueError(str(error) or type(error).__name__) from None
