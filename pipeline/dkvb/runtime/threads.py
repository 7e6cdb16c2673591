"""BLAS and OpenMP held to one thread each."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any


def one_thread() -> Any:
    """A context in which the libraries that are loaded compute with one thread each, as many as before afterwards."""
    return _libraries(len(sys.modules)).limit(limits=1)


@lru_cache(maxsize=1)
def _libraries(modules: int) -> Any:
    """The libraries there are, looked for again once more modules are imported: that takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
