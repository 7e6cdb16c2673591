"""Writes the command reference, docs/cli.md: `python docs/make_cli.py`.

All of it is read from the app (usage, options, examples), from the records that commands print, and from the errors;
the same bytes every time.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer.main
from pydantic.fields import FieldInfo

from dkvb.cli import app
from dkvb.commands.answers import ANSWERS
from dkvb.commands.failures import INTERRUPTED
from dkvb.commands.layout import HEADINGS, heading
from dkvb.errors import DkvbError
from dkvb.records.base import Record

HEAD = """# Commands

All commands and their options, as `dkvb COMMAND --help` has them, and the fields of what they print with `--json`. This page is generated: `python docs/make_cli.py`.

`--json` prints one JSON object on stdout and nothing else there; progress goes to stderr. Where a command fails, the object is `{"error": "…", "exit_code": 3}`.
Accuracies and other shares lie in [0, 1], and a class is named by its id unless a field says otherwise. A number that could not be measured is null, never 0.
Fields marked *optional* are left out where there is nothing to say. L is the number of classes.

## Exit codes
"""  # noqa: E501

SAME_EVERYWHERE = {
    "artifact": "The artifact's folder.",
    "check": "What was checked.",
    "class_id": "Id of the class.",
    "class_name": "Name of the class.",
    "classes": "Ids of the classes.",
    "correct": "Samples that were predicted correctly.",
    "encoder": "Name of the encoder.",
    "files": "Files that were looked at.",
    "forget": "Ids of the forgotten classes.",
    "forget_names": "Their names.",
    "forget_test": "Accuracy on the forgotten classes of the test set.",
    "forget_train": "Accuracy on the forgotten classes of the training set.",
    "forget_validation": "Accuracy on the forgotten classes of the validation set.",
    "high": "Upper end of the 95% interval.",
    "low": "Lower end of the 95% interval.",
    "masked": "Pairs that are masked.",
    "method": "Name of the method.",
    "model": "dkvb is the bottleneck, linear the linear head.",
    "n": "N, as it was used.",
    "n_name": "What n counts.",
    "name": "Name of the class.",
    "names": "Names of the classes.",
    "pairs_total": "Pairs of the bottleneck.",
    "passed": "Whether it was passed.",
    "per_class_test": "(L,) test accuracy of each class.",
    "per_class_train": "(L,) training accuracy of each class.",
    "purged": "Ids of classes that were purged from it.",
    "request": "Id of the request.",
    "restored": "When the request was restored.",
    "retain_test": "Accuracy on all other classes of the test set.",
    "retain_train": "Accuracy on all other classes of the training set.",
    "retain_validation": "Accuracy on all other classes of the validation set.",
    "samples": "Samples that were measured.",
    "seconds": "Seconds that it took.",
    "seed": "The seed.",
    "skipped": "Whether it had been done before, so that nothing was left to do.",
    "source": "The recipe's `data.source`.",
    "stage": "Name of the stage.",
    "state": "How far it has come.",
    "test": "Test accuracy.",
    "train": "Training accuracy.",
    "what": "What it is.",
}
"""Field -> its meaning, where the record does not say it and neither does the record that stands there."""


def cell(text: str) -> str:
    """Text in a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")


def row(*cells: str) -> str:
    return f"| {' | '.join(map(cell, cells))} |"


# --- commands and their options


def commands() -> dict[str, dict[str, Any]]:
    """Heading -> name -> command, in the order of `dkvb --help`."""
    group: Any = typer.main.get_command(app)
    groups: dict[str, dict[str, Any]] = {}
    for name, command in group.commands.items():
        groups.setdefault(command.rich_help_panel, {})[name] = command
    return groups


def takes(parameter: Any) -> str:
    """What an option takes, and what it is without it."""
    if parameter.param_type_name == "argument":
        return "" if parameter.required else "optional"
    words = "" if parameter.is_flag else parameter.metavar
    parts = [" or ".join(f"`{word}`" for word in words.split("|"))] if words else []
    if parameter.default not in (None, False):
        parts.append(f"default `{f'--{parameter.name}' if parameter.default is True else parameter.default}`")
    if parameter.envvar:
        parts.append(f"or `{parameter.envvar}` of the environment")
    return ", ".join(parts)


def spelled(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`" + (" …" if parameter.nargs == -1 else "")
    names = sorted([*parameter.opts, *parameter.secondary_opts], key=lambda name: name.startswith("--"))
    return ", ".join(f"`{name}`" for name in names)  # --help comes from a set, in any order


def options(command: Any, context: Any) -> Iterator[str]:
    headings: dict[str, list[Any]] = {}
    for parameter in command.get_params(context):
        if not parameter.hidden:
            headings.setdefault(heading(parameter), []).append(parameter)
    yield from ("| option | takes | meaning |", "|---|---|---|")
    for name in HEADINGS:
        if name in headings:
            yield row(f"**{name}**", "", "")
            for parameter in headings[name]:
                yield row(spelled(parameter), takes(parameter), parameter.help)


def also_failed(command: Any) -> str:
    """What else ends a command with exit code 1, as its help says."""
    said = re.search(r"exit code 1 (where [^.;]+)", " ".join(command.help.split()), re.I)
    return f"; 1 also {said[1]}" if said else ""


def called(name: str, command: Any) -> Any:
    """The context of a command that is called as `dkvb NAME`."""
    parent = typer.main.get_command(app).make_context("dkvb", [], resilient_parsing=True)
    return command.make_context(name, [], parent=parent, resilient_parsing=True)


# --- records


def described(cls: type[Record]) -> dict[str, str]:
    """Field -> the text below it in the class or the one that it inherits the field from."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Record) and base is not Record:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body  # type: ignore[attr-defined]
            for field, text in pairwise(body):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    texts[field.target.id] = inspect.cleandoc(text.value.value)  # type: ignore[union-attr, attr-defined]
    return texts


def records_in(kind: Any) -> Iterator[type[Record]]:
    """Records that stand in a type, such as a list of them."""
    if isinstance(kind, type) and issubclass(kind, Record):
        yield kind
    for inner in get_args(kind):
        yield from records_in(inner)


def meaning(cls: type[Record], name: str) -> str:
    """What a field means, in JSON's words.

    Raises:
        KeyError: nothing says it.
    """
    below = [(kind.__doc__ or "").partition("\n\n")[0] for kind in records_in(cls.model_fields[name].annotation)]
    text = described(cls).get(name) or (below[0] if below else SAME_EVERYWHERE.get(name))
    if text is None:
        raise KeyError(f"{cls.__name__}.{name} has no docstring: say below it what it means")
    return re.sub(r"\bNone\b", "null", text)


PLAIN = {str: "text", int: "integer", float: "number", bool: "true or false", NoneType: "null", Any: "anything"}


def kind_of(kind: Any) -> str:
    """A type in words, with links to records."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is list:
        several = get_origin(inner[0]) in (Union, UnionType)
        return f"list of ({kind_of(inner[0])})" if several else f"list of {kind_of(inner[0])}"
    if origin is dict:
        return f"object (name → {kind_of(inner[1])})"
    if origin is tuple:
        return f"[{', '.join(map(kind_of, inner))}]"
    if origin is Literal:
        return " or ".join("true" if value is True else f'"{value}"' for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(map(kind_of, inner))
    return PLAIN[kind] if kind in PLAIN else f"[{kind.__name__}](#{kind.__name__.lower()})"


def fields(cls: type[Record]) -> Iterator[str]:
    """A table of the fields of a record."""
    yield from ("| field | type | meaning |", "|---|---|---|")
    for name, field in cls.model_fields.items():
        optional = left_out(cls, name, field)
        kind = kind_of(field.annotation)
        about = ("*optional.* " if optional else "") + meaning(cls, name)
        yield row(f"`{field.alias or name}`", kind.removesuffix(" or null") if optional else kind, about)


def left_out(cls: type[Record], name: str, field: FieldInfo) -> bool:
    """Whether the record leaves a field out where it has no value."""
    return name in cls.absent or (name.endswith("_validation") and not field.is_required())


def nested(cls: type[Record], known: list[type[Record]]) -> None:
    """Add the records below one to those that are known, each before what it holds."""
    for field in cls.model_fields.values():
        for kind in records_in(field.annotation):
            if kind not in known:
                known.append(kind)
                nested(kind, known)


# --- the page


def command_section(name: str, command: Any, shown: list[type[Record]]) -> Iterator[str]:
    """One command; adds to `shown` the records whose fields stand here."""
    context = called(name, command)
    summary, _, more = inspect.cleandoc(command.help).partition("\n\n")
    yield from (f"### dkvb {name}", "", summary, "")
    if more:
        yield from (" ".join(more.split()), "")
    pieces = " ".join(command.collect_usage_pieces(context))
    yield from ("```text", f"dkvb {name} {pieces}", "```", "", "Examples:", "", "```bash", command.epilog, "```", "")
    yield from (*options(command, context), "")
    answer = ANSWERS[name]
    yield from (f"With `--json`: {(answer.__doc__ or '').strip()}", "", *fields(answer), "")
    for field in answer.model_fields.values():
        for kind in records_in(field.annotation):
            if kind not in shown and name != "run":
                shown.append(kind)
                yield from record_section(kind)
    yield from (f"Exit codes: [those of every command](#exit-codes){also_failed(command)}.", "")


def record_section(cls: type[Record]) -> Iterator[str]:
    text = " ".join(inspect.cleandoc(cls.__doc__ or "").split())
    yield from (f"#### {cls.__name__}", "", text, "", *fields(cls), "")


def exit_codes() -> Iterator[str]:
    yield from ("| code | when |", "|---|---|", row("0", "Everything was done, now or before."))
    for error in (DkvbError, *DkvbError.__subclasses__()):
        if "exit_code" in vars(error):
            yield row(str(error.exit_code), re.sub(r" \(exit code \d\)", "", inspect.cleandoc(error.__doc__ or "")))
    yield from (
        row(str(INTERRUPTED), "Interrupted, or ended by SIGTERM; the same command goes on where it stopped."),
        "",
    )


def page() -> str:
    """The whole of docs/cli.md."""
    lines, shown = [HEAD, *exit_codes()], []
    for title, members in commands().items():
        lines += [f"## {title}", ""]
        for name, command in members.items():
            lines += command_section(name, command, shown)
    below: list[type[Record]] = []
    for answer in ANSWERS.values():
        nested(answer, below)
    lines += ["## Records", "", "Parts of the records above.", ""]
    for cls in sorted(set(below) - set(shown), key=lambda cls: cls.__name__):
        lines += record_section(cls)
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(page(), encoding="utf-8")
