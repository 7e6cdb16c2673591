"""Commands that are killed at one of their file operations, and run again: all that they leave is as if they had not
been."""

from __future__ import annotations

import signal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dying
import forked
from attacked import SEED, Site, copied, differing, told

KILLS = 20

LINES = {
    "forget": "forget dog --reason asked",
    "restore": "restore r0001",
    "purge": "purge r0001 --yes",
    "purge, new keys": "purge r0001 --yes --keys reinit",
    "receipt": "receipt r0001",
    "export": "export EXPORT",
    "report": "report",
}

AFTERWARDS = {"forget": "receipt r0002", "export": "status", "report": "status"}
"""What is run after the command has come to its end: where nothing is said, a receipt of its request."""

_WHOLE: dict[str, tuple[int, dict[str, Any]]] = {}


def _line(what: str, site: Site) -> str:
    return LINES[what].replace("EXPORT", str(site.folder / "data/exported"))


def _run(words: list[str], last: int) -> None:
    """A command that dies at its last-th file operation, or says how many it has."""
    count = dying.die_at(last, dying.OPERATIONS)
    try:
        forked.module("dkvb", tuple(words))
    finally:
        print("operations:", count())


def _started(what: str, site: Site, last: int) -> forked.Forked:
    return forked.call(_run, site.words(_line(what, site)), last, folder=site.folder)


def whole(what: str, requested_site: Site, factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any]]:
    """How many file operations a command has, and what there is after it and its receipt."""
    if what not in _WHOLE:
        site = copied(requested_site, factory.mktemp("whole"))
        process = _started(what, site, 0)
        assert process.end() == 0, process.said
        _WHOLE[what] = _operations(process), _ended(what, site)
    return _WHOLE[what]


def _operations(process: forked.Forked) -> int:
    return int(process.said.rsplit("operations:", 1)[1])


def _ended(what: str, site: Site) -> dict[str, Any]:
    code, said = site.says(AFTERWARDS.get(what, "receipt r0001"))
    assert code == 0, said
    site.sound()
    return told(site)


@cache
def chosen(what: str, count: int) -> list[int]:
    rng = np.random.default_rng([SEED, list(LINES).index(what)])
    return sorted(int(n) for n in rng.choice(np.arange(1, count + 1), KILLS, replace=count < KILLS))


def cases() -> list[Any]:
    every = [(what, kill) for what in LINES for kill in range(KILLS)]
    return [pytest.param(*one, marks=[] if one == ("restore", 11) else pytest.mark.slow) for one in every]


@pytest.mark.parametrize(("what", "kill"), cases())
def test_killed_and_run_again_it_is_as_if_it_had_not_been(
    what: str, kill: int, requested_site: Site, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, ended: Any
) -> None:
    count, expected = whole(what, requested_site, tmp_path_factory)
    at = chosen(what, count)[kill]
    site = copied(requested_site, tmp_path / "site")
    process = _started(what, site, at)
    if process.end() == 0:  # it has fewer where what it remembers of files is written less often
        count = _operations(process)
        at, site = 1 + at % count, copied(requested_site, tmp_path / "another")
        process = _started(what, site, at)
    assert process.end() == -signal.SIGKILL, f"at {at} of {count}: {process.said}"
    code, said = site.says(_line(what, site))
    done = code == 2 and "is not empty" in said and what == "export"  # it had come to its end: it fits, as it is
    assert code == 0 or done, f"killed at {at} of {count}: {said}"
    assert differing(_ended(what, site), expected) == {}, f"killed at {at} of {count}"
    ended("healed")
