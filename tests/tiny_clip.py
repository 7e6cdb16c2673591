"""An encoder of CLIP's own kind with random weights, for tests that encode something."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from dkvb.encoders.base import stack
from dkvb.encoders.networks import load_encoder
from dkvb.recipe import Encoder

SMALL = "open_clip:tiny"


TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 8, "vocab_size": 100, "width": 64, "heads": 1, "layers": 1},
}


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """An architecture of CLIP's own kind that takes milliseconds."""
    import open_clip

    path = tmp_path_factory.mktemp("configs") / "tiny.json"
    path.write_text(json.dumps(TINY))
    open_clip.add_model_config(path)


@pytest.fixture(scope="module")
def one_thread():
    """Waiting threads on a shared machine cost more than they bring to networks this small."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(width: int = 40, height: int = 30, seed: int = 0, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def features(encoder, *images):
    return encoder.encode(stack([encoder.preprocess(image) for image in images]))


@pytest.fixture(scope="session")
def clip(tiny_clip):
    return load_encoder(Encoder(name=SMALL, weights="random"), "cpu", "RGB")


@pytest.fixture(scope="session")
def resnet():
    return load_encoder(Encoder(name="resnet50", weights="random"), "cpu", "RGB")
