"""A small folder of images whose colour is their class, and a workspace in which one class is unlearned from them."""

from __future__ import annotations

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dkvb.recipe import Recipe, load
from dkvb.runtime import progress
from dkvb.stages import embed, report, train, unlearn
from dkvb.workspace.artifacts import Workspace
from states import made_once

COLOURS = {"fox": (210, 60, 40), "frog": (50, 190, 60), "whale": (40, 70, 210)}
"""Class -> the colour of its images, give or take some noise: its largest channel tells it."""

WHALE = 2
TRAIN, TEST = 10, 5
"""Images of each class."""

RECIPE = """
name = "pictured"
[data]
source = "folder"
path = "animals"
validation = 0.2
[encoder]
name = "pixels"
size = 4
[keys]
codebooks = 6
pairs = 8
dim = 3
top_k = 1
epochs = 2
init = "sample"
neighbours = 4
[train]
epochs = 8
[linear]
epochs = 4
[unlearn]
forget = ["whale"]
method = ["activations", "logit-mask"]
na = 30
[verify]
samples = [2]
epochs = 2
"""


def draw(root: Path) -> None:
    """The images, 20 × 20 pixels each."""
    rng = np.random.default_rng(0)
    for split, many in (("train", TRAIN), ("test", TEST)):
        for name, colour in COLOURS.items():
            for i in range(many):
                pixels = np.clip(rng.normal(colour, 25, (20, 20, 3)), 0, 255).astype(np.uint8)
                path = root / split / name / f"a-{name}-of-{split}-{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)


@pytest.fixture(scope="session")
def animals() -> Path:
    """A folder with `animals/`, their recipe and, in data/ and reports/, what the stages made of them; to be copied."""
    return made_once("pictured", _make_animals)


def _make_animals(root: Path) -> None:
    progress.silence()
    draw(root / "animals")
    (root / "pictured.toml").write_text(RECIPE, encoding="utf-8")
    recipe, workspace = load(str(root / "pictured.toml")), Workspace(root / "data", root / "reports")
    for stage in (embed, train, unlearn, report):
        stage.run(recipe, workspace)


@pytest.fixture
def zoo(animals: Path, tmp_path: Path) -> tuple[Recipe, Workspace]:
    """The recipe, and a workspace of the test's own; the images are every test's."""
    for name in ("data", "reports"):
        shutil.copytree(animals / name, tmp_path / name)
    return load(str(animals / "pictured.toml")), Workspace(tmp_path / "data", tmp_path / "reports")


URI = re.compile(r'src="data:image/webp;base64,([^"]+)"')


def on_page(text: str) -> list[bytes]:
    """The pictures of a page's HTML."""
    return [base64.b64decode(found) for found in URI.findall(text)]


def animal(picture: bytes) -> str:
    """What a picture shows, by its colour."""
    with Image.open(io.BytesIO(picture)) as opened:
        assert opened.format == "WEBP"
        mean = np.asarray(opened.convert("RGB")).mean((0, 1))
    return list(COLOURS)[int(mean.argmax())]
