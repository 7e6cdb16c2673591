"""Versions of everything that decides results."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from dkvb.version import __version__

PACKAGES = (
    "torch",
    "faiss-gpu",
    "faiss-cpu",
    "numpy",
    "zarr",
    "open_clip_torch",
    "torchvision",
    "scikit-learn",
    "polars",
)


@cache
def versions() -> dict[str, str]:
    """Versions of dkvb, Python and the libraries that decide results."""
    found = {"dkvb": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
