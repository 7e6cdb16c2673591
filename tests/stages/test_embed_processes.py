"""Embedding on several processes, and killed ones: nothing is lost, nothing is doubled, no bit differs."""

from __future__ import annotations

import random
import time
from pathlib import Path

import dask
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import forked
from conftest import artifact_bytes
from dkvb.cli import app
from dkvb.runtime import cluster
from dkvb.workspace import arrays
from forked import Forked

SHARD = 512  # rows: a shard of 8,192 images takes seconds to make
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
    for split, count in (("train", 600), ("test", 50)):
        for name in ("a", "b"):
            (folder / "many" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "many" / split / name / f"{i:05}.bmp")
    (folder / "many.toml").write_text(RECIPE)
    return folder


def start(folder: Path, data: str, *args: str) -> Forked:
    arguments = ("embed", "--recipe", "many.toml", "--data-dir", data, *args)
    return forked.dkvb(*arguments, folder=folder, shard=SHARD)


def embed(folder: Path, data: str, *args: str) -> None:
    process = start(folder, data, *args)
    assert process.end() == 0, process.said


@pytest.fixture(scope="module")
def whole(many: Path) -> dict[str, bytes]:
    embed(many, "whole")
    return artifact_bytes(many / "whole")


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(many: Path, whole: dict[str, bytes]) -> None:
    with forked.cluster(many, SHARD) as (address, workers):
        run = start(many, "spread", "--scheduler", address)
        deadline = time.monotonic() + 20
        # arrays made: the shards are being worked on
        while not list((many / "spread").glob("embed/*/test/hashes/zarr.json")) and time.monotonic() < deadline:
            time.sleep(0.005)
        assert workers[0].kill()
        assert run.end() == 0, run.said
    assert artifact_bytes(many / "spread") == whole


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_local_cluster_gives_the_same_bits(
    many: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(many)
    for name in ("CHUNK", "SHARD"):
        monkeypatch.setattr(arrays, name, SHARD)
    as_here = f"from dkvb.workspace import arrays; arrays.CHUNK = arrays.SHARD = {SHARD}"
    with dask.config.set({"distributed.worker.preload": [as_here]}):
        words = ["embed", "--recipe", "many.toml", "--data-dir", "local", "--workers", "2"]
        result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    assert artifact_bytes(many / "local") == whole


def test_shard_ranges_side_by_side_give_the_same_bits(many: Path, whole: dict[str, bytes]) -> None:
    parts = [start(many, "ranges", "--shard-range", part) for part in ("0:1", "1:3", "3:4")]
    assert [process.end() for process in parts] == [0, 0, 0], [process.said for process in parts]
    assert artifact_bytes(many / "ranges") == whole


def test_a_scheduler_that_does_not_answer_is_a_message(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    places = ["--recipe", str(many / "many.toml"), "--data-dir", str(many / "nobody")]
    result = CliRunner().invoke(app, ["embed", *places, "--scheduler", "tcp://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "The Dask scheduler tcp://127.0.0.1:9 does not answer" in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_embedding_killed_at_twenty_instants_ends_with_the_same_bits(many: Path, whole: dict[str, bytes]) -> None:
    draw, killed = random.Random(0), 0
    for _ in range(20):
        process = start(many, "killed")
        process.wait_for("embed")  # the imports are behind it
        time.sleep(draw.uniform(0, 0.3))
        killed += process.kill()
    assert killed
    embed(many, "killed")
    assert artifact_bytes(many / "killed") == whole
