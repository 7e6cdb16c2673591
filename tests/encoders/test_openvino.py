"""OpenVINO as the engine of an encoder: torch's features but for their last bits, and embeddings of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from dkvb.encoders import openvino
from dkvb.encoders.base import stack
from dkvb.encoders.networks import load_encoder
from dkvb.errors import UsageError
from dkvb.recipe import Encoder, load
from dkvb.workspace.specs import embed_settings
from tiny_clip import SMALL, picture

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def engines(tiny_clip: Any) -> tuple[Any, Any]:
    """The same encoder by torch and by OpenVINO."""
    torch_, openvino_ = (
        load_encoder(Encoder(name=SMALL, weights="random", backend=backend), "cpu", "RGB")  # type: ignore[arg-type]
        for backend in ("torch", "openvino")
    )
    return torch_, openvino_


def test_features_are_those_of_torch(engines: tuple[Any, Any]) -> None:
    plain, other = engines
    images = stack([plain.preprocess(picture(seed=seed)) for seed in range(5)])
    expected, found = plain.encode(images), other.encode(images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert torch.nn.functional.cosine_similarity(found, expected).min() > 0.9999
    assert (other.dim, other.weights_hash, other.name) == (plain.dim, plain.weights_hash, plain.name)


def test_a_batch_of_any_size_is_encoded_from_any_thread(engines: tuple[Any, Any]) -> None:
    other = engines[1]
    batches = [stack([other.preprocess(picture(seed=seed)) for seed in range(size)]) for size in (1, 3, 2, 3)]
    alone = [other.encode(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(other.encode, batches * 5))
    for place, found in enumerate(together):
        torch.testing.assert_close(found, alone[place % 4], rtol=0, atol=0)


def test_its_embeddings_are_not_taken_for_torchs() -> None:
    recipe = load("cifar10")
    plain, other = embed_settings(recipe), embed_settings(recipe.with_(encoder={"backend": "openvino"}))
    assert "backend" not in plain["encoder"]
    assert other["encoder"]["backend"] == "openvino"


def test_what_it_cannot_do_is_said(engines: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"for networks, not for pixels"):
        load_encoder(Encoder(name="pixels", backend="openvino"), "cpu", "RGB")
    monkeypatch.setattr(engines[0], "device", "cuda")
    with pytest.raises(UsageError, match=r'run\.device = "cpu"'):
        openvino.OpenVinoEncoder(engines[0])
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(UsageError, match=r'pip install "dkvb\[openvino\]"'):
        openvino.OpenVinoEncoder(engines[0])
