"""Commands in processes of their own, forked from one that has torch and its like imported: seconds saved on each."""

from __future__ import annotations

import importlib.abc
import itertools
import json
import multiprocessing
import os
import re
import runpy
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

PRELOAD = ["distributed", "torch._dynamo", "faiss", "sklearn.linear_model", "zarr"]  # not polars: it outlives no fork

NUMBERS = itertools.count()


class Forked:
    """A running command, and what it has written to stdout and stderr together."""

    def __init__(self, process: Any, output: Path) -> None:
        self.process, self.output = process, output

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8") if self.output.exists() else ""

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Until it has written `text`, or has ended."""
        deadline = time.monotonic() + seconds
        while text not in self.said and self.process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)

    def kill(self) -> bool:
        """Kill it, and say whether it was still running."""
        self.process.kill()
        return self.end(120) == -signal.SIGKILL

    def end(self, seconds: float = 120) -> int | None:
        """Its exit code, once it has ended."""
        self.process.join(seconds)
        return self.process.exitcode


def call(function: Callable[..., Any], *arguments: Any, folder: Path) -> Forked:
    """`function(*arguments)` in a process of its own, run in `folder`, where it also leaves what it writes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    output = folder / f"output-{os.getpid()}-{next(NUMBERS)}"
    words = (function, arguments, str(folder), str(output), dict(os.environ))
    process = context.Process(target=_run, args=words)
    process.start()
    return Forked(process, output)


def dkvb(*arguments: str, folder: Path, shard: int | None = None) -> Forked:
    """`dkvb arguments`, run in `folder`, with shards of `shard` rows."""
    return call(module, "dkvb", arguments, shard, folder=folder)


def module(name: str, arguments: tuple[str, ...], shard: int | None = None) -> None:
    """`python -m name arguments`, in this process."""
    sys.argv = [name, *arguments]
    if shard is not None:
        from dkvb.workspace import arrays  # not above: with it comes the registry, which reads what is installed

        arrays.CHUNK = arrays.SHARD = shard
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def commands(site: Path, lines: tuple[str, ...]) -> None:
    """Run commands of dkvb in this process, with the packages of a folder installed; results.json says how each ended.

    It gives exit code, stdout and stderr of each.
    """
    sys.path.insert(0, str(site))
    from dkvb.cli import app  # reads what is installed

    results = []
    for line in lines:
        result = CliRunner().invoke(app, line.split())
        results.append((result.exit_code, result.stdout, result.stderr))
    Path("results.json").write_text(json.dumps(results), encoding="utf-8")


def without(packages: tuple[str, ...], words: list[str]) -> None:
    """Run a script, words being its path and arguments, where these packages cannot be imported."""

    class Refuse(importlib.abc.MetaPathFinder):
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name.split(".")[0] in packages:
                raise ImportError(name)

    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]
    sys.meta_path.insert(0, Refuse())
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")
    assert not any(name.split(".")[0] in packages for name in sys.modules)


def _run(
    function: Callable[..., Any], arguments: tuple[Any, ...], folder: str, output: str, environment: dict[str, str]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(number), "w", buffering=1, encoding="utf-8") for number in (1, 2))
    os.fsync = lambda file: None  # type: ignore[assignment] # processes are killed here, never the machine
    function(*arguments)


@contextmanager
def cluster(folder: Path, shard: int | None = None) -> Iterator[tuple[str, list[Forked]]]:
    """A Dask scheduler's address and two workers, each a process started here, in `folder`."""
    options: tuple[str, ...] = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    scheduler = call(module, "distributed.cli.dask_scheduler", options, folder=folder)
    scheduler.wait_for("Scheduler at:")
    found = re.search(r"Scheduler at:\s+(tcp://\S+)", scheduler.said)
    assert found, scheduler.said
    options = (found[1], "--nthreads", "1", "--no-nanny", "--no-dashboard")
    workers = [call(module, "distributed.cli.dask_worker", options, shard, folder=folder) for _ in range(2)]
    try:
        yield found[1], workers
    finally:
        for process in [*workers, scheduler]:
            process.kill()


@pytest.fixture
def forked_workers(tmp_path: Path) -> Iterator[None]:
    """Local Dask workers are forked as well."""
    import dask
    from distributed.utils import get_mp_context

    settings = {
        "distributed.worker.multiprocessing-method": "forkserver",
        # the server was started in the environment of an earlier test
        "distributed.nanny.environ": {"XDG_CACHE_HOME": str(tmp_path / "cache")},
    }
    with dask.config.set(settings):
        get_mp_context().set_forkserver_preload(PRELOAD)
        yield
