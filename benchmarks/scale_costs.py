"""What work on processes costs beside the work itself."""

from __future__ import annotations

import operator
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr
from turns import timed

from dkvb.audit.model_store import ModelStore
from dkvb.audit.trainers import Model
from dkvb.embedding.shards import create_split
from dkvb.recipe import Run
from dkvb.runtime.parallel import spread
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.manifest import Spec

IMPORTS = {
    "imports of a worker: Dask alone": "import distributed",
    "imports of a worker: embed": "import distributed, dkvb.embedding.shards",
    "imports of a worker: quantize": "import distributed, dkvb.training.codes",
    "imports of a worker: unlearn, audit": "import distributed, dkvb.stages.unlearn, dkvb.audit.entries",
}
WIDTH = 512
"""Numbers in a feature."""

Seconds = tuple[float, float]
"""Of a process: wall, and of the processor with all processes that it waits for."""


def say(name: str, value: str) -> None:
    print(f"{name:52} {value}", flush=True)


def command(words: list[str], environment: dict[str, str] | None = None, cores: int | None = None) -> Seconds:
    """Run a command to its end.

    Args:
        cores: how many it may use, where the system can say so.
    """
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    if cores is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[:cores])
    said = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(words)} failed:\n{said.decode()}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


def imports(rounds: int) -> None:
    for name, code in IMPORTS.items():
        taken = [command([sys.executable, "-c", code]) for _ in range(rounds)]
        wall, processor = (statistics.median(of) for of in zip(*taken, strict=True))
        say(name, f"{wall:.2f} s, {processor:.2f} of the processor")


def tasks(rounds: int, count: int) -> None:
    """Starting a local cluster, and a task that does nothing, from handing it out to its result."""

    def seconds(work: Callable[[], object]) -> float:
        return statistics.median(timed(work)() for _ in range(rounds))

    for workers in (1, 2):
        units, run = [0] * workers, Run(workers=workers)
        started = seconds(lambda units=units, run=run: list(spread(operator.is_, units, run, b"")))  # type: ignore[misc]
        say(f"a local cluster of {workers}, up and down", f"{started:.2f} s")
    for shared in (b"", os.urandom(10_000), os.urandom(100_000)):
        work = lambda shared=shared: list(spread(operator.is_, [0] * count, Run(workers=2), shared))  # noqa: E731
        took = (seconds(work) - started) / count
        say(f"a task, {len(shared) // 1000} kB of what all share with it", f"{took * 1e3:.2f} ms")


def store(rounds: int) -> None:
    """Reading and writing what tasks read and write, checksums and synchronising included."""
    rows = np.random.default_rng(0).standard_normal((arrays.SHARD, WIDTH), np.float32)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        workspace = Workspace(root / "data", root / "reports")
        walls: dict[str, list[float]] = {"write a shard": [], "read a shard": [], "begin and finish an artifact": []}
        models: list[float] = []
        for number in range(rounds):
            with workspace.claim(Spec("embed", "made-up", {"number": number}, {})) as claim:
                create_split(claim.path, "train", len(rows), WIDTH, ["a"])

                def write(path: Path = claim.path) -> None:
                    zarr.open_array(path / "train/features", mode="r+")[:] = rows
                    arrays.Marks(path).set("train-00000", {"rows": len(rows)})

                walls["write a shard"].append(timed(write)())
                artifact = claim.finish({})
            walls["read a shard"].append(timed(lambda held=artifact: arrays.read(held, "train/features"))())  # type: ignore[misc]

            def small(number: int = number) -> None:
                with workspace.claim(Spec("unlearn", "made-up", {"number": number}, {})) as claim:
                    (claim.path / "mask").write_bytes(bytes(2**17))
                    claim.finish({})

            walls["begin and finish an artifact"].append(timed(small)())
            answers = ModelStore(root / f"models-{number}", (10, 2000, 10), keep=False)
            answers.begin()
            made = Model({}, np.zeros((2000, 10), np.float32), 0.0)
            models += [timed(lambda m=m, a=answers: a.put(m, made))() for m in range(10)]  # type: ignore[misc]
    for name, taken in walls.items():
        rate = f", {rows.nbytes / statistics.median(taken) / 1e6:.0f} MB/s" if "shard" in name else ""
        say(name, f"{statistics.median(taken) * 1e3:.1f} ms{rate}")
    say("store what a model answers to 2,000 rows", f"{statistics.median(models) * 1e3:.1f} ms")
