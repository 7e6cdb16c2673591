"""Refusals of image trees that can be read in more than one way, each with the flags that settle it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NoReturn

from dkvb.errors import UsageError

HOLDS = "a folder of {train,test}/<class>/<image>"

Reading = tuple[str, dict[str, Path]]
"""What a tree may mean, and the flags that say so."""


def refuse_unclear(path: Path, why: str, readings: list[Reading]) -> NoReturn:
    ways = []
    for text, flags in readings:
        command = " ".join(f"{flag} {shlex.quote(str(at))}" for flag, at in flags.items())
        ways.append(f"{text}: `dkvb run {command}`" if command else text)
    raise UsageError(
        f"{path} is unclear: {why}. Say what is meant, with these flags or as data.train and data.test in the recipe."
        f" Either {'; or '.join(ways)}."
    )


def refuse_loose(path: Path, names: list[str]) -> NoReturn:
    """Folders called like splits hold images and no class folders."""
    if len(names) == 1:
        raise UsageError(
            f"{path / names[0]} holds no class folders; it needs a folder of images for each class ({HOLDS})."
        )
    readings: list[Reading] = [
        (f"{listed(names)} are classes", {"--train": path}),
        ("they are splits, and their images have to be sorted into a folder for each class first", {}),
    ]
    refuse_unclear(path, f"{listed(names)} hold images and no class folders", readings)


def refuse_no_train(path: Path, tests: list[str], others: bool) -> NoReturn:
    """There are test sets and no training set.

    Args:
        others: whether other folders hold images.
    """
    first = tests[0]
    if others:
        readings: list[Reading] = [
            (f"its folders are classes, {first}/ among them", {"--train": path}),
            (f"its folders are classes, and {first}/ is the test set", {"--train": path, "--test": path / first}),
        ]
    elif len(tests) > 1:
        readings = [
            (f"{train}/ trains and {test}/ tests", {"--train": path / train, "--test": path / test})
            for test, train in ((first, tests[1]), (tests[1], first))
        ]
    else:
        readings = [(f"{first}/ holds all there is, and a share of it is to test", {"--train": path / first})]
        readings += [("the training set lies elsewhere", {"--train": Path("DIR"), "--test": path / first})]
    refuse_unclear(path, f"it has a {first}/ folder and no train/ with class folders", readings)


def refuse_two(path: Path, names: list[str], role: str, flag: str) -> NoReturn:
    """Two folders are called the same."""
    readings: list[Reading] = [(f"{name}/ is the {role} set", {flag: path / name}) for name in names]
    refuse_unclear(path, f"{listed(names)} are both called a {role} set", readings)


def refuse_beside(path: Path, train: str, others: list[str], test: str | None) -> NoReturn:
    """A training set lies beside folders that may be classes too.

    Args:
        test: that of them that may be the test set.
    """
    alone = {"--train": path / train}
    readings: list[Reading] = [(f"{train}/ is the training set, and a share of it is to test", alone)]
    if test:
        readings.append((f"{train}/ is the training set and {test}/ the test set", alone | {"--test": path / test}))
    readings.append((f"{train}/ is a class, like the folders beside it", {"--train": path}))
    hold = "hold" if len(others) > 1 else "holds"
    refuse_unclear(path, f"{train}/ holds class folders, and {listed(others)} beside it {hold} images", readings)


def refuse_nested(path: Path, first: str, second: str, shared: list[str]) -> NoReturn:
    """Folders may be classes, or splits of the same classes."""
    readings: list[Reading] = [
        (f"{first}/ and {second}/ are classes", {"--train": path}),
        (
            f"{first}/ is the training set and {second}/ the test set",
            {"--train": path / first, "--test": path / second},
        ),
    ]
    refuse_unclear(path, f"{first}/ and {second}/ both hold folders called {listed(shared)}", readings)


def listed(names: list[str], limit: int = 3) -> str:
    """Folders in words."""
    shown = [f"{name}/" for name in names[:limit]]
    if len(names) > limit:
        return f"{', '.join(shown)} and {len(names) - limit} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
