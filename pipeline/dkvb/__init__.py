"""dkvb: class unlearning by masking a discrete key-value bottleneck (arXiv 2311.15268).

`dkvb.load(path)` gives a trained model as a torch module, `dkvb.unlearn(model, forget=…, na=…)` one that has forgotten; see docs/api.md.
Both are imported when first asked for, so that `import dkvb` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dkvb.trained import load

__version__ = "0.1.0"
__all__ = ["__version__", "load", "unlearn"]


def __getattr__(name: str) -> Any:
    if name == "load":
        return importlib.import_module("dkvb.trained").load
    if name == "unlearn":  # the stage's module, which can be called
        return importlib.import_module("dkvb.unlearn")
    raise AttributeError(f"module 'dkvb' has no attribute '{name}'")
