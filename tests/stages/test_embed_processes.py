"""Embedding on several processes, and killed ones: nothing is lost, nothing is doubled, no bit differs."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from conftest import artifact_bytes
from dkvb.cli import app

RECIPE = """
name = "many"
[data]
source = "folder"
path = "many"
[encoder]
name = "pixels"
[keys]
codebooks = 40
pairs = 32
dim = 4
epochs = 1
[train]
epochs = 2
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images of more than two shards."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    for split, count in (("train", 9000), ("test", 50)):
        for name in ("a", "b"):
            (folder / "many" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "many" / split / name / f"{i:05}.bmp")
    (folder / "many.toml").write_text(RECIPE)
    return folder


def dkvb(folder: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dkvb", *args], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def embed(folder: Path, data: str, *args: str) -> None:
    process = dkvb(folder, "embed", "--recipe", "many.toml", "--data-dir", data, *args)
    said = process.communicate()[1]
    assert process.returncode == 0, said


@pytest.fixture(scope="module")
def whole(many: Path) -> dict[str, bytes]:
    embed(many, "whole")
    return artifact_bytes(many / "whole")


@pytest.fixture
def cluster(many: Path) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """A scheduler's address and two workers, each a process started here."""
    tool = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
    ]
    scheduler = subprocess.Popen(tool, stderr=subprocess.PIPE, text=True)
    assert scheduler.stderr is not None
    address = None
    for line in scheduler.stderr:
        if found := re.search(r"Scheduler at:\s+(tcp://\S+)", line):
            address = found[1]
            break
    assert address
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        address,
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
    ]
    workers = [subprocess.Popen(worker, cwd=many, stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
    yield address, workers
    for process in [*workers, scheduler]:
        process.kill()
        process.wait()


def test_a_killed_worker_loses_nothing(
    many: Path, whole: dict[str, bytes], cluster: tuple[str, list[subprocess.Popen[str]]]
) -> None:
    address, workers = cluster
    run = dkvb(many, "embed", "--recipe", "many.toml", "--data-dir", "spread", "--scheduler", address)
    deadline = time.monotonic() + 60
    # arrays made: the shards are being worked on
    while not list((many / "spread").glob("embed/*/test/hashes/zarr.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    workers[0].send_signal(signal.SIGKILL)
    said = run.communicate(timeout=120)[1]
    assert run.returncode == 0, said
    assert artifact_bytes(many / "spread") == whole


def test_a_local_cluster_gives_the_same_bits(many: Path, whole: dict[str, bytes]) -> None:
    embed(many, "local", "--workers", "2")
    assert artifact_bytes(many / "local") == whole


def test_shard_ranges_side_by_side_give_the_same_bits(many: Path, whole: dict[str, bytes]) -> None:
    parts = [
        dkvb(many, "embed", "--recipe", "many.toml", "--data-dir", "ranges", "--shard-range", part)
        for part in ("0:1", "1:3", "3:4")
    ]
    said = [process.communicate()[1] for process in parts]
    assert [process.returncode for process in parts] == [0, 0, 0], said
    assert artifact_bytes(many / "ranges") == whole


def test_a_scheduler_that_does_not_answer_is_a_message(many: Path) -> None:
    places = ["--recipe", str(many / "many.toml"), "--data-dir", str(many / "nobody")]
    result = CliRunner().invoke(app, ["embed", *places, "--scheduler", "tcp://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "The Dask scheduler tcp://127.0.0.1:9 does not answer" in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_embedding_killed_at_twenty_instants_ends_with_the_same_bits(many: Path, whole: dict[str, bytes]) -> None:
    draw, killed = random.Random(0), 0
    for _ in range(20):
        process = dkvb(many, "embed", "--recipe", "many.toml", "--data-dir", "killed")
        assert process.stderr is not None
        process.stderr.readline()  # the imports are behind it
        time.sleep(draw.uniform(0, 3))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed
    embed(many, "killed")
    assert artifact_bytes(many / "killed") == whole
