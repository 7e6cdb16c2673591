"""Proxy sets of images: the features of the encoder that the model was trained with, and of no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from dkvb.errors import DkvbError, UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.methods.proxy import proxy_features
from dkvb.recipe import Recipe, load
from dkvb.stages import embed, train, unlearn
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features

ARCH = "test_vit"
TOML = f"""
[data]
source = "folder"
path = "images"
validation = 0.0
[encoder]
name = "timm:{ARCH}"
weights = "net.pth"
batch_size = 4
[keys]
codebooks = 8
pairs = 6
top_k = 1
epochs = 1
neighbours = 0
[train]
epochs = 1
[linear]
epochs = 1
"""


def weights(path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    torch.save(timm.create_model(ARCH).state_dict(), path)


@pytest.fixture
def images(tmp_path: Path) -> Recipe:
    """A recipe of two classes of noise, five training images each."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 5), ("test", 2)):
        for name in ("a", "b"):
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(folder / f"{number}.png")
    weights(tmp_path / "net.pth", 0)
    (tmp_path / "images.toml").write_text(TOML, encoding="utf-8")
    return load("images.toml")


def test_images_get_the_stored_features_and_other_weights_are_refused(
    images: Recipe, workspace: Workspace, tmp_path: Path
) -> None:
    embed.run(images, workspace)
    train.run(images, workspace)
    stored = need_features(images, workspace)
    model = TrainedSeed(images, workspace, stored, 0)
    folder = tmp_path / "images/train/a"
    own = model.splits.features_of("train")[model.splits.labels["train"] == 0]
    assert np.allclose(proxy_features(folder, stored, [0], "cpu"), own, atol=1e-5)
    proxy = images.with_(unlearn={"method": "activations", "counts": "proxy", "proxy": str(folder), "forget": ["a"]})
    unlearn.run(proxy.with_(unlearn={"na": 20}), workspace)

    (folder / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DkvbError, match=r"cannot be read: .*broken\.png"):
        unlearn.run(proxy.with_(unlearn={"na": 20}), workspace)
    (folder / "broken.png").unlink()

    weights(tmp_path / "net.pth", 1)
    with pytest.raises(DkvbError, match="not those that the model was trained with"):
        unlearn.run(proxy.with_(unlearn={"na": 21}), workspace)


def test_a_model_of_ready_made_features_takes_no_images(trained: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "one.png")
    with pytest.raises(UsageError, match=r"give a \.npz"):
        proxy_features(tmp_path, need_features(trained, workspace), [0], "cpu")
