"""What makes a function a command: its options, the recipe and workspace that come of them, and how its results and
errors are shown."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dkvb.commands.choose import choose
from dkvb.commands.declare import Flag
from dkvb.commands.failures import INTERRUPTED, attempt
from dkvb.commands.flags import EVERYWHERE, overrides
from dkvb.commands.layout import Command
from dkvb.commands.printing import echo, print_tables
from dkvb.runtime.cluster import kept_workers
from dkvb.runtime.visible import json_text

if TYPE_CHECKING:
    from dkvb.recipe import Recipe
    from dkvb.records.base import Record
    from dkvb.workspace.artifacts import Workspace
    from dkvb.workspace.last_recipe import LastRecipe


class Options:
    """The shared options of one call."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)
        self.json: bool = values["json_"]
        self.force: bool = values["force"]
        self._used: LastRecipe | None = None

    def recipe(self, which: str | None = None) -> Recipe:
        """The recipe that options, file and built-in recipe make together.

        Args:
            which: the built-in recipe or file, where it is not given as `--recipe`; without either, see `choose`.

        Raises:
            UsageError: no such recipe, or a value that it cannot have.
        """
        named = which or self.values["recipe"]
        recipe, self._used = choose(named, overrides(self.values), self.values["data_dir"])
        return recipe

    def workspace(self) -> Workspace:
        """The workspace of `--data-dir` and `--reports-dir`.

        What is written there makes the recipe that was asked for before the one last used in it.

        Raises:
            UsageError: one of them is a file.
        """
        from dkvb.workspace.artifacts import Workspace

        return Workspace(self.values["data_dir"], self.values["reports_dir"], self._used)

    def show(self, answer: Record, tables: Callable[[], Iterable[Any]]) -> None:
        """Print a command's answer: as JSON, or as tables for a person."""
        if self.json:
            typer.echo(json_text(answer.model_dump(mode="json")))
        else:
            print_tables(tables())


def command(
    app: typer.Typer,
    heading: str,
    uses: str,
    flags: Mapping[str, Flag] | None = None,
    *,
    examples: str,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function `f(options, …)` a command of that name; the parameters after `options` are its own options.

    Args:
        heading: where `dkvb --help` lists it.
        uses: which of `EVERYWHERE` it uses, beside --json and --debug; the others are accepted, and not shown.
        flags: more options that it takes.
        examples: lines for its help.
    """
    shown = {name: EVERYWHERE[name] for name in (*uses.split(), "json_", "debug")}
    shared = {**(flags or {}), **{name: shown.get(name) or _hidden(flag) for name, flag in EVERYWHERE.items()}}

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(function, eval_str=True).parameters.values() if p.name != "options"]

        @functools.wraps(function)
        def wrapper(**values: Any) -> None:
            options = Options({name: values[name] for name in shared})
            mine = {parameter.name: values[parameter.name] for parameter in own}

            def work() -> None:
                with kept_workers():
                    function(options, **mine)

            _leave(options, *attempt(work, values["data_dir"], values["debug"]))

        # typer reads options off the signature
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [parameter.replace(kind=keyword) for parameter in own]
        for name, flag in shared.items():
            annotation = Annotated[flag.kind, flag.declared]  # type: ignore[name-defined]
            parameters.append(inspect.Parameter(name, keyword, default=flag.default, annotation=annotation))
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        name = function.__name__.rstrip("_")
        app.command(name, cls=Command, rich_help_panel=heading, epilog=inspect.cleandoc(examples))(wrapper)
        return wrapper

    return decorate


def _hidden(flag: Flag) -> Flag:
    declared = copy.copy(flag.declared)
    declared.hidden = True
    return Flag(flag.kind, declared, flag.default, flag.sets, flag.read)


def _leave(options: Options, code: int, message: str | None) -> None:
    """End the command with its exit code, after a message on stderr and, with --json, on stdout."""
    if message:
        echo(message if code == INTERRUPTED else f"error: {message}", err=True)
        if options.json:
            typer.echo(json_text({"error": message, "exit_code": code}))
    if code:
        raise typer.Exit(code)
