"""Which recipe a command means: the one it names, else that of `dkvb.toml` here, else the one last used in the
workspace, else cifar10."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkvb.commands.printing import echo
from dkvb.errors import UsageError

if TYPE_CHECKING:
    from dkvb.recipe import Recipe
    from dkvb.workspace.last_recipe import LastRecipe

HERE, USUAL = "dkvb.toml", "cifar10"


def choose(named: str | None, overrides: Mapping[str, Mapping[str, Any]], root: Path) -> tuple[Recipe, LastRecipe]:
    """The recipe that is meant, and what is remembered of it once something is written into the workspace.

    Args:
        named: a built-in recipe or a file; None where the command names none.
        overrides: what options set in it: section -> key -> value.
        root: the workspace's folder.

    Raises:
        UsageError: no such recipe, a value that it cannot have, or the one last used is gone.
    """
    from dkvb import recipe as recipes
    from dkvb.workspace import last_recipe
    from dkvb.workspace.last_recipe import LastRecipe

    if named is None and Path(HERE).is_file():
        named = HERE
    last = last_recipe.read(root) if named is None else None
    if last is not None:
        recipe, which, data_path = _load_again(last, root), last.recipe, last.data_path
    else:
        named = named or USUAL
        recipe, builtin = recipes.load(named), recipes.is_builtin(named)
        which = named if builtin else str(Path(named).resolve())
        data_path = recipe.data.path if builtin else None  # a built-in recipe's is relative to where it was used
    recipe = recipe.with_(**overrides)
    if (given := overrides.get("data", {}).get("path")) is not None:
        data_path = recipes.data_path(recipe.data.source, given, Path.cwd())
        recipe = recipe.with_(data={"path": data_path})
    return recipe, LastRecipe(recipe=which, data_path=data_path)


def _load_again(last: LastRecipe, root: Path) -> Recipe:
    from dkvb.recipe import load

    place = f", data at {last.data_path}" if last.data_path else ""
    try:
        recipe = load(last.recipe)
        if last.data_path is not None:
            recipe = recipe.with_(data={"path": last.data_path})
    except UsageError as error:
        raise UsageError(
            f"The recipe last used in {root} is {last.recipe}, and it cannot be loaded: {error} Give --recipe NAME or"
            " FILE."
        ) from None
    echo(f"recipe: {last.recipe}{place}, as last used in {root} (--recipe names another)", err=True)
    return recipe
