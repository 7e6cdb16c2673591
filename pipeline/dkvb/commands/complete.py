"""Shell completion of names: recipes, methods, classes and requests, read from file names and manifests alone."""

from __future__ import annotations

import importlib.resources
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

from dkvb import registry


def one_of(*words: str) -> Callable[[str], list[str]]:
    """Completion of fixed words."""

    def complete(incomplete: str) -> list[str]:
        return _starting(incomplete, words)

    return complete


def recipes(incomplete: str) -> list[str]:
    """Built-in recipes, and TOML files and folders in which to look for them."""
    folder = Path(os.path.dirname(incomplete))
    builtin = [name[:-5] for path in _recipes().iterdir() if (name := path.name).endswith(".toml")]
    files = [str(folder / path.name) for path in _entries(folder) if path.suffix == ".toml"]
    return _starting(incomplete, [*sorted(builtin), *files])


def methods(incomplete: str) -> list[str]:
    """Unlearning methods, those of other packages included."""
    return _starting(incomplete, registry.names("methods"))


def classes(ctx: typer.Context, incomplete: str) -> list[str]:
    """Class names of every data set that is embedded in the workspace."""
    names: dict[str, None] = {}
    for manifest in sorted(_workspace(ctx).glob("embed/*/manifest.json")):
        try:
            names |= dict.fromkeys(json.loads(manifest.read_text(encoding="utf-8"))["result"]["classes"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the command itself says what is damaged
    return _starting(incomplete, names)


def requests(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of the workspace's deletion requests."""
    return _starting(incomplete, sorted(path.parent.name for path in _workspace(ctx).glob("requests/*/request.json")))


def _recipes() -> Any:
    return importlib.resources.files("dkvb") / "recipes"


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _workspace(ctx: typer.Context) -> Path:
    return Path(ctx.params.get("data_dir") or os.environ.get("DKVB_DATA") or "data")


def _starting(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
