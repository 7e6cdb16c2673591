"""The command line: `dkvb COMMAND`. Each command imports its heavy libraries itself, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from dkvb.commands import audit, deletion, experiments, ledger, requests, stages, use, verify, workspace
from dkvb.commands.layout import Group
from dkvb.commands.signals import end_on_sigterm
from dkvb.runtime.garbage import search_seldom
from dkvb.version import __version__

app = typer.Typer(
    name="dkvb",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`dkvb run digits` shows all stages in a minute; `dkvb COMMAND --help` has examples.",
)
for topic in (stages, deletion, ledger, requests, verify, use, experiments, audit, workspace):
    app.registered_commands += topic.app.registered_commands


def _version(show: bool) -> None:
    if show:
        typer.echo(f"dkvb {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Make a classifier on a frozen encoder forget a class in seconds, and prove it."""


def main() -> None:
    """Entry point of the `dkvb` command."""
    end_on_sigterm()
    search_seldom()
    app(prog_name="dkvb")
