"""What work on processes costs beside the work itself."""

from __future__ import annotations

import operator
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
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

    def seconds(units: int, workers: int, shared: bytes) -> float:
        work = partial(spread, operator.is_, [0] * units, Run(workers=workers), shared)
        return statistics.median(timed(lambda: list(work()))() for _ in range(rounds))

    started = {workers: seconds(workers, workers, b"") for workers in (1, 2)}
    for workers, taken in started.items():
        say(f"a local cluster of {workers}, up and down", f"{taken:.2f} s")
    for size in (0, 10_000, 100_000):
        one = (seconds(count, 2, os.urandom(size)) - started[2]) / count
        say(f"a task, {size // 1000} kB of what all share with it", f"{one * 1e3:.2f} ms")


def store(rounds: int) -> None:
    """Reading and writing what tasks read and write, checksums and synchronising included."""
    with tempfile.TemporaryDirectory() as temporary:
        taken = [_stored(Path(temporary, str(number))) for number in range(rounds)]
    for name in taken[0]:
        middle = statistics.median(one[name] for one in taken)
        rate = f", {arrays.SHARD * WIDTH * 4 / middle / 1e6:.0f} MB/s" if "shard" in name else ""
        say(name, f"{middle * 1e3:.1f} ms{rate}")


def _stored(root: Path) -> dict[str, float]:
    """Seconds of each once."""
    workspace = Workspace(root / "data", root / "reports")
    rows = np.random.default_rng(0).standard_normal((arrays.SHARD, WIDTH), np.float32)
    with workspace.claim(Spec("embed", "made-up", {}, {})) as claim:
        create_split(claim.path, "train", len(rows), WIDTH, ["a"])

        def write() -> None:
            zarr.open_array(claim.path / "train/features", mode="r+")[:] = rows
            arrays.Marks(claim.path).set("train-00000", {"rows": len(rows)})

        writing = timed(write)()
        artifact = claim.finish({})

    def small() -> None:
        with workspace.claim(Spec("unlearn", "made-up", {}, {})) as claim:
            (claim.path / "mask").write_bytes(bytes(2**17))
            claim.finish({})

    answers = ModelStore(root / "models", (1, 2000, 10), keep=False)
    answers.begin()
    made = Model({}, np.zeros((2000, 10), np.float32), 0.0)
    return {
        "write a shard of 8,192 features": writing,
        "read a shard of 8,192 features": timed(lambda: arrays.read(artifact, "train/features"))(),
        "begin and finish an artifact": timed(small)(),
        "store what a model answers to 2,000 rows": timed(lambda: answers.put(0, made))(),
    }
