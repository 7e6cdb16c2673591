"""Networks as encoders: shapes, their own transforms, precision and threads. Random weights; nothing is downloaded."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from dkvb.encoders import weights
from dkvb.encoders.base import stack
from dkvb.encoders.networks import load_encoder
from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Encoder
from tiny_clip import SMALL, features, picture

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_clip")


def test_importing_stays_cheap():
    heavy = ("torch", "torchvision", "open_clip", "sklearn", "polars")
    code = f"import sys, dkvb.encoders, dkvb.sources; print([name for name in {heavy} if name in sys.modules])"
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=here)
    assert done.stdout == "[]\n"


def test_clip_is_frozen_unnormalised_and_the_same_for_grey_as_for_rgb(clip):
    grey = picture(mode="L")
    out = features(clip, picture(), grey, grey.convert("RGB"))
    assert out.shape == (3, clip.dim) == (3, 24)
    assert out.dtype.is_floating_point
    assert not out.requires_grad
    assert (out[1] == out[2]).all()
    assert not (out[0] == out[1]).all()
    assert not np.allclose(out.norm(dim=1), 1, atol=1e-2)
    assert not clip.network.training
    assert not any(parameter.requires_grad for parameter in clip.network.parameters())


def test_clip_uses_clips_own_transform(clip):
    """224 pixels after a centre crop, and OpenAI's mean and deviation."""
    white = clip.preprocess(Image.new("RGB", (300, 200), "white"))
    expected = (1 - np.array([0.48145466, 0.4578275, 0.40821073])) / np.array([0.26862954, 0.26130258, 0.27577711])
    assert white.shape == (3, 224, 224)
    assert np.allclose(white[:, 100, 100], expected, atol=1e-4)


def test_default_clip_has_quickgelu(monkeypatch):
    import open_clip

    asked = {}

    def create(arch, tag, **options):
        asked.update(arch=arch, **options)
        raise RuntimeError("enough")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", create)
    with pytest.raises(RuntimeError, match="enough"):
        load_encoder(Encoder(name="clip-vit-b32", weights="random"), "cpu", "RGB")
    assert asked["arch"] == "ViT-B-32-quickgelu"
    assert open_clip.get_model_config(asked["arch"])["quick_gelu"]
    monkeypatch.setattr(weights, "unreachable", lambda url: "offline")
    with pytest.raises(DkvbError, match="offline"):
        load_encoder(Encoder(name="open_clip:ViT-B-32", weights="openai"), "cpu", "RGB")
    assert asked["force_quick_gelu"] is True


def test_random_weights_repeat_and_leave_the_global_state_alone(clip):
    import torch

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again = load_encoder(Encoder(name=SMALL, weights="random"), "cpu", "RGB")
    assert (torch.rand(1) == expected).all()
    assert (features(again, picture()) == features(clip, picture())).all()


@pytest.mark.parametrize(("layer", "dim"), [("layer2", 512), ("layer4", 2048)])
def test_resnet_layers(layer, dim, resnet):
    encoder = load_encoder(Encoder(name="resnet50", weights="random", layer=layer), "cpu", "RGB")
    out = features(encoder, picture())
    assert out.shape == (1, dim)
    assert encoder.dim == dim
    if layer == "layer4":
        assert (out == features(resnet, picture())).all()


def test_resnet_avgpool_is_torchvisions(resnet):
    import torch
    from torchvision.models import resnet50

    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        model = resnet50().eval()
        model.fc = torch.nn.Identity()
        image = stack([resnet.preprocess(picture())])
        assert torch.allclose(model(image), resnet.encode(image), atol=1e-5)


def test_timm_drops_the_classifier_and_uses_its_own_transform():
    encoder = load_encoder(Encoder(name="timm:resnet18", weights="random"), "cpu", "RGB")
    white = encoder.preprocess(Image.new("RGB", (300, 300), "white"))
    assert np.allclose(
        white[:, 9, 9], (1 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225]), atol=1e-4
    )
    assert features(encoder, picture()).shape == (1, 512)
    assert encoder.dim == 512


@pytest.mark.parametrize("name", [SMALL, pytest.param("timm:resnet18", marks=pytest.mark.slow)])
def test_bf16_is_close_to_fp32_and_comes_back_as_fp32(name):
    import torch

    images = [picture(seed=seed) for seed in range(3)]
    full, half = (
        features(load_encoder(Encoder(name=name, weights="random", precision=p), "cpu", "RGB"), *images)
        for p in ("fp32", "bf16")
    )
    assert half.dtype == torch.float32
    assert not torch.equal(full, half)
    assert torch.nn.functional.cosine_similarity(full, half).min() > 0.99


def test_encoders_may_be_used_from_several_threads(clip):
    """The switch for exact convolutions is one for the process: it goes back only after the last thread."""
    import torch

    from dkvb.runtime.device import full_precision

    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with full_precision:
            inside.set()
            leave.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    inside.wait(10)
    with full_precision:
        pass
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == (False, True)
    leave.set()
    other.join()
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "resnet5"}, "did you mean 'resnet50'"),
        ({"name": "open_clip:"}, "Unknown encoder.name 'open_clip:'"),
        ({"name": "open_clip:ViT-B-33"}, "no architecture 'ViT-B-33'; did you mean ViT-B-32"),
        ({"name": "timm:resnet81"}, "no architecture 'resnet81'; did you mean resnet18"),
        (
            {"name": "clip-vit-b32", "weights": "opnai"},
            "'opnai' is no tag of ViT-B-32-quickgelu; its tags are: openai, laion400m_e31",
        ),
        (
            {"name": "resnet50", "weights": "openai"},
            "'openai' is no tag of resnet50; its tags are: IMAGENET1K_V1, IMAGENET1K_V2",
        ),
        ({"name": "timm:resnet18", "weights": "nosuch"}, "no tag of resnet18; its tags are: a1_in1k"),
        ({"name": "resnet50", "layer": "layer5"}, "layer5' is no layer of resnet50; did you mean"),
        ({"name": "resnet50", "weights": "/nowhere/w.pt"}, "/nowhere/w.pt, which is no file"),
    ],
)
def test_refusals(settings, message):
    with pytest.raises(UsageError) as caught:
        load_encoder(Encoder(**settings), "cpu", "RGB")
    assert message in str(caught.value)
    assert caught.value.exit_code == 2
