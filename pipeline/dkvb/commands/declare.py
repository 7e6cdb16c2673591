"""Declaring an option: what typer needs to know of it, and how its value becomes one of the recipe's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from dkvb.errors import UsageError


@dataclass(frozen=True)
class Flag:
    """An option: its type and declaration for typer, and what becomes of its value."""

    kind: Any
    declared: Any
    """What `typer.Option` returned."""
    default: Any
    sets: str
    """The key of the recipe that it overrides, such as "run.device"; "" where it overrides none."""
    read: Callable[[Any], Any]
    """From the option's value to the recipe's; raises UsageError where it cannot be read."""


def flag(
    kind: Any, name: str, *, default: Any = None, sets: str = "", read: Callable[[Any], Any] | None = None, **more: Any
) -> Flag:
    """An option; `more` is what `typer.Option` takes."""
    return Flag(kind, typer.Option(name, **more), default, sets, read or (lambda value: value))


def absolute(path: Path) -> str:
    """A path of the command line from the root on, with `~` as the home folder."""
    return str(Path(os.path.expanduser(path)).resolve())


def there(path: str) -> str:
    """A path from the root on where something is there; else as typed, to be looked for below the data set."""
    return absolute(Path(path)) if Path(path).expanduser().exists() else path


def number_or(word: str, kind: type[int] | type[float], name: str) -> Callable[[str], int | float | str]:
    """A reader of numbers, also as 180,000 and 180_000, that lets one word pass."""

    def read(text: str) -> int | float | str:
        try:
            return text if text == word else kind(text.replace(",", "").replace("_", ""))
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            raise UsageError(f"{name} {text}: give {wanted}, or {word}.") from None

    return read


def classes_to_forget(values: Mapping[str, Any]) -> str | list[str | int] | None:
    """What the options of `FORGET` set `unlearn.forget` to: a keyword, or a list of names and ids; None where none is
    given.

    Raises:
        UsageError: a keyword beside classes, or beside another.
    """
    named: list[str | int] = [*(values.get("forget") or []), *(values.get("id_") or [])]
    words = [word for word in ("best", "each") if values.get(word)]
    if len(words) + bool(named) > 1:
        raise UsageError("Give classes (--forget NAME, --id N), or --best, or --each: one of the three.")
    return words[0] if words else named or None
