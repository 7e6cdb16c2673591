"""Where published weights are looked for: in the places where the libraries find them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from dkvb.encoders.stored import stored_weights
from dkvb.errors import UsageError
from dkvb.recipe import Encoder


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def put(hub: Path, repository: str, name: str) -> Path:
    """A file as the hub's cache keeps it."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("c0ffee")
    file = folder / "snapshots/c0ffee" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"1")
    return file


@pytest.mark.parametrize(
    ("name", "repository", "file"),
    [
        ("clip-vit-b32", "timm/vit_base_patch32_clip_224.openai", "open_clip_model.safetensors"),
        ("clip-vit-b32", "timm/vit_base_patch32_clip_224.openai", "open_clip_pytorch_model.bin"),
        ("timm:resnet18.a1_in1k", "timm/resnet18.a1_in1k", "model.safetensors"),
    ],
)
def test_of_the_hub(name: str, repository: str, file: str, caches: Path) -> None:
    missing = stored_weights(Encoder(name=name))
    assert missing is not None
    assert missing.file is None
    assert missing.folder == caches / "hub" / f"models--{repository.replace('/', '--')}"
    assert missing.url == constants.ENDPOINT
    placed = put(caches / "hub", repository, file)
    found = stored_weights(Encoder(name=name))
    assert found is not None
    assert found.file == placed


def test_of_an_address(caches: Path) -> None:
    found = stored_weights(Encoder(name="resnet50", weights="IMAGENET1K_V2"))
    assert found is not None
    assert (found.name, found.folder) == ("resnet50-11ad3fa6.pth", caches / "torch/checkpoints")
    assert found.url == "https://download.pytorch.org/models/resnet50-11ad3fa6.pth"
    assert found.what == "'IMAGENET1K_V2' of resnet50"
    old = stored_weights(Encoder(name="timm:gcvit_tiny.in1k"))
    assert old is not None
    assert (old.folder, old.file) == (caches / "torch/checkpoints", None)
    assert old.name.endswith(".pth")


def test_nothing_to_look_for(tmp_path: Path, caches: Path) -> None:
    file = tmp_path / "own.pt"
    file.write_bytes(b"1")
    for settings in (
        Encoder(name="pixels"),
        Encoder(weights="random"),
        Encoder(weights=str(file)),
        Encoder(weights="nonesuch"),
        Encoder(name="timm:nonesuch"),
        Encoder(name="open_clip:nonesuch"),
    ):
        assert stored_weights(settings) is None
    with pytest.raises(UsageError, match="no file"):
        stored_weights(Encoder(weights="/gone/own.pt"))
