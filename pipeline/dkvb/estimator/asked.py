"""What callers name, classes by label and samples by row, as ids and rows that are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dkvb.errors import UsageError, nearest, some


def ids(labels: np.ndarray, classes: Any) -> list[int]:
    """Ids of classes, sorted.

    Args:
        labels: (L,) all of them; classes: one label, or several.

    Raises:
        UsageError: none, or one that is no label.
    """
    alone = isinstance(classes, str) or np.ndim(classes) == 0
    known = {label: place for place, label in enumerate(labels.tolist())}
    found = set()
    for label in [classes] if alone else list(classes):
        plain = label.item() if isinstance(label, np.generic) else label
        if plain not in known:
            raise UsageError(f"There is no class {plain!r} among the labels{nearest(str(plain), map(str, known))}")
        found.add(known[plain])
    if not found:
        raise UsageError('Name at least one class, such as forget(["truck"]).')
    return sorted(found)


def rows(samples: Any, count: int) -> list[int]:
    """Rows of samples, sorted.

    Args:
        samples: rows, or a mask (N,) bool; count: N, the samples that there are.

    Raises:
        UsageError: none, or one that is not there.
    """
    given = np.atleast_1d(np.asarray(samples))
    if given.dtype == bool:
        if given.shape != (count,):
            raise UsageError(
                f"The mask of samples has shape {given.shape}, and the model was fitted to {count:,} rows."
            )
        given = np.flatnonzero(given)
    if not given.size:
        raise UsageError("Name at least one sample, by its row in the X that was fitted to.")
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise UsageError(
            f"Samples are named by row, whole numbers (n,); given were {given.dtype} of shape {given.shape}."
        )
    if (wrong := given[(given < 0) | (given >= count)]).size:
        raise UsageError(f"The model was fitted to {count:,} rows, 0 to {count - 1:,}: there is no row {wrong[0]}.")
    return np.unique(given).tolist()


def refuse_known(asked: Sequence[int], forgotten: Sequence[int], names: Sequence[object]) -> None:
    """Raise UsageError where something that is to be restored is not forgotten. `names`: of all there is, by place."""
    if others := [c for c in asked if c not in set(forgotten)]:
        raise UsageError(
            f"{some([names[c] for c in others])} cannot be restored: not forgotten. Forgotten are:"
            f" {some([names[c] for c in forgotten]) or 'none'}."
        )
