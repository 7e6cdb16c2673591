"""Options that several commands share: their names, their help, and which key of the recipe each overrides.

Every command accepts `EVERYWHERE`; its help shows those of them that it uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from dkvb import registry
from dkvb.commands import complete
from dkvb.commands.declare import Flag, absolute, classes_to_forget, flag, number_or, there
from dkvb.commands.limits import LIMITS

_RECIPE: dict[str, Any] = {"rich_help_panel": "Recipe"}
_WORKSPACE: dict[str, Any] = {"rich_help_panel": "Workspace"}
_RUN: dict[str, Any] = {"rich_help_panel": "Run"}
_OUTPUT: dict[str, Any] = {"rich_help_panel": "Output"}
_UNLEARNING: dict[str, Any] = {"rich_help_panel": "Unlearning"}


def by_id(told: str, **more: Any) -> Flag:
    """`--id`, which may be repeated."""
    return flag(list[int] | None, "--id", metavar="N", help=told, **more)


EVERYWHERE = {
    "recipe": flag(
        str | None,
        "--recipe",
        metavar="NAME|FILE",
        help="Built-in recipe or .toml file [default: dkvb.toml here, else the recipe last used in the workspace, else"
        " cifar10].",
        autocompletion=complete.recipes,
        **_RECIPE,
    ),
    "data_root": flag(
        Path | None,
        "--data-root",
        metavar="PATH",
        help="Where the data set lies (overrides data.path).",
        sets="data.path",
        read=str,
        **_RECIPE,
    ),
    "seed": flag(
        int | None,
        "--seed",
        metavar="N",
        help="One seed instead of the recipe's.",
        sets="run.seeds",
        read=lambda seed: [seed],
        **_RECIPE,
    ),
    "data_dir": flag(
        Path,
        "--data-dir",
        default=Path("data"),
        metavar="DIR",
        help="Workspace, which the stages write to.",
        envvar="DKVB_DATA",
        **_WORKSPACE,
    ),
    "reports_dir": flag(
        Path, "--reports-dir", default=Path("reports"), metavar="DIR", help="Where HTML pages go.", **_WORKSPACE
    ),
    "device": flag(
        str | None,
        "--device",
        metavar="auto|cpu|cuda",
        help="Where to compute.",
        autocompletion=complete.one_of("auto", "cpu", "cuda"),
        sets="run.device",
        **_RUN,
    ),
    "workers": flag(
        int | None,
        "--workers",
        metavar="N",
        help="Processes; results don't depend on it.",
        sets="run.workers",
        **_RUN,
    ),
    "scheduler": flag(
        str | None,
        "--scheduler",
        metavar="ADDRESS",
        help="A running Dask scheduler, tcp://host:port.",
        sets="run.scheduler",
        **_RUN,
    ),
    "force": flag(bool, "--force", default=False, help="Make again, or replace, what is already there.", **_RUN),
    "json_": flag(
        bool, "--json", default=False, help="Print one JSON object on stdout and nothing else there.", **_OUTPUT
    ),
    "debug": flag(bool, "--debug", default=False, help="Show the traceback of an error.", **_OUTPUT),
}


def _part(key: str, told: str) -> Flag:
    """Where a part of the data set lies."""
    return flag(
        str | None, f"--{key}", metavar="DIR", help=told, sets=f"data.{key}", read=there, rich_help_panel="Data"
    )


READING = {
    "train": _part("train", "Folder of the training set, where its name does not say so."),
    "test": _part("test", "Folder of the test set, likewise."),
    "on_bad": flag(
        str | None,
        "--on-bad",
        metavar="fail|skip",
        help="Unreadable images: fail, naming them all, or skip and record them.",
        autocompletion=complete.one_of("fail", "skip"),
        sets="data.on_bad",
        rich_help_panel="Data",
    ),
    "strict": flag(
        bool,
        "--strict",
        default=False,
        help="Fail, rather than warn: files passed over, class names that look alike, contents shared by train and test"
        " or by classes.",
        sets="data.strict",
        rich_help_panel="Data",
    ),
}
"""How a data set is read."""

FORGET = {
    "forget": flag(
        list[str] | None,
        "--forget",
        metavar="CLASS",
        help="Class to forget, by name; repeat it for several together.",
        autocompletion=complete.classes,
        **_UNLEARNING,
    ),
    "id_": by_id("Class to forget, by id: its position, from 0 on. As '#N' with --forget.", **_UNLEARNING),
    "best": flag(bool, "--best", default=False, help="Forget the best-learned class.", **_UNLEARNING),
    "each": flag(bool, "--each", default=False, help="Forget each class in turn.", **_UNLEARNING),
}
"""Which classes are forgotten; together they set `unlearn.forget`."""


def _dial(key: str, told: str) -> Flag:
    """An N of masking, a number or "auto"."""
    read = number_or("auto", int, f"--{key}")
    return flag(str | None, f"--{key}", metavar="N|auto", help=told, sets=f"unlearn.{key}", read=read, **_UNLEARNING)


_RIVALS = [name for name, entry in registry.methods().items() if entry.rival]
_NAMED = ", ".join(name for name in registry.names("methods") if name not in _RIVALS)

MASKING = {
    "method": flag(
        list[str] | None,
        "--method",
        metavar="NAME",
        help=f"May be repeated: {_NAMED}; or one of {len(_RIVALS)} published rivals ({_RIVALS[0]}, {_RIVALS[1]},"
        " …; docs/rivals.md has them all).",
        autocompletion=complete.methods,
        sets="unlearn.method",
        **_UNLEARNING,
    ),
    "nv": _dial("nv", "N_v: pairs to mask, by votes."),
    "rank": flag(
        str | None,
        "--rank",
        metavar="RANKING",
        help="How votes rank pairs: value, counted or share.",
        autocompletion=complete.one_of("value", "counted", "share"),
        sets="unlearn.rank",
        **_UNLEARNING,
    ),
    "na": _dial("na", "N_a: pairs to mask, by activations."),
    "ne": _dial("ne", "N_e: samples whose pairs to mask, by examples."),
    "counts": flag(
        str | None,
        "--counts",
        metavar="SOURCE",
        help="Whose selections choose the pairs: those of the forget-set, of training's last-epoch (no data needed), or"
        " of a proxy.",
        autocompletion=complete.one_of("forget-set", "last-epoch", "proxy"),
        sets="unlearn.counts",
        **_UNLEARNING,
    ),
    "proxy": flag(
        Path | None,
        "--proxy",
        metavar="PATH",
        help="Proxy set: a .npz with x (N, D), or a folder of images.",
        sets="unlearn.proxy",
        read=absolute,
        **_UNLEARNING,
    ),
    "target": flag(
        str | None,
        "--target",
        metavar="chance|zero",
        help="Forget accuracy at which 'auto' aims.",
        autocompletion=complete.one_of("chance", "zero"),
        sets="unlearn.target",
        **_UNLEARNING,
    ),
    "choose": flag(
        str | None,
        "--choose",
        metavar="validation|test",
        help="Split on which 'auto' chooses N.",
        autocompletion=complete.one_of("validation", "test"),
        sets="unlearn.choose",
        **_UNLEARNING,
    ),
}
"""Which pairs a method masks."""

_CHOOSING_PAIRS = [name for name, entry in registry.methods().items() if entry.family == "masking"]

BY_MASKING = {
    **MASKING,
    "method": flag(
        list[str] | None,
        "--method",
        metavar="NAME",
        help=f"{' or '.join(_CHOOSING_PAIRS)} [default: votes where the recipe has it].",
        autocompletion=complete.one_of(*_CHOOSING_PAIRS),
        sets="unlearn.method",
        **_UNLEARNING,
    ),
}
"""The same where nothing but masking will do."""


def method_of_dial(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of `unlearn` that follow from an N given on the command line: without `--method` it says which method is
    meant, and `--na` beside `--method votes` is the number of pairs to mask."""
    given = {dial for dial in ("nv", "na", "ne") if values[dial] is not None}
    methods = values["method"]
    if not methods and len(given) == 1:
        return {"method": {"nv": "votes", "na": "activations", "ne": "examples"}[given.pop()]}
    if methods and "votes" in methods and "activations" not in methods and "na" in given and "nv" not in given:
        return {"nv": MASKING["na"].read(values["na"])}
    return {}


AFTERWARDS = {
    "retrain": flag(
        int | None,
        "--retrain",
        metavar="N",
        help="Epochs to train on the retain set after unlearning (the paper: 10).",
        sets="unlearn.retrain",
        **_UNLEARNING,
    ),
}


def sweep(default: bool | None) -> dict[str, Flag]:
    """`--sweep`; None leaves it to the recipe."""
    declared = typer.Option("--sweep/--no-sweep", help="Also measure the curve over N.", **_UNLEARNING)
    return {"sweep": Flag(bool | None, declared, default, "unlearn.sweep", lambda value: value)}


ALL: dict[str, Flag] = {**EVERYWHERE, **READING, **FORGET, **MASKING, **AFTERWARDS, **LIMITS, **sweep(None)}


def overrides(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a call's options set in the recipe: section -> key -> value.

    Raises:
        UsageError: a value that cannot be read.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        if name in ALL and ALL[name].sets and value not in (None, [], ALL[name].default):
            section, key = ALL[name].sets.split(".")
            sections.setdefault(section, {})[key] = ALL[name].read(value)
    if "best" in values and (wanted := classes_to_forget(values)) is not None:
        sections.setdefault("unlearn", {})["forget"] = wanted
    return sections
