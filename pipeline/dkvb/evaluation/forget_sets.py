"""Which classes are to be forgotten: names and ids as people give them, to class ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dkvb.errors import UsageError, nearest
from dkvb.evaluation.seed import TrainedSeed


def forget_sets(trained: TrainedSeed) -> list[list[int]]:
    """The classes to forget, together or in turn, as ids.

    Raises:
        UsageError: a name or id that is no class, a class named twice, or all of them.
    """
    wanted, classes = trained.recipe.unlearn.forget, trained.splits.classes
    if wanted == "best":
        return [[_best_learned(trained)]]
    if wanted == "each":
        return [[c] for c in range(len(classes))]
    return [class_ids(wanted if isinstance(wanted, list) else [wanted], classes)]


def class_ids(names: Sequence[str | int], classes: Sequence[str]) -> list[int]:
    """The classes to forget together as ids, sorted.

    Raises:
        UsageError: no names, a name or id that is no class, a class named twice, or all of them.
    """
    ids = [class_id(name, classes) for name in names]
    if not ids:
        raise UsageError("The list of classes to forget is empty: name at least one, or 'best'.")
    if twice := [classes[c] for c in ids if ids.count(c) > 1]:
        raise UsageError(f"Class '{twice[0]}' is named twice among the classes to forget; name it once.")
    if len(ids) == len(classes):
        raise UsageError(f"All {len(classes)} classes would be forgotten and nothing retained: leave at least one out.")
    return sorted(ids)


def class_id(name: str | int, classes: Sequence[str]) -> int:
    """The id of a class given by name or, where no class is called that, by id.

    Raises:
        UsageError: there is no such class.
    """
    if str(name) in classes:
        return list(classes).index(str(name))
    try:
        number = int(name)
    except ValueError:
        raise UsageError(f"There is no class '{name}'{nearest(str(name), classes)}") from None
    if not 0 <= number < len(classes):
        raise UsageError(f"There is no class {number}: ids go from 0 to {len(classes) - 1}.")
    return number


def _best_learned(trained: TrainedSeed) -> int:
    """The class with the fewest test misclassifications of the bottleneck, lowest id on a tie (Appendix A)."""
    result = trained.dkvb_artifact.result
    tested = np.array(result["tested"]) > 0
    return int(np.where(tested, result["misclassified_test"], np.iinfo(np.int64).max).argmin())
