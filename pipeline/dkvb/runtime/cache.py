"""Where this package keeps what it can make again, outside of any workspace."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(*parts: str) -> Path:
    """`$XDG_CACHE_HOME/dkvb/…`, else `~/.cache/dkvb/…`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").joinpath("dkvb", *parts)
