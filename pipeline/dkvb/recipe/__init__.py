"""The recipe: one TOML file that holds every setting of a run; flags override it, it overrides a built-in one."""

from dkvb.recipe.loading import WEIGHTS_FILES, builtin_names, builtin_text, data_path, is_builtin, load
from dkvb.recipe.sections import Data, Deletion, Encoder, Keys, Linear, Report, Run, Scrub, Train, Unlearn, Verify
from dkvb.recipe.settings import Recipe, validate

__all__ = [
    "WEIGHTS_FILES",
    "Data",
    "Deletion",
    "Encoder",
    "Keys",
    "Linear",
    "Recipe",
    "Report",
    "Run",
    "Scrub",
    "Train",
    "Unlearn",
    "Verify",
    "builtin_names",
    "builtin_text",
    "data_path",
    "is_builtin",
    "load",
    "validate",
]
