"""Weights by tag: from the cache first, and the way out where they cannot be had."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dkvb.encoders import weights
from dkvb.encoders.networks import load_encoder, weights_fingerprint
from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Encoder

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_clip")


@pytest.mark.parametrize(
    ("name", "file", "extra"),
    [
        ("clip-vit-b32", "ViT-B-32.pt", "'openai' of ViT-B-32-quickgelu"),
        ("resnet50", "resnet50-0676ba61.pth", "put resnet50-0676ba61.pth into"),
        ("timm:resnet18", "model.safetensors", "'default' of resnet18"),
    ],
)
def test_missing_weights_fail_soon_with_the_way_out(name, file, extra, tmp_path, monkeypatch, capfd):
    import torch
    from huggingface_hub import constants

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    started = time.monotonic()
    with pytest.raises(DkvbError) as caught:
        load_encoder(Encoder(name=name), "cpu", "RGB")
    assert time.monotonic() - started < 10
    text = str(caught.value)
    assert caught.value.exit_code == 1
    assert "not on this machine and their download failed (network is down)" in text
    assert f'encoder.weights = "/path/to/{file}"' in text
    assert extra in text
    assert constants.HF_HUB_OFFLINE is False
    assert capfd.readouterr().err == ""


def refuse(*args, **options):
    raise OSError("network is down")


def test_cached_weights_need_no_network(tmp_path, monkeypatch):
    """A tag whose file the library has is loaded without a single request, under the hub's offline switch."""
    import torch
    from torchvision.models import resnet50

    (tmp_path / "checkpoints").mkdir()
    torch.save(resnet50().state_dict(), tmp_path / "checkpoints" / "resnet50-0676ba61.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert load_encoder(Encoder(name="resnet50", layer="layer1"), "cpu", "RGB").dim == 256


def test_fetch_tries_the_cache_before_the_network(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(weights, "unreachable", lambda url: None)
    seen = []

    def load():
        seen.append(constants.HF_HUB_OFFLINE)
        if constants.HF_HUB_OFFLINE:
            raise FileNotFoundError
        return "weights"

    assert weights.fetch(load, "w", "w.pt") == "weights"
    assert seen == [True, False]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DkvbError, match="HF_HUB_OFFLINE"):
        weights.fetch(load, "w", "w.pt")


def test_fingerprints_of_weights(tmp_path):
    file = tmp_path / "w.pt"
    file.write_bytes(b"1")
    one = weights_fingerprint(Encoder(weights=str(file)))
    file.write_bytes(b"2")
    assert one.startswith("sha256:")
    assert one != weights_fingerprint(Encoder(weights=str(file)))
    assert weights_fingerprint(Encoder(name="pixels", weights="openai")) == "none"
    assert weights_fingerprint(Encoder(weights="random")) == "random"
    assert weights_fingerprint(Encoder()) == weights_fingerprint(Encoder(weights="openai")) == "tag:openai"
    assert weights_fingerprint(Encoder(name="resnet50")) == "tag:IMAGENET1K_V1"
    with pytest.raises(UsageError, match="no file"):
        weights_fingerprint(Encoder(weights=str(Path(tmp_path / "gone.pt"))))
