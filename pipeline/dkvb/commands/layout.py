"""Help pages: commands and options under headings, examples at the end. Plain text: rich would double the time that
`dkvb --help` takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer.core import TyperCommand, TyperGroup

from dkvb.runtime.visible import visible

HEADINGS = ("Arguments", "Options", "Unlearning", "Limits", "Data", "Recipe", "Workspace", "Run", "Output")
"""Order of a command's headings."""

NARROW = 28
"""Widest column of options; longer ones have their help on the next line."""


class Group(TyperGroup):
    """`dkvb` itself: each command stands under the heading that it names as its `rich_help_panel`."""

    def make_context(self, *arguments: Any, **extra: Any) -> Any:
        with _visible_errors():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: Any) -> Any:
        with _visible_errors():
            return super().invoke(ctx)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        headings: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            summary = command.help.partition("\n")[0]
            headings.setdefault(command.rich_help_panel, []).append((name, summary))
        _write(formatter, headings)


class Command(TyperCommand):
    """A command: each option stands under the heading that it names; examples stand as they were written."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", *(_in_usage(p) for p in self.params if p.param_type_name == "argument")]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        headings: dict[str, list[tuple[str, str]]] = {}
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            if not parameter.hidden:
                headings.setdefault(heading(parameter), []).append(_row(parameter, ctx))
        _write(formatter, {name: headings[name] for name in HEADINGS if name in headings})

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Examples"):
            for line in (self.epilog or "").splitlines():
                formatter.write(f"  {line}\n")


@contextmanager
def _visible_errors() -> Iterator[None]:
    """The parser's own errors repeat words of the command line."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message") and isinstance(message := getattr(error, "message", None), str):
            error.message = visible(message)  # type: ignore[attr-defined]
        raise


def heading(parameter: Any) -> str:
    """Where a command's option or argument stands in its help."""
    if parameter.param_type_name == "argument":
        return "Arguments"
    return "Output" if parameter.name == "help" else parameter.rich_help_panel or "Options"


def _in_usage(argument: Any) -> str:
    name = argument.metavar + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _row(parameter: Any, ctx: Any) -> tuple[str, str]:
    if parameter.param_type_name == "argument":
        return parameter.metavar, parameter.help
    return parameter.get_help_record(ctx)  # type: ignore[no-any-return]


def _write(formatter: Any, headings: dict[str, list[tuple[str, str]]]) -> None:
    """All headings with one width of their first columns."""
    width = max((len(first) for rows in headings.values() for first, _ in rows if len(first) <= NARROW), default=0)
    for name, rows in headings.items():
        with formatter.section(name):
            formatter.write_dl([(first.ljust(width), second) for first, second in rows], col_max=NARROW)
