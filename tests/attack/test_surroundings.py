"""Unusual surroundings: a user without rights, little memory, few files, no home, a clock that was set back. A command
works as ever, or says what is in its way and leaves the workspace as it was."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import forked
from attacked import Site, copied, differing, told
from dkvb.cli import app
from dkvb.deletion import ledger
from dkvb.workspace import requests

NOBODY = 65534
GIB = 2**30


def _as_nobody(warm: list[str], words: list[str]) -> None:
    """A command by a user who owns nothing; what it imports is imported before, by root, who may read it."""
    CliRunner().invoke(app, warm)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os.environ["HOME"] = "/nonexistent"
    done = CliRunner().invoke(app, words)
    print(done.stdout, done.stderr, repr(done.exception))
    sys.exit(done.exit_code)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="dkvb-attack-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


AS_NOBODY = {
    # command -> exit code on another user's workspace
    "status --check": 0,
    "ledger": 0,
    "requests": 0,
    "forget bird": 1,
    "restore r0001": 1,
    "purge r0001 --yes": 1,
    "train --force": 1,
    "report --force": 1,
}


@pytest.mark.skipif(os.geteuid() != 0, reason="every test runs as such a user")
@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=[] if line == "ledger" else pytest.mark.slow) for line in AS_NOBODY]
)
@pytest.mark.parametrize("owned", [False, True])
def test_a_user_who_is_not_root(
    line: str,
    owned: bool,
    full_site: Site,
    open_folder: Path,
    tmp_path: Path,
    ended: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # which that user may not write
    site, warm = copied(full_site, open_folder), copied(full_site, tmp_path / "warm")
    if owned:
        for path in [open_folder, *open_folder.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
    before = told(site)
    process = forked.call(_as_nobody, warm.words(line), site.words(line), folder=open_folder)
    code = process.end()
    said = process.said
    assert "Traceback" not in said
    assert code == (0 if owned else AS_NOBODY[line]), said
    if code:
        assert "permission" in said.lower(), said
        assert differing(told(site), before) == {}
    site.sound()
    ended("named" if code else "harmless")


LIMITED = """
import resource, runpy, sys
kind, most = map(int, sys.argv[1:3])
resource.setrlimit(kind, (most, most))
sys.argv = ["dkvb", *sys.argv[3:]]
runpy.run_module("dkvb", run_name="__main__", alter_sys=True)
"""
"""A command with a limit on what it may use."""

LIMITS = {
    "6 GiB of address space": (resource.RLIMIT_AS, 6 * GIB),
    "40 open files": (resource.RLIMIT_NOFILE, 40),
    "files of 4 kB at most": (resource.RLIMIT_FSIZE, 4096),
}

LINES = ["train --force", "forget dog", "purge r0001 --yes", "export OUT", "report --force", "verify --quick"]


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("limit", LIMITS)
def test_limits(limit: str, line: str, requested_site: Site, tmp_path: Path, ended: Any) -> None:
    site = copied(requested_site, tmp_path / "site")
    words = site.words(line.replace("OUT", str(tmp_path / "out")))
    kind, most = LIMITS[limit]
    done = subprocess.run(  # a process of its own: a forked one has imported more than it needs
        [sys.executable, "-c", LIMITED, str(kind), str(most), *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    code, told_ = done.returncode, done.stdout + done.stderr
    print(code, told_)
    assert "Traceback" not in told_, told_
    assert code in (0, 1), told_
    if code and not (line == "verify --quick" and "failed" in told_):
        assert "error: " in told_
        again, said = site.says(" ".join(words[: len(line.split())]))
        assert again == 0, said  # with room enough it goes on
    site.sound()
    ended("named" if code else "harmless")


HOMES: dict[str, dict[str, str | None]] = {
    "no HOME": {"HOME": None, "XDG_CACHE_HOME": None},
    "an empty HOME": {"HOME": "", "XDG_CACHE_HOME": None},
    "a HOME that is not there": {"HOME": "/nonexistent", "XDG_CACHE_HOME": None},
    "a HOME that is a file": {"HOME": "/etc/hostname", "XDG_CACHE_HOME": None},
    "a locale of ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
}


@pytest.mark.slow
@pytest.mark.parametrize("line", ["status --check", "forget dog", "report --force"])
@pytest.mark.parametrize("home", HOMES)
def test_homes(
    home: str, line: str, full_site: Site, tmp_path: Path, ended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in HOMES[home].items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    site = copied(full_site, tmp_path / "site")
    process = forked.dkvb(*site.words(line), folder=tmp_path)
    assert process.end() == 0, process.said
    site.sound()
    ended("harmless")


class Earlier(datetime):
    """A clock that was set back by ten years."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) - timedelta(days=3653)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["restore r0001", "purge r0001 --yes", "forget dog", "receipt r0001", "report --force"]
)
def test_a_clock_that_was_set_back(
    line: str, full_site: Site, tmp_path: Path, ended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = copied(full_site, tmp_path / "site")
    for path in site.folder.rglob("*"):
        os.utime(path, (0, 0))
    if line.startswith("purge"):
        shutil.rmtree(site.folder / "data/exported")  # of before
    for name, module in list(sys.modules.items()):
        if name.startswith("dkvb.") and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", Earlier)
    assert site.says(line)[0] == 0
    monkeypatch.undo()
    checked = ledger.verify(site.workspace)
    assert (checked.problems, checked.not_checked) == ([], [])
    times = [entry.time for entry in checked.ledger]
    assert times == sorted(times)
    assert times[-1] >= f"{datetime.now(UTC):%Y-%m}"[:4], "no entry is dated before the one that it follows"
    states = {request.id: request.state for request in requests.all_requests(site.workspace)}
    assert states["r0001-cat"] == {"restore": "restored", "purge": "purged"}.get(line.split()[0], "masked")
    site.sound()
    ended("harmless")
