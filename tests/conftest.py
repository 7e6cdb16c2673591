"""A tiny, learnable data set and a recipe for it, on which every stage takes well under a second."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

# one thread each, before a library reads it: the data are tiny, and pytest-xdist's workers share the cores
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from typer.testing import CliRunner

import states
from dkvb.audit import ridge
from dkvb.cli import app
from dkvb.evaluation.seed import TrainedSeed
from dkvb.recipe import Recipe, load
from dkvb.runtime import progress
from dkvb.stages import embed, train
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import canonical_hash
from dkvb.workspace.requests import need_features
from source_files import save
from states import made_once

# pandas looks for a library of the name of our folder tests/bottleneck, and would take the folder for it
sys.modules["bottleneck"] = None  # type: ignore[assignment]

# where folders lie; fixtures of the report, processes, encoders, attacks, pictures, Chromium
pytest_plugins = ["in_memory", "fakes", "forked", "tiny_clip", "attacked", "pictured", "browser"]

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not beside this checkout")
CLASSES = ["airplane", "bird", "cat", "dog"]

TOML = """
name = "tiny"
[data]
source = "features"
path = "tiny-data"
validation = 0.2
[keys]
codebooks = 20
pairs = 32
dim = 4
top_k = 2
epochs = 2
batch_size = 32
neighbours = 6
[train]
epochs = 6
batch_size = 32
[linear]
epochs = 6
lr = 0.05
batch_size = 32
[scrub]
lr = 0.1
min_steps = 6
batch_size = 32
[unlearn]
na = 150
ne = 20
"""


def blobs(folder: Path, train: int = 320, test: int = 120, width: int = 12, seed: int = 0) -> Path:
    """Four Gaussian classes as train.npz and test.npz."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((len(CLASSES), width)) * 2
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", train), ("test", test)):
        y = np.arange(rows) % len(CLASSES)
        x = (centres[y] + rng.standard_normal((rows, width))).astype(np.float32)
        np.savez(folder / f"{split}.npz", x=x, y=y, classes=np.array(CLASSES))
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in a folder of its own, without the user's settings and caches, and in silence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DKVB_DATA", raising=False)
    monkeypatch.setattr(os, "fsync", lambda file: None)  # processes are killed here, never the machine
    progress.silence()


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> None:
    mine = tmp_path_factory.getbasetemp()
    of_all = mine.parent if hasattr(request.config, "workerinput") else mine  # this is one of pytest-xdist's workers
    states.HOME[:] = [of_all / "read-only"]


@pytest.fixture(scope="session", autouse=True)
def _narrow() -> Iterator[None]:
    """Audits solve regressions of 200 random features rather than 2000."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ridge, "WIDTH", 200)
        yield


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where this test's commands keep what they remember between runs."""
    return tmp_path / "cache" / "dkvb"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """An image folder of two classes, with five training and two test images each."""
    root = tmp_path / "photos"
    for place, name in enumerate(("cat", "dog")):
        for i in range(5):
            save(root / "train" / name / f"{i}.png", 10 * place + i)
        for i in range(2):
            save(root / "test" / name / f"{i}.png", 100 + 10 * place + i)
    return root


@pytest.fixture(scope="session")
def tiny_data() -> Path:
    """The data of the tiny recipe, for tests that only read them."""
    return made_once("tiny data", lambda folder: blobs(folder / "tiny-data")) / "tiny-data"


@pytest.fixture
def recipe(tmp_path: Path, tiny_data: Path) -> Recipe:
    """The tiny recipe as tiny.toml in the test's folder, on data that are every test's."""
    text = TOML.replace('"tiny-data"', f'"{tiny_data.as_posix()}"')
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    return load("tiny.toml")


@pytest.fixture
def own_recipe(tmp_path: Path) -> Recipe:
    """The tiny recipe on data of the test's own, which it may alter."""
    blobs(tmp_path / "tiny-data")
    (tmp_path / "tiny.toml").write_text(TOML, encoding="utf-8")
    return load("tiny.toml")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "data", tmp_path / "reports")


@pytest.fixture
def embedded(recipe: Recipe, workspace: Workspace) -> Recipe:
    """The recipe, with its features in the workspace."""
    return prepare(recipe, workspace, embed)


@pytest.fixture
def trained(recipe: Recipe, workspace: Workspace) -> Recipe:
    """The recipe, with its models in the workspace."""
    return prepare(recipe, workspace)


@pytest.fixture(scope="session")
def digits_run() -> tuple[Path, str]:
    """A folder in which `dkvb run digits` has been run, to be copied, and what it printed."""
    folder = made_once("digits", _run_digits)
    return folder / "run", (folder / "printed").read_text(encoding="utf-8")


def _run_digits(folder: Path) -> None:
    (folder / "run").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "run")
        patch.delenv("DKVB_DATA", raising=False)
        progress.silence(False)
        result = CliRunner().invoke(app, ["run", "digits"])
        progress.silence()
    assert result.exit_code == 0, result.stderr
    (folder / "printed").write_text(result.stdout + "\n" + result.stderr, encoding="utf-8")


def once(name: str, workspace: Workspace, make: Callable[[Workspace], object]) -> Path:
    """Add to a workspace a copy of what `make` fills an empty one with, see `made_once`.

    Returns:
        The folder in which it was made, for what `make` leaves beside the workspace.
    """
    folder = made_once(name, lambda folder: make(Workspace(folder / "data", folder / "reports")))
    for part, place in (("data", workspace.root), ("reports", workspace.reports)):
        if (folder / part).is_dir():
            shutil.copytree(folder / part, place, dirs_exist_ok=True)
    return folder


def prepare(recipe: Recipe, workspace: Workspace, *stages: ModuleType) -> Recipe:
    """Embed and train (or run `stages`), once for all tests that need the same; for data that stay as they are.

    Returns `recipe` itself.
    """
    stages = stages or (embed, train)
    assert recipe.data.path is None or "read-only" in recipe.data.path, "copies go by the recipe, not by its data"
    parts = {name: section for name, section in recipe.model_dump().items() if name not in ("unlearn", "verify")}
    name = canonical_hash({"recipe": parts, "stages": [stage.__name__ for stage in stages]})
    once(name, workspace, lambda place: [stage.run(recipe, place) for stage in stages])
    return recipe


def trained_seed(recipe: Recipe, workspace: Workspace) -> TrainedSeed:
    """What an unlearning method is given, of seed 0."""
    return TrainedSeed(recipe, workspace, need_features(recipe, workspace), 0)


def artifact_bytes(root: Path) -> dict[str, bytes]:
    """Every file that must come out the same whenever the same work is done; manifests and marks hold times and
    hosts."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files if ".locks" not in path.parts}
