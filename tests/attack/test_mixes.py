"""Commands that run at the same time on one workspace: all end, each well or with an error that says why, and what they
leave fits together."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import forked
from attacked import Site, copied
from dkvb.workspace import requests

pytestmark = pytest.mark.timeout(900)

TIME = 240
"""Seconds within which all must have ended, on a loaded machine."""

MIXES: dict[str, tuple[str, list[str], dict[str, str]]] = {
    # what there is -> commands -> state of each request afterwards
    "run x 3": ("nothing", ["run"] * 3, {}),
    "forget beside forget": ("trained", ["forget cat", "forget dog"], {"cat": "masked", "dog": "masked"}),
    "forget beside verify": ("full", ["forget dog", "verify --quick"], {"cat": "masked", "dog": "masked"}),
    "purge, predict, status": ("full", ["purge r0001 --yes", "predict NEW", "status"], {"cat": "purged"}),
    "report beside forget": ("full", ["report --force", "forget dog"], {"cat": "masked", "dog": "masked"}),
    "export beside purge": ("requested", ["export OUT", "purge r0001 --yes"], {"cat": "purged"}),
    "receipt x 2": ("requested", ["receipt r0001"] * 2, {"cat": "masked"}),
    "restore beside forget": ("full", ["restore r0001", "forget dog"], {"cat": "restored", "dog": "masked"}),
    "train x 2": ("trained", ["train --force"] * 2, {}),
    "unlearn beside report": ("full", ["unlearn --forget bird", "report --force"], {"cat": "masked"}),
}

ALSO = {"verify --quick": (1,), "predict NEW": (), "export OUT": ()}
"""Command -> exit codes that are documented for it beside 0: a verdict that is not passed."""


@pytest.mark.parametrize(
    "mix", [pytest.param(mix, marks=[] if mix == "receipt x 2" else pytest.mark.slow) for mix in MIXES]
)
def test_all_end_and_what_they_leave_fits(
    mix: str, built_site: Site, requested_site: Site, full_site: Site, tmp_path: Path, ended: Any
) -> None:
    kind, commands, expected = MIXES[mix]
    before = {"nothing": built_site, "trained": built_site, "requested": requested_site, "full": full_site}[kind]
    site = copied(before, tmp_path / "site") if kind != "nothing" else bare(built_site, tmp_path / "site")
    data = built_site.folder / "tiny-data/test.npz"
    lines = [line.replace("NEW", str(data)).replace("OUT", str(tmp_path / "out")) for line in commands]
    started = time.monotonic()
    running = [forked.dkvb(*site.words(line), folder=site.folder) for line in lines]
    seconds = []
    for process in running:
        code = process.end(TIME)
        seconds.append(round(time.monotonic() - started, 1))
        assert code is not None, f"stands still after {seconds[-1]} s: {[one.said for one in running]}"
    print(mix, "seconds until each had ended, in order:", seconds)
    for command, process in zip(commands, running, strict=True):
        assert process.end() in (0, *ALSO.get(command, ())), f"{command}: {process.said}"
        assert "Traceback" not in process.said, process.said
    states = {request.id.split("-")[1]: request.state for request in requests.all_requests(site.workspace)}
    assert states == expected
    if (site.folder / "data/exported").is_dir():  # of before: `status --check` reads it, and it is intact
        assert (site.folder / "data/exported/config.json").is_file()
    site.sound()
    ended("healed")


def bare(built_site: Site, folder: Path) -> Site:
    """The recipe alone."""
    folder.mkdir()
    text = (built_site.folder / "tiny.toml").read_text(encoding="utf-8")
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    return Site(folder)


@pytest.mark.slow
def test_three_runs_take_little_longer_than_one(built_site: Site, tmp_path: Path, ended: Any) -> None:
    """The other two wait, and find all of it done."""
    took = {}
    for count in (1, 3):
        site = bare(built_site, tmp_path / f"site{count}")
        started = time.monotonic()
        running = [forked.dkvb(*site.words("run"), folder=site.folder) for _ in range(count)]
        assert [process.end(TIME) for process in running] == [0] * count, [process.said for process in running]
        took[count] = time.monotonic() - started
    print(f"run: {took[1]:.1f} s alone, {took[3]:.1f} s for three at a time")
    assert took[3] < 4 * took[1] + 10
    ended("healed")
