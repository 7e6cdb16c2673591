"""`dkvb init`, `status` and `doctor`: the recipe file, what is in the workspace, and what this machine offers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dkvb.commands import complete
from dkvb.commands.console import Options, command
from dkvb.errors import DamagedArtifact, UsageError

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
    app,
    HEADING,
    "recipe data_root seed data_dir reports_dir",
    examples="""
    dkvb status --data-dir /mnt/runs/cifar10
    dkvb status --check                  # is every file still as it was written?
    """,
)
def status(
    options: Options,
    check: Annotated[
        bool, typer.Option("--check", help="Compare every file with what was written down of it.")
    ] = False,
    heal: Annotated[bool, typer.Option("--heal", help="Like --check, and make again what can be.")] = False,
) -> None:
    """What is done, how large it is, and the next command.

    With --check, exit code 5 where anything was altered, is missing, or does not fit what it was made from.
    """
    recipe, workspace = options.recipe(), options.workspace()
    from dkvb.commands import workspace_tables
    from dkvb.commands.status import status, status_checked

    result = status_checked(recipe, workspace, heal) if check or heal else status(recipe, workspace)
    options.show(result, lambda: workspace_tables.status(result))
    if result.check and result.check.problems:
        raise typer.Exit(DamagedArtifact.exit_code)


@command(app, HEADING, "recipe data_root data_dir device", examples="dkvb doctor --recipe cifar10")
def doctor(options: Options) -> None:
    """What this machine offers: device, libraries, data, weights, speed.

    The encoder is timed on a batch a core, with random weights where its own are missing. Nothing is downloaded, and
    what is missing is listed rather than an error.
    """
    recipe, workspace = options.recipe(), options.workspace()
    from dkvb.commands import workspace_tables
    from dkvb.commands.answers import Doctor
    from dkvb.commands.doctor import examine

    entries = examine(recipe, workspace)
    options.show(Doctor(doctor=entries), lambda: workspace_tables.doctor(entries))
