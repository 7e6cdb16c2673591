"""`dkvb init`, `status` and `doctor`: the recipe file, what is in the workspace, and what this machine offers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dkvb.commands import complete
from dkvb.commands.console import Options, command
from dkvb.errors import UsageError

app = typer.Typer()
HEADING = "Workspace"


@command(
    app,
    HEADING,
    "force",
    examples="""
    dkvb init folder                     # your own images, a folder a class
    dkvb init features                   # your own embeddings
    """,
)
def init(
    options: Options,
    name: Annotated[
        str | None,
        typer.Argument(
            help="Built-in recipe to start from [default: cifar10].", metavar="NAME", autocompletion=complete.recipes
        ),
    ] = None,
) -> None:
    """Write dkvb.toml here, from a built-in recipe.

    Commands run in this folder then use it without being told.
    """
    from dkvb.commands.answers import Init, RecipeWritten
    from dkvb.recipe import builtin_text
    from dkvb.workspace.files import write_text

    name = name or options.values["recipe"] or "cifar10"
    text, path = builtin_text(name), Path.cwd() / "dkvb.toml"
    if path.exists() and not options.force:
        raise UsageError(f"{path} is already there: edit it, or give --force to replace it.")
    write_text(path, text)
    answer = Init(init=[RecipeWritten(path=str(path), recipe=name)])
    options.show(answer, lambda: [f"wrote {path} (from the built-in recipe {name})"])


@command(
    app, HEADING, "recipe data_root seed data_dir reports_dir", examples="dkvb status --data-dir /mnt/runs/cifar10"
)
def status(options: Options) -> None:
    """What is done, how large it is, and the next command."""
    recipe, workspace = options.recipe(), options.workspace()
    from dkvb.commands import tables
    from dkvb.commands.status import status

    result = status(recipe, workspace)
    options.show(result, lambda: tables.status(result))


@command(app, HEADING, "recipe data_root data_dir device", examples="dkvb doctor --recipe cifar10")
def doctor(options: Options) -> None:
    """What this machine offers: device, libraries, weights, data.

    Nothing is downloaded, and what is missing is listed rather than an error.
    """
    recipe, workspace = options.recipe(), options.workspace()
    from dkvb.commands import tables
    from dkvb.commands.answers import Doctor
    from dkvb.commands.doctor import examine

    entries = examine(recipe, workspace)
    options.show(Doctor(doctor=entries), lambda: tables.doctor(entries))
