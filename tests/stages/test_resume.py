"""Real processes, really killed: whatever the instant, a rerun ends with the bits of an uninterrupted run."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import forked
from conftest import artifact_bytes
from forked import Forked

RECIPE = """
name = "pictures"
[data]
source = "folder"
path = "pictures"
validation = 0.2
[encoder]
name = "pixels"
[keys]
codebooks = 24
pairs = 64
dim = 4
top_k = 2
epochs = 6
batch_size = 16
neighbours = 16
[train]
epochs = 12
batch_size = 8
[linear]
epochs = 12
batch_size = 8
[scrub]
batch_size = 8
min_steps = "auto"
"""


def pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    means = rng.integers(40, 215, (3, 8, 8, 3))
    for split, count in (("train", 200), ("test", 60)):
        for label in range(3):
            (folder / split / str(label)).mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(means[label] + rng.normal(0, 60, (8, 8, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / str(label) / f"{i:03}.png")


def start(folder: Path, data: str) -> Forked:
    places = ["--data-dir", data, "--reports-dir", f"{data}-reports"]
    return forked.dkvb("run", "pictures.toml", *places, folder=folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A folder of pictures whose workspace "whole" is of an uninterrupted run, and how many seconds that worked."""
    folder = tmp_path_factory.mktemp("resume")
    pictures(folder / "pictures")
    (folder / "pictures.toml").write_text(RECIPE)
    process = start(folder, "whole")
    process.wait_for("embed")  # the imports are behind it: from here on it works
    begun = time.monotonic()
    assert process.end() == 0, process.said
    return folder, time.monotonic() - begun


def kill_and_resume(whole: tuple[Path, float], kills: int) -> None:
    folder, length = whole
    data = f"killed-{kills}"
    draw = random.Random(kills)
    killed = 0
    for _ in range(kills):
        process = start(folder, data)
        process.wait_for("embed")
        time.sleep(draw.uniform(0, length / 2))
        killed += process.kill()
    assert killed
    last = start(folder, data)
    assert last.end() == 0, last.said
    expected, found = artifact_bytes(folder / "whole"), artifact_bytes(folder / data)
    assert expected.keys() == found.keys()
    assert [name for name in expected if expected[name] != found[name]] == []


@pytest.mark.slow  # tests/attack/test_kills.py kills a command in the quick tests
def test_a_run_that_was_killed_ends_with_the_same_bits(whole: tuple[Path, float]) -> None:
    kill_and_resume(whole, kills=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_killed_at_twenty_instants_ends_with_the_same_bits(whole: tuple[Path, float]) -> None:
    kill_and_resume(whole, kills=20)


@pytest.mark.slow
def test_two_runs_on_one_workspace_share_the_work(whole: tuple[Path, float]) -> None:
    folder, _ = whole
    both = [start(folder, "both") for _ in range(2)]
    assert [process.end() for process in both] == [0, 0], [process.said for process in both]
    assert artifact_bytes(folder / "both") == artifact_bytes(folder / "whole")
    assert "waiting: process" in both[0].said + both[1].said
    manifests = [json.loads(path.read_text()) for path in (folder / "both").rglob("manifest.json")]
    assert len(manifests) == len(list((folder / "whole").rglob("manifest.json")))
