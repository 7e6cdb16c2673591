"""Which classes are to be forgotten: names and ids as people give them, to class ids.

Names are checked by what the features' manifest says, and this module imports nothing heavy, so that a mistyped name is
refused at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from dkvb.errors import UsageError, nearest, some
from dkvb.recipe import Recipe
from dkvb.records.embed import EmbedResult
from dkvb.records.train import TrainResult
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.specs import embed_settings

if TYPE_CHECKING:
    from dkvb.evaluation.seed import TrainedSeed

KEYWORDS = {"best": "the best-learned class", "each": "each class in turn"}
"""What `unlearn.forget` may be by itself, beside a class: word -> what is forgotten."""


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
    elif keyword(recipe) is None:
        class_ids(_listed(recipe), classes)


def _listed(recipe: Recipe) -> list[str | int]:
    forget = recipe.unlearn.forget
    return list(forget) if isinstance(forget, list) else [forget]


def keyword(recipe: Recipe) -> str | None:
    """ "best" or "each" where `unlearn.forget` is that word by itself, with or without a # before it. In a list it is a
    class's name."""
    forget = recipe.unlearn.forget
    word = forget.removeprefix("#") if isinstance(forget, str) else None
    return word if word in KEYWORDS else None


def forget_sets(trained: TrainedSeed, together: Sequence[TrainedSeed] = ()) -> list[list[int]]:
    """The classes to forget, together or in turn, as ids.

    Args:
        together: all seeds of the run, over which the best-learned class is chosen; by default the one alone.

    Raises:
        UsageError: a name or id that is no class, a class named twice, or all of them.
    """
    wanted, classes = keyword(trained.recipe), trained.splits.classes
    if wanted == "best":
        return [[_best_learned(trained, together or [trained])]]
    if wanted == "each":
        return [[c] for c in range(len(classes))]
    return [class_ids(_listed(trained.recipe), classes)]


def best_on(trained: TrainedSeed) -> Literal["validation", "test"] | None:
    """The split on which the best-learned class is chosen; None where the recipe does not ask for it."""
    if keyword(trained.recipe) != "best":
        return None
    known = "validation" in trained.splits.evaluation
    return "validation" if known and trained.recipe.unlearn.best_on == "validation" else "test"


def best_in_words(trained: TrainedSeed, forget: Sequence[int], seeds: int) -> str:
    """Which class is the best-learned one, and by which data."""
    name, on = trained.splits.classes[forget[0]], best_on(trained)
    if on == "validation":
        over = f" over {seeds} seeds, and the same for all" if seeds > 1 else ""
        return f"best-learned class: {name} (fewest mistakes on validation data{over})"
    asked = trained.recipe.unlearn.best_on == "test"
    why = "as the paper does" if asked else "since the recipe keeps no validation data (data.validation)"
    return (
        f"best-learned class: {name} (seed {trained.seed}: fewest mistakes on test data, {why}; accuracies on the same"
        " test data favour it)"
    )


def class_ids(names: Sequence[str | int], classes: Sequence[str]) -> list[int]:
    """The classes to forget together as ids, sorted.

    Raises:
        UsageError: no names, a name or id that is no class, a class named twice, or all of them.
    """
    ids = [class_id(name, classes) for name in names]
    if not ids:
        raise UsageError("The list of classes to forget is empty: name at least one.")
    if twice := [classes[c] for c in ids if ids.count(c) > 1]:
        raise UsageError(f"Class '{twice[0]}' is named twice among the classes to forget; name it once.")
    if len(ids) == len(classes):
        raise UsageError(f"All {len(classes)} classes would be forgotten and nothing retained: leave at least one out.")
    return sorted(ids)


def class_id(given: str | int, classes: Sequence[str]) -> int:
    """The id of a class: its position among the classes, from 0 on.

    Args:
        given: a name, compared exactly, or "#3" for the class of id 3 (unless a class is called that); an int is an id.

    Raises:
        UsageError: there is no such class.
    """
    names = list(classes)
    if isinstance(given, str):
        by_id = {f"#{c}": c for c in range(len(names))}
        if given in names:
            return names.index(given)
        if given in by_id:
            return by_id[given]
        raise UsageError(_no_class(given, names, by_id))
    if not 0 <= given < len(names):
        raise UsageError(f"There is no class of id {given}: ids go from 0 to {len(names) - 1}.")
    return int(given)


def _no_class(given: str, names: list[str], by_id: dict[str, int]) -> str:
    """What to say of a name that no class has."""
    said = f"There is no class '{given}'"
    if f"#{given}" in by_id:
        return (
            f"{said}; known: {some(names, 10)}. If you mean the class at position {given}, counted from 0, which is"
            f" '{names[by_id[f'#{given}']]}': give --id {given}, or '#{given}' in quotes."
        )
    if given in KEYWORDS:
        return f'{said}: give --{given} for {KEYWORDS[given]} (in a recipe, unlearn.forget = "{given}").'
    if re.fullmatch("#[0-9]+", given):
        return f"{said}, and none of that id: ids go from #0 to #{len(names) - 1}."
    return said + nearest(given, names)


def _best_learned(trained: TrainedSeed, together: Sequence[TrainedSeed]) -> int:
    """The class with the fewest misclassifications of the bottleneck, lowest id on a tie: on test data by each seed
    for itself (Appendix A), on validation data over all seeds."""
    if best_on(trained) == "validation":
        by_seed = [one.validation_errors for one in together]
        wrong, samples = ([int(sum(seeds)) for seeds in zip(*of, strict=True)] for of in zip(*by_seed, strict=True))
    else:
        result = trained.dkvb_artifact.result_as(TrainResult)
        wrong, samples = result.misclassified_test, result.tested
    known = [c for c in range(len(samples)) if samples[c] > 0]
    return min(known or [0], key=lambda c: (wrong[c], c))
