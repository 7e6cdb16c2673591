"""Weights that are missing are said to be, with where they were looked for and the way out; the encoder is timed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from dkvb.commands import doctor_encoder
from dkvb.encoders.speed import Speed
from dkvb.recipe import Recipe, load
from dkvb.records.status import DoctorCheck
from dkvb.runtime.network import GLANCE


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing in the libraries' caches, and no network."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(doctor_encoder, "unreachable", lambda url, timeout: f"no route in {timeout:g} s")
    monkeypatch.setattr(doctor_encoder, "time_encoder", lambda encoder, size: Speed(16, 8, 2.0, 3.5))
    return tmp_path


def checks(recipe: Recipe) -> dict[str, DoctorCheck]:
    return {entry.check: entry for entry in doctor_encoder.examine(recipe, "cpu")}


def resnet(**settings: object) -> Recipe:
    return load("cifar10-resnet50").with_(encoder=settings)


def test_missing_weights_are_missing_with_the_place_and_the_way_out(empty: Path) -> None:
    found = checks(resnet())
    assert not found["weights"].ok
    assert found["weights"].detail == (
        f"resnet50: 'IMAGENET1K_V1' of resnet50 are not in {empty}/torch/checkpoints, and download.pytorch.org does not"
        f" answer (no route in {GLANCE:g} s): fetch resnet50-0676ba61.pth on another machine, then set"
        ' `encoder.weights = "/path/to/resnet50-0676ba61.pth"` in the recipe'
    )
    assert found["encoder"].ok
    assert found["encoder"].detail.endswith("with random weights, for want of its own: they take as long")
    assert "resnet50 on cpu: 8 images a second (16 made-up images in batches of 8: 2.00 s, and 3.50 s" in (
        found["encoder"].detail
    )


def test_where_the_host_answers_a_download_will_do(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_encoder, "unreachable", lambda url, timeout: None)
    found = checks(resnet())["weights"]
    assert not found.ok, "missing is missing, whoever could bring it"
    assert found.detail.endswith("checkpoints. download.pytorch.org answers: `dkvb embed` downloads them")


def test_the_hubs_own_switch_is_read(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    recipe = load("cifar10").with_(encoder={"name": "timm:resnet18", "weights": None})
    found = checks(recipe)["weights"]
    assert re.search(r"models--timm--resnet18\.\w+, and the environment says HF_HUB_OFFLINE: fetch model", found.detail)


def test_weights_that_are_there_are_loaded_and_timed(empty: Path) -> None:
    from torchvision.models import resnet50

    file = empty / "torch/checkpoints/resnet50-0676ba61.pth"
    file.parent.mkdir(parents=True)
    torch.save(resnet50().state_dict(), file)
    found = checks(resnet(layer="layer1"))
    assert found["weights"].ok
    assert found["weights"].detail == f"resnet50: 'IMAGENET1K_V1' of resnet50, {file}"
    assert "random" not in found["encoder"].detail
    file.write_bytes(b"torn")
    torn = checks(resnet(layer="layer1"))["encoder"]
    assert not torn.ok
    assert str(file) in torn.detail


def test_what_there_is_not(empty: Path) -> None:
    assert checks(resnet(weights="IMAGENET"))["weights"].detail == "resnet50 has no weights 'IMAGENET'"
    gone = checks(resnet(weights="/no/such/file.pt"))
    assert not gone["weights"].ok
    assert "/no/such/file.pt" in gone["weights"].detail
    assert not checks(resnet(layer="layer9"))["encoder"].ok


def test_what_needs_no_weights(empty: Path) -> None:
    assert checks(load("digits"))["weights"].detail == "none needed: pixels has none"
    assert checks(resnet(weights="random"))["weights"].detail == "resnet50: random"
    assert {entry.detail for entry in doctor_encoder.examine(load("features"), "cpu")} == {
        "none needed: the data are features"
    }
