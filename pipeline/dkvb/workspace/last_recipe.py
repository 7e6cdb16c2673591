"""The recipe last used in a workspace, so that commands which name none go on with it."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from dkvb.errors import UsageError
from dkvb.records.base import Record
from dkvb.workspace import locks
from dkvb.workspace.files import remove_leftovers_of, write_json
from dkvb.workspace.names import LAST_RECIPE


class LastRecipe(Record):
    """What is needed to load a recipe again, from any folder."""

    recipe: str
    """Name of a built-in recipe, or a file's path from the root on."""
    data_path: str | None = None
    """Where the data set lies, where the command line said so: a data set of one's own is told apart by its path."""


def read(root: Path) -> LastRecipe | None:
    """The recipe last used in the workspace at `root`; None where none was.

    Raises:
        UsageError: the file that holds it was damaged.
    """
    file = root / LAST_RECIPE
    try:
        return LastRecipe.model_validate_json(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError:
        raise UsageError(
            f"{file}, which says what recipe was last used there, is damaged: give --recipe NAME or FILE; the next"
            " command that writes into the workspace mends it."
        ) from None


def write(root: Path, used: LastRecipe) -> None:
    """Remember a recipe, where another or none is remembered."""
    try:
        known = read(root)
    except UsageError:
        known = None
    if known != used:
        with locks.hold(root / ".locks", "recipe", "the recipe last used"):
            remove_leftovers_of(root, LAST_RECIPE)
            write_json(root / LAST_RECIPE, used.model_dump(mode="json"))
