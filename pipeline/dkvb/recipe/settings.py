"""Every setting of a run together, and how settings given in several places become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dkvb import registry
from dkvb.errors import UsageError, nearest
from dkvb.recipe.sections import (
    Data,
    Deletion,
    Encoder,
    Keys,
    Linear,
    Report,
    Run,
    Scrub,
    Section,
    Train,
    Unlearn,
    Verify,
)


class Recipe(Section):
    """Every setting of a run. `data.path`, `unlearn.proxy` and a weights file are absolute once loaded."""

    name: str = "cifar10"
    data: Data = Data()
    encoder: Encoder = Encoder()
    keys: Keys = Keys()
    train: Train = Train()
    linear: Linear = Linear()
    scrub: Scrub = Scrub()
    unlearn: Unlearn = Unlearn()
    verify: Verify = Verify()
    deletion: Deletion = Deletion()
    report: Report = Report()
    run: Run = Run()

    @property
    def data_name(self) -> str:
        """A short name of the data set."""
        return Path(self.data.path).name if self.data.own and self.data.path else self.data.source

    def with_(self, **sections: Mapping[str, Any]) -> Recipe:
        """A copy with some keys of some sections replaced, validated again."""
        return validate(merge(self.model_dump(), sections), "the command line")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`, section by section."""
    out = dict(base)
    for key, value in over.items():
        out[key] = {**out[key], **value} if isinstance(value, Mapping) and isinstance(out.get(key), Mapping) else value
    return out


def check_keys(settings: Mapping[str, Any], where: str) -> None:
    """Refuse unknown keys by name, with the nearest valid one."""
    for key, value in settings.items():
        if key not in Recipe.model_fields:
            raise UsageError(f"{where}: unknown key '{key}'{nearest(key, Recipe.model_fields)}")
        section = Recipe.model_fields[key].annotation
        if isinstance(section, type) and issubclass(section, Section):
            if not isinstance(value, Mapping):
                raise UsageError(f"{where}: '{key}' is a section; write [{key}] and its keys below it.")
            for inner in value:
                if inner not in section.model_fields:
                    raise UsageError(f"{where}: unknown key '{inner}' in [{key}]{nearest(inner, section.model_fields)}")


def validate(settings: Mapping[str, Any], where: str) -> Recipe:
    """The recipe of some settings.

    Args:
        where: what messages begin with: the file that holds the settings, or "the command line".

    Raises:
        UsageError: an unknown key, a value out of its range, or a name that is no source or method.
    """
    check_keys(settings, where)
    try:
        recipe = Recipe.model_validate(settings)
    except ValidationError as error:
        raise UsageError(f"{where}: {_first_problem(error.errors())}.") from None
    registry.find("sources", recipe.data.source, where)
    for method in recipe.unlearn.methods:
        registry.find("methods", method, where)
    return recipe


_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "list_type": "a list",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "too_short": "a list of at least {min_length}",
}
"""Pydantic's kinds of error -> what to give instead."""


def _first_problem(errors: Sequence[ErrorDetails]) -> str:
    """The first key whose value is refused, the value, and what may stand there (each kind of value that may)."""
    first = errors[0]
    place = first["loc"][:2]
    key = ".".join(map(str, place))
    if first["type"] == "value_error":
        message = first["msg"].removeprefix("Value error, ")
        return f"{key}: {message}"
    wanted = [
        _WANTED.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
        for error in errors
        if error["loc"][:2] == place
    ]
    return f"{key} = {first['input']!r}: give {', or '.join(dict.fromkeys(wanted))}"
