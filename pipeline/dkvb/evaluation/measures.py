"""The registry's metrics, other packages' among them, on test data before and after unlearning."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from dkvb import registry
from dkvb.errors import DkvbError
from dkvb.records.accuracies import BeforeAndAfter

Metric = Callable[[np.ndarray, np.ndarray, Sequence[int]], float | None]
"""(predicted (N,), labels (N,), ids of the forget classes) -> a number, or None where there is nothing to measure."""


def metrics() -> dict[str, Metric]:
    """Every metric by name.

    Raises:
        UsageError: another package's metric that cannot be imported.
    """
    return {name: registry.find("metrics", name).load() for name in registry.names("metrics")}


def measured(
    before: np.ndarray, after: np.ndarray, labels: np.ndarray, forget: Sequence[int]
) -> dict[str, BeforeAndAfter]:
    """Every metric by name, of predicted classes (N,) before and after.

    Raises:
        DkvbError: a metric fails.
    """
    return {
        name: BeforeAndAfter(
            before=_value(name, metric, before, labels, forget), after=_value(name, metric, after, labels, forget)
        )
        for name, metric in metrics().items()
    }


def _value(name: str, metric: Metric, predicted: np.ndarray, labels: np.ndarray, forget: Sequence[int]) -> float | None:
    try:
        value = metric(predicted.copy(), labels.copy(), list(forget))
        number = None if value is None else float(value)
    except Exception as error:  # another package's code raises what it likes
        raise DkvbError(
            f"The metric '{name}' fails ({type(error).__name__}: {error}): mend it, or uninstall it."
        ) from error
    return number if number is not None and math.isfinite(number) else None
