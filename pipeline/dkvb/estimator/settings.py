"""The estimator's parameters and the recipe that they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dkvb.recipe import Recipe, load, validate
from dkvb.recipe.settings import merge

OWN_DATA = "features"
"""The built-in recipe from which everything comes that is no parameter."""

WHO = "KeyValueClassifier"

PLACES = {
    **{name: ("keys", name) for name in ("codebooks", "pairs", "dim", "top_k", "decay", "init", "unused")},
    "key_epochs": ("keys", "epochs"),
    "key_batch_size": ("keys", "batch_size"),
    **{name: ("train", name) for name in ("epochs", "lr", "batch_size", "values", "pool", "label_smoothing")},
    "validation": ("data", "validation"),
    "seed": ("run", "seeds"),
    "device": ("run", "device"),
}
"""Parameter -> section and key of the recipe."""


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without NumPy's numbers, which searches over grids draw."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in parameters.items()}


def recipe_of(parameters: Mapping[str, Any]) -> Recipe:
    """The recipe for own data with an estimator's parameters.

    Raises:
        UsageError: a value that a recipe does not take; says which, and what it may be.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in plain(parameters).items():
        section, key = PLACES[name]
        sections.setdefault(section, {})[key] = [value] if name == "seed" else value
    return validate(merge(load(OWN_DATA).model_dump(), sections), WHO)


def with_limits(recipe: Recipe, limits: Mapping[str, Any]) -> Recipe:
    """A recipe with some keys of `[verify]` replaced.

    Raises:
        UsageError: an unknown key, or a value that it does not take.
    """
    return validate(merge(recipe.model_dump(), {"verify": limits}), WHO)
