"""The second process of a first run: results and errors come back as if all had been done here; it outlives nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dkvb import load_recipe
from dkvb.commands.stages import SMALL, _small, _trains_beside
from dkvb.errors import UsageError
from dkvb.recipe import Recipe
from dkvb.records.embed import EmbedResult
from dkvb.runtime import parallel
from dkvb.runtime.beside import Beside, There, beside
from dkvb.stages import embed
from dkvb.workspace.artifacts import Workspace


@pytest.fixture(scope="module")
def other() -> Iterator[Beside]:
    process = Beside(["dkvb.errors", "no.such.module"])
    yield process
    process.end()


def test_functions_are_called_in_another_process(other: Beside) -> None:
    pid = other.begin("os", "getpid")()
    assert pid not in (os.getpid(), os.getppid())
    assert other.begin("os", "getpid")() == pid
    assert other.begin("sys", "getrecursionlimit")() == sys.getrecursionlimit()


def test_what_is_raised_there_is_raised_here(other: Beside) -> None:
    result = other.begin("dkvb.recipe", "load", "nowhere.toml")
    with pytest.raises(UsageError, match=r"nowhere\.toml") as raised:
        result()
    assert raised.value.exit_code == UsageError.exit_code
    assert isinstance(raised.value.__cause__, There)
    assert "in load" in str(raised.value.__cause__), "--debug shows where it was raised"


def test_an_interrupt_is_left_to_the_first_process(other: Beside) -> None:
    pid = other.begin("os", "getpid")()
    os.kill(pid, signal.SIGINT)
    assert other.begin("os", "getpid")() == pid


def test_what_it_prints_is_no_answer(other: Beside) -> None:
    assert other.begin("builtins", "print", "")() is None
    assert other.begin("os", "getpid")() != os.getpid()


def slow_but_in(process: int) -> int:
    """The process that calls it, after a minute in all but one."""
    time.sleep(0 if os.getpid() == process else 60)
    return os.getpid()


def test_where_it_was_killed_the_work_is_done_here() -> None:
    with beside([]) as begin:
        pid = begin("os", "getpid")()
        result = begin(slow_but_in.__module__, "slow_but_in", os.getpid())
        os.kill(pid, signal.SIGKILL)
        assert result() == os.getpid()
        assert begin("os", "getpid")() == os.getpid()


def test_what_cannot_be_sent_is_done_here() -> None:
    with beside([]) as begin:
        lock = begin("threading", "Lock")()
        assert lock.acquire(blocking=False)


def test_it_ends_with_the_block() -> None:
    with pytest.raises(KeyError), beside([]) as begin:
        pid = begin("os", "getpid")()
        begin("time", "sleep", 60)
        raise KeyError
    assert not Path(f"/proc/{pid}").exists()


def test_it_ends_with_the_first_process_however_that_ends() -> None:
    code = (
        "import os\nfrom dkvb.runtime.beside import Beside\nother = Beside([])\n"
        "print(other.begin('os', 'getpid')(), flush=True)\nother.begin('time', 'sleep', 60)\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while (there := Path(f"/proc/{int(done.stdout)}").exists()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not there


def test_training_is_begun_beside_only_where_it_saves_time(
    monkeypatch: pytest.MonkeyPatch, trained: Recipe, workspace: Workspace, tmp_path: Path
) -> None:
    fresh, digits = Workspace(tmp_path / "fresh", tmp_path / "reports"), load_recipe("digits")
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    assert _trains_beside(digits, fresh)
    assert not _trains_beside(digits, workspace), "not the first run"
    assert not _trains_beside(load_recipe("cifar10"), fresh), "its encoder imports torch here"
    assert not _trains_beside(digits.with_(run={"workers": 2}), fresh), "spread over processes already"
    monkeypatch.setattr(parallel, "cores", lambda: 1)
    assert not _trains_beside(digits, fresh), "one core"
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    monkeypatch.setitem(sys.modules, "torch", sys)
    assert not _trains_beside(digits, fresh), "torch is here"


def test_work_on_large_features_is_not_shared(trained: Recipe, workspace: Workspace) -> None:
    embedded = embed.run(trained, workspace)
    assert _small(embedded)
    wide = [one.model_copy(update={"dim": SMALL // one.train + 1}) for one in embedded if isinstance(one, EmbedResult)]
    assert len(wide) == 1
    assert not _small(wide)


@pytest.mark.slow
def test_a_first_run_says_and_keeps_what_one_process_would(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "dkvb", "run", "digits", "--json"]
    alone = "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); import dkvb.cli; dkvb.cli.main()"
    said = {}
    for name, command in {"two": words, "one": [sys.executable, "-c", alone, *words[3:]]}.items():
        (tmp_path / name).mkdir()
        done = subprocess.run(command, cwd=tmp_path / name, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        lines = [line for line in done.stderr.splitlines() if not line.endswith(" left")]  # every two seconds
        said[name] = [line.partition(" in ")[0] for line in lines]
    assert "train dkvb seed 0: 20 epochs" in said["two"]
    assert said["two"] == said["one"]
    made = {
        name: sorted(path.parent.name + path.name for path in (tmp_path / name).glob("data/[!.]*/**/*"))
        for name in said
    }
    assert made["two"] == made["one"]
    values = [next((tmp_path / name).rglob("values.safetensors")).read_bytes() for name in said]
    assert values[0] == values[1]


@pytest.mark.slow
def test_an_interrupted_first_run_leaves_no_process(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "dkvb", "run", "digits"]
    run = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stderr
    for line in run.stderr:
        if line.startswith("train dkvb"):
            break
    os.killpg(run.pid, signal.SIGINT)
    run.communicate()
    assert run.returncode == 130
    assert not any(_session(path) == run.pid for path in Path("/proc").iterdir() if path.name.isdigit())


def _session(process: Path) -> int:
    try:
        return os.getsid(int(process.name))
    except OSError:
        return 0
