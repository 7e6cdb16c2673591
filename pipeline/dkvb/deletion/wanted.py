"""What a request asks for: the model in which to forget, and the ids of the classes."""

from __future__ import annotations

from collections.abc import Sequence

from dkvb.errors import UsageError
from dkvb.evaluation.forget_sets import class_id
from dkvb.evaluation.seed import TrainedSeed
from dkvb.recipe import Recipe
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import Union, need_features


def first_model(recipe: Recipe, workspace: Workspace) -> TrainedSeed:
    """The models of the recipe's first seed, in whose bottleneck requests are opened.

    Raises:
        MissingStage: nothing embedded yet.
    """
    return TrainedSeed(recipe, workspace, need_features(recipe, workspace), recipe.run.seeds[0])


def purged_since(trained: TrainedSeed) -> bool:
    """Whether anything was purged from the features, or they are gone, since they were looked up."""
    now = trained.workspace.read(trained.features.path)
    return now is None or now.manifest != trained.features.manifest


def wanted_ids(trained: TrainedSeed, names: Sequence[str | int], flags: str = "") -> list[int]:
    """Ids of the named classes, sorted, each once. `flags`: what the command was given beside them.

    Raises:
        UsageError: an unknown class, or none.
    """
    wanted = sorted({class_id(name, trained.splits.classes) for name in names})
    if not wanted:
        raise UsageError(f"Name at least one class to forget, such as `dkvb forget truck{flags}`.")
    return wanted


def refuse_all(trained: TrainedSeed, forget: Sequence[int], earlier: Union) -> None:
    """Raise UsageError where no class would be left."""
    classes = trained.splits.classes
    if len({*forget, *earlier.classes}) >= len(classes):
        raise UsageError(
            f"Forgetting {', '.join(classes[c] for c in forget)} as well would leave no class: {len(earlier.classes)}"
            f" of {len(classes)} are forgotten already. Leave one out."
        )
