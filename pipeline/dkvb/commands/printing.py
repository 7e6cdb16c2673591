"""Printing for a person: whatever a class or a file is called, nothing of it reaches the terminal but letters."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import typer

from dkvb.runtime.visible import visible


def echo(text: str, err: bool = False) -> None:
    """Print a line on stdout or stderr."""
    typer.echo(visible(text), err=err)


def print_tables(parts: Iterable[Any]) -> None:
    """Print tables and lines of text on stdout."""
    from rich.console import Console

    class Plain(Console):
        """A console that all text from cells, titles and lines goes through as `visible`."""

        def render_str(self, text: str, **options: Any) -> Any:
            return super().render_str(visible(text), **options)

    console = Plain(width=None if sys.stdout and sys.stdout.isatty() else 120, highlight=False)
    for part in parts:
        console.print(part)
