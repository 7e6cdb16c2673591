"""Measures of what a model knows before and after unlearning: functions on arrays, listed in docs/measures.md.

Each is imported when it is first used, so that `import dkvb.metrics` stays light. Modules are named apart from their
functions, since a module of a function's name would stand in its place once it is imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dkvb.metrics.accuracy import worst_retained
    from dkvb.metrics.answers import (
        Destinations,
        activation_distance,
        completeness,
        destinations,
        jensen_shannon,
        nearest_retained,
        tow,
        zrf,
    )
    from dkvb.metrics.half_splits import Ulira, ulira
    from dkvb.metrics.membership import class_membership
    from dkvb.metrics.over_models import resampled
    from dkvb.metrics.per_point import Klom, Lines, klom, klom_lines, lines, margins, references, wasserstein
    from dkvb.metrics.probing import Probe, probe
    from dkvb.metrics.proportions import mean_total_variation, paired_difference, softmax, total_variation, wilson
    from dkvb.metrics.relearned import Relearned, ain, relearning
    from dkvb.metrics.separation import Separation, separates
    from dkvb.metrics.three_sample import Relative, closer

_HOMES = {
    "accuracy": ("worst_retained",),
    "answers": (
        "Destinations",
        "activation_distance",
        "completeness",
        "destinations",
        "jensen_shannon",
        "nearest_retained",
        "tow",
        "zrf",
    ),
    "half_splits": ("Ulira", "ulira"),
    "membership": ("class_membership",),
    "over_models": ("resampled",),
    "per_point": ("Klom", "Lines", "klom", "klom_lines", "lines", "margins", "references", "wasserstein"),
    "probing": ("Probe", "probe"),
    "proportions": ("mean_total_variation", "paired_difference", "softmax", "total_variation", "wilson"),
    "relearned": ("Relearned", "ain", "relearning"),
    "separation": ("Separation", "separates"),
    "three_sample": ("Relative", "closer"),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Destinations",
    "Klom",
    "Lines",
    "Probe",
    "Relative",
    "Relearned",
    "Separation",
    "Ulira",
    "activation_distance",
    "ain",
    "class_membership",
    "closer",
    "completeness",
    "destinations",
    "jensen_shannon",
    "klom",
    "klom_lines",
    "lines",
    "margins",
    "mean_total_variation",
    "nearest_retained",
    "paired_difference",
    "probe",
    "references",
    "relearning",
    "resampled",
    "separates",
    "softmax",
    "total_variation",
    "tow",
    "ulira",
    "wasserstein",
    "wilson",
    "worst_retained",
    "zrf",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"dkvb.metrics.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'dkvb.metrics' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
