"""dkvb: class unlearning by masking a discrete key-value bottleneck (arXiv 2311.15268).

`dkvb.load(path)` gives a trained model, `dkvb.unlearn(model, forget=…, na=…)` one that has forgotten; see docs/api.md.
`dkvb.KeyValueClassifier` is a scikit-learn estimator on arrays, without a workspace; see docs/estimator.md.
The stages are in `dkvb.stages`. Everything is imported when it is first used, so that `import dkvb` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dkvb.errors import DkvbError
from dkvb.version import __version__

if TYPE_CHECKING:
    from dkvb.estimator.classifier import KeyValueClassifier
    from dkvb.inference.bottleneck_model import Model, unlearn
    from dkvb.inference.classifier import LinearModel
    from dkvb.inference.load import load
    from dkvb.recipe import Recipe
    from dkvb.recipe import load as load_recipe
    from dkvb.sources.arrays import from_arrays

_HOMES = {
    "KeyValueClassifier": ("estimator.classifier", "KeyValueClassifier"),
    "load": ("inference.load", "load"),
    "unlearn": ("inference.bottleneck_model", "unlearn"),
    "Model": ("inference.bottleneck_model", "Model"),
    "LinearModel": ("inference.classifier", "LinearModel"),
    "Recipe": ("recipe", "Recipe"),
    "load_recipe": ("recipe", "load"),
    "from_arrays": ("sources.arrays", "from_arrays"),
}
__all__ = [
    "DkvbError",
    "KeyValueClassifier",
    "LinearModel",
    "Model",
    "Recipe",
    "__version__",
    "from_arrays",
    "load",
    "load_recipe",
    "unlearn",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, attribute = _HOMES[name]
        return getattr(importlib.import_module(f"dkvb.{module}"), attribute)
    raise AttributeError(f"module 'dkvb' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
