"""What all commands share: their options, how a recipe and a workspace come of them, and how results and errors are
shown."""

from __future__ import annotations

import errno
import functools
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dkvb.errors import DkvbError, UsageError

if TYPE_CHECKING:
    from dkvb.recipe import Recipe
    from dkvb.records.base import Record
    from dkvb.workspace.artifacts import Workspace

COMMON: dict[str, tuple[Any, Any]] = {
    "recipe": (
        Annotated[
            str | None,
            typer.Option(
                "--recipe", help="Built-in recipe or path of a .toml file [default: dkvb.toml here, else cifar10]."
            ),
        ],
        None,
    ),
    "data_root": (
        Annotated[Path | None, typer.Option("--data-root", help="Where the data set lies (overrides data.path).")],
        None,
    ),
    "data_dir": (
        Annotated[Path, typer.Option("--data-dir", envvar="DKVB_DATA", help="Workspace that the stages write to.")],
        Path("data"),
    ),
    "reports_dir": (Annotated[Path, typer.Option("--reports-dir", help="Where HTML reports go.")], Path("reports")),
    "device": (Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda.")], None),
    "workers": (Annotated[int | None, typer.Option("--workers", help="Processes; results don't depend on it.")], None),
    "scheduler": (
        Annotated[
            str | None, typer.Option("--scheduler", help="Address of a running Dask scheduler (tcp://host:port).")
        ],
        None,
    ),
    "seed": (Annotated[int | None, typer.Option("--seed", help="One seed instead of the recipe's.")], None),
    "json_": (
        Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")],
        False,
    ),
    "force": (Annotated[bool, typer.Option("--force", help="Make again what is already there.")], False),
    "debug": (Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")], False),
}


UNLEARN: dict[str, tuple[Any, Any]] = {
    "method": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--method",
                help="activations, examples, scrub[-values, -r], logit-mask, retrain[-keys, -linear]; may be repeated.",
            ),
        ],
        None,
    ),
    "forget": (
        Annotated[
            list[str] | None,
            typer.Option("--forget", help="Class name or id (repeat for several together), 'best' or 'each'."),
        ],
        None,
    ),
    "na": (Annotated[str | None, typer.Option("--na", help="Pairs to mask (activations), or 'auto'.")], None),
    "ne": (Annotated[str | None, typer.Option("--ne", help="Examples to unlearn (examples), or 'auto'.")], None),
    "counts": (
        Annotated[
            str | None, typer.Option("--counts", help="Where selections come from: forget-set, last-epoch or proxy.")
        ],
        None,
    ),
    "proxy": (
        Annotated[Path | None, typer.Option("--proxy", help="Proxy set: a .npz with x (N, D) or a folder of images.")],
        None,
    ),
    "target": (Annotated[str | None, typer.Option("--target", help="What 'auto' aims at: chance or zero.")], None),
    "choose": (
        Annotated[str | None, typer.Option("--choose", help="Split on which 'auto' chooses: validation or test.")],
        None,
    ),
    "retrain": (
        Annotated[
            int | None,
            typer.Option("--retrain", help="Epochs to train on the retain set after unlearning (the paper: 10)."),
        ],
        None,
    ),
}


EMBED: dict[str, tuple[Any, Any]] = {
    "on_bad": (
        Annotated[
            str | None,
            typer.Option("--on-bad", help="Unreadable images: fail, naming them all, or skip and record them."),
        ],
        None,
    ),
    "strict": (
        Annotated[bool, typer.Option("--strict", help="Fail where train and test, or two classes, share contents.")],
        False,
    ),
}


class Options:
    """The options of one call."""

    def __init__(self, values: dict[str, Any], command: str) -> None:
        self.values, self.command = values, command
        self.json: bool = values.get("json_", False)
        self.force: bool = values.get("force", False)

    def recipe(self, which: str | None = None, **more: dict[str, Any]) -> Recipe:
        """The recipe that flags, file and built-in recipe make together."""
        from dkvb import recipe as recipes

        loaded = recipes.load(which or self.values["recipe"])
        over: dict[str, dict[str, Any]] = {"run": {}, "unlearn": {}, "data": {}, **more}
        for name in ("device", "workers", "scheduler"):
            if self.values[name] is not None:
                over["run"][name] = self.values[name]
        if self.values["seed"] is not None:
            over["run"]["seeds"] = [self.values["seed"]]
        if self.values["data_root"] is not None:
            over["data"]["path"] = str(self.values["data_root"].expanduser().resolve())
        if self.values.get("on_bad") is not None:
            over["data"]["on_bad"] = self.values["on_bad"]
        if self.values.get("strict"):
            over["data"]["strict"] = True
        for name in UNLEARN:
            value = self.values.get(name)
            if value is not None and value != []:
                over["unlearn"][name] = _FLAGS.get(name, lambda given: given)(value)
        return loaded.with_(**over)

    def workspace(self) -> Workspace:
        from dkvb.workspace.artifacts import Workspace

        return Workspace(self.values["data_dir"], self.values["reports_dir"])

    def show(self, result: Mapping[str, Any] | Record, table: Callable[[], Any] | None = None) -> None:
        """Print the result: as JSON, or as tables for a person."""
        if self.json:
            typer.echo(json.dumps(result, ensure_ascii=False, default=_plain))
        elif table:
            from rich.console import Console

            console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
            for part in table():
                console.print(part)


def _plain(value: Any) -> Any:
    """A record as `--json` prints it."""
    from dkvb.records.base import Record

    if isinstance(value, Record):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is no record, and JSON has no way to write it")


def _number(name: str, text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text.replace(",", "").replace("_", ""))
    except ValueError:
        raise UsageError(f"--{name} {text}: give a whole number, or auto.") from None


def shard_range(text: str | None) -> tuple[int, int] | None:
    """`3:7` as (3, 7).

    Raises:
        UsageError: not two whole numbers.
    """
    if text is None:
        return None
    first, colon, last = text.partition(":")
    if not (colon and first.isdigit() and last.isdigit()):
        raise UsageError(f"--shard-range {text}: give FIRST:LAST, such as 0:8 for the first eight shards.")
    return int(first), int(last)


_FLAGS: dict[str, Callable[[Any], Any]] = {
    "na": functools.partial(_number, "na"),
    "ne": functools.partial(_number, "ne"),
    "proxy": lambda path: str(path.expanduser().resolve()),
    "forget": lambda names: names[0] if names in (["best"], ["each"]) else names,
}


def command(*groups: dict[str, tuple[Any, Any]]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a function `f(options, …)` the options of some groups, and turn its errors into messages and exit codes."""
    options = {name: option for group in groups for name, option in group.items()}

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = [
            parameter
            for name, parameter in inspect.signature(function, eval_str=True).parameters.items()
            if name != "options"
        ]

        @functools.wraps(function)
        def wrapper(**values: Any) -> None:
            mine = {parameter.name: values.pop(parameter.name) for parameter in own}
            call = Options(values, function.__name__)
            code, message = _run(functools.partial(function, call, **mine), str(values["data_dir"]), values["debug"])
            if message:
                typer.echo(message if code == 130 else f"error: {message}", err=True)
                if call.json:
                    typer.echo(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False))
            if code:
                raise typer.Exit(code)

        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in options.items()
        ]
        signature = inspect.Signature([*(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), *shared])
        wrapper.__signature__ = signature  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        return wrapper

    return decorate


def _run(call: Callable[[], None], folder: str, debug: bool) -> tuple[int, str | None]:
    try:
        call()
    except KeyboardInterrupt:
        return 130, "interrupted; the same command goes on where this one stopped"
    except DkvbError as error:
        if debug:
            traceback.print_exc()
        return error.exit_code, str(error)
    except OSError as error:
        if debug:
            traceback.print_exc()
        return 1, _system_error(error, folder)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not _out_of_memory(error):
            raise
        if debug:
            traceback.print_exc()
        return (
            1,
            "out of memory: lower keys.codebooks or keys.pairs, or use a machine with more; finished work is kept.",
        )
    return 0, None


def _out_of_memory(error: RuntimeError) -> bool:
    """Whether an error is torch's or FAISS's way of saying that memory has run out, on the processor or a GPU."""
    return type(error).__name__ == "OutOfMemoryError" or any(
        sign in str(error) for sign in ("can't allocate memory", "std::bad_alloc", "out of memory")
    )


def _system_error(error: OSError, folder: str) -> str:
    where = error.filename or folder
    reasons = {
        errno.ENOSPC: (
            f"the disk is full ({where}): free some room, then run the same command again; finished work is kept."
        ),
        errno.EDQUOT: (
            f"the disk quota is used up ({where}): free some room, then run the same command again; finished work is"
            " kept."
        ),
        errno.EROFS: f"{where} is on a read-only disk: give another --data-dir or --reports-dir.",
        errno.EACCES: f"{where}: permission denied; mend its permissions, or give another --data-dir or --reports-dir.",
        errno.EPERM: f"{where}: not permitted; mend its permissions, or give another --data-dir or --reports-dir.",
        errno.ENOTDIR: f"{where} needs a folder where there is a file: give another --data-dir or --reports-dir.",
    }
    return reasons.get(
        error.errno or 0,
        f"{where}: {os.strerror(error.errno) if error.errno else error}. Run again with --debug to see where.",
    )
