"""Which classes are to be forgotten: names and ids as people give them, to class ids.

Names are checked by what the features' manifest says, and this module imports nothing heavy, so that a mistyped name is
refused at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dkvb.errors import UsageError, nearest
from dkvb.recipe import Recipe
from dkvb.records.embed import EmbedResult
from dkvb.records.train import TrainResult
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.specs import embed_settings

if TYPE_CHECKING:
    from dkvb.evaluation.seed import TrainedSeed


def check_names(recipe: Recipe, workspace: Workspace, names: Sequence[str | int] | None = None) -> None:
    """Refuse names that are no class of the recipe's data. Where nothing is embedded yet, none are known: nothing is
    refused then.

    Args:
        names: of classes that are to be forgotten; by default those of the recipe.

    Raises:
        UsageError: a name or id that is no class; says which name is nearest. Of the recipe's also a class named twice,
            or all of them.
    """
    features = workspace.find("embed", embed_settings(recipe))
    if features is None:
        return
    classes = features.result_as(EmbedResult).classes
    if names is not None:
        for name in names:
            class_id(name, classes)
    elif recipe.unlearn.forget not in ("best", "each"):
        class_ids(_listed(recipe), classes)


def _listed(recipe: Recipe) -> list[str | int]:
    forget = recipe.unlearn.forget
    return list(forget) if isinstance(forget, list) else [forget]


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
    return [class_ids(_listed(trained.recipe), classes)]


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
    result = trained.dkvb_artifact.result_as(TrainResult)
    tested = [c for c, samples in enumerate(result.tested) if samples > 0]
    return min(tested or [0], key=lambda c: (result.misclassified_test[c], c))
