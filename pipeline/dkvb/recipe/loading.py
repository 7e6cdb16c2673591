"""Loading a recipe: a built-in one by name, or a TOML file, laid over the built-in recipe of its data source."""

from __future__ import annotations

import importlib.resources
import re
import tomllib
from pathlib import Path
from typing import Any

from dkvb import registry
from dkvb.errors import UsageError, nearest
from dkvb.recipe.settings import Recipe, check_keys, merge, validate

EPOCHS = {"epochs", "lr", "batch_size"}
"""Keys of `[linear]` that mean something to a head that is trained for epochs alone."""

SCRUB_LR = 0.01
"""`scrub.lr` that recipes for own data have for such a head."""

WEIGHTS_FILES = (".pt", ".pth", ".bin", ".safetensors", ".ckpt")


def builtin_names() -> list[str]:
    """Names of the recipes that come with dkvb."""
    folder = importlib.resources.files("dkvb") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def builtin_text(name: str) -> str:
    """The TOML of a built-in recipe, comments included; one that holds `[data]` alone goes on as the recipe does from
    which its source has its settings.

    Raises:
        UsageError: no built-in recipe has that name.
    """
    if name not in builtin_names():
        raise UsageError(
            f"There is no recipe '{name}'{nearest(name, builtin_names())} (A path to a .toml file works too.)"
        )
    text = (importlib.resources.files("dkvb") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    borrowed = registry.source(name).settings if name in registry.names("sources") else ""
    return f"{text.rstrip()}\n\n{_after_data(builtin_text(borrowed))}" if borrowed else text


def _after_data(text: str) -> str:
    """A recipe's sections that come after `[data]`."""
    return text[re.search(r"^\[(?!data\])", text, re.MULTILINE).start() :]  # type: ignore[union-attr]


def _settings_of(source: str) -> dict[str, Any]:
    """What recipes of a source have where they say nothing; nothing where the source has no built-in recipe."""
    if source in builtin_names():
        return tomllib.loads(builtin_text(source))
    borrowed = registry.source(source).settings if source in registry.names("sources") else ""
    return tomllib.loads(_after_data(builtin_text(borrowed))) if borrowed in builtin_names() else {}


def is_builtin(which: str) -> bool:
    """Whether `which` names a built-in recipe rather than a file."""
    return which in builtin_names() and not Path(which).suffix


def load(which: str | None = None, folder: Path | None = None) -> Recipe:
    """Load a recipe by built-in name or path; by default `dkvb.toml` in `folder` (here), else cifar10.

    A file's missing keys come from the built-in recipe named like its `data.source`.

    Raises:
        UsageError: no such recipe, not TOML, or a key or value that a recipe does not have.
    """
    folder = folder or Path.cwd()
    if which is None:
        which = str(folder / "dkvb.toml") if (folder / "dkvb.toml").is_file() else "cifar10"
    path = Path(which)
    if is_builtin(which):
        return _absolute(validate(parse(builtin_text(which), which), f"recipe {which}"), folder)
    if not path.suffix and not path.is_file():
        builtin_text(which)
    settings = parse(_read(path), str(path))
    check_keys(settings, str(path))
    source = settings.get("data", {}).get("source", "cifar10")
    base = _settings_of(source)
    usual = base.get("encoder", {})
    if settings.get("encoder", {}).get("name") not in (None, usual.get("name")):
        # weights and layers of one encoder mean nothing to another
        base["encoder"] = {key: value for key, value in usual.items() if key == "batch_size"}
    head = settings.get("linear", {})
    if "until" not in head and EPOCHS & set(head) and base.get("linear", {}).get("until") == "converged":
        # a recipe of version 0.1, or one that says how long its head is trained: it means that
        settings["linear"] = {**head, "until": "epochs"}
        settings["scrub"] = {"lr": SCRUB_LR, **settings.get("scrub", {})}
    if settings.get("train"):  # one that says how values are trained, too: smoothed only where it says so
        settings["train"] = {"label_smoothing": 0.0, **settings["train"]}
    if "data" in settings:  # images are turned only where the recipe says so
        settings["data"] = {"exif_rotate": False, **settings["data"]}
    settings.setdefault("name", path.stem)
    return _absolute(validate(merge(base, settings), str(path)), path.resolve().parent)


def _read(path: Path) -> str:
    if not path.is_file():
        raise UsageError(
            f"There is no recipe file {path}; `dkvb init` writes one, and built-in recipes are:"
            f" {', '.join(builtin_names())}."
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not valid TOML: its text is not UTF-8.") from None


def parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not valid TOML: {error}.") from None


def data_path(source: str, path: str, folder: Path) -> str:
    """A path from the root on, relative ones being relative to `folder`; a name on a server, where the source may have
    one, stays as it is unless something lies at that path."""
    found = folder / Path(path).expanduser()
    named = not path.startswith((".", "~")) and path.count("/") <= 1 and not Path(path).is_absolute()
    if named and not found.exists() and source in registry.names("sources") and registry.source(source).remote:
        return path
    return str(found.resolve())


def _absolute(recipe: Recipe, folder: Path) -> Recipe:
    """Paths are relative to the recipe's own folder; a weights value counts as a path where it is a file there."""

    def resolve(path: str | None) -> str | None:
        return None if path is None else str((folder / Path(path).expanduser()).resolve())

    def below(path: str | None) -> str | None:
        """A part of the data set: below the recipe's folder where something is there, else below `data.path`."""
        return resolve(path) if path is not None and (folder / Path(path).expanduser()).exists() else path

    weights, path = recipe.encoder.weights, recipe.data.path
    if weights is not None and (Path(weights).suffix in WEIGHTS_FILES or (folder / weights).is_file()):
        weights = resolve(weights)
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(
                update={
                    "path": None if path is None else data_path(recipe.data.source, path, folder),
                    "train": below(recipe.data.train),
                    "test": below(recipe.data.test) if isinstance(recipe.data.test, str) else recipe.data.test,
                }
            ),
            "encoder": recipe.encoder.model_copy(update={"weights": weights}),
            "unlearn": recipe.unlearn.model_copy(update={"proxy": resolve(recipe.unlearn.proxy)}),
        }
    )
