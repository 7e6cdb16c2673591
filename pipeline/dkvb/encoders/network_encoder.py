"""A frozen network as an encoder: images to feature vectors by torch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dkvb.encoders.weights import state_hash
from dkvb.recipe import Encoder
from dkvb.runtime.device import full_precision

if TYPE_CHECKING:
    import torch
    from PIL import Image


class NetworkEncoder:
    """A network in evaluation mode and the transform that its weights were trained for.

    With `precision` "bf16", matrix products and convolutions are computed in bfloat16 (weights stay, features come back
    in float32).
    """

    def __init__(self, settings: Encoder, network: Any, transform: Callable[[Any], Any], device: str) -> None:
        self.name, self.device, self.precision = settings.name, device, settings.precision
        self.network = network.eval().requires_grad_(False).to(device)
        self.transform = transform
        # CLIP's own forward compares images with texts
        self.forward: Callable[[Any], Any] = getattr(network, "encode_image", network)
        self.tower = network.visual if hasattr(network, "encode_image") else network

    @cached_property
    def weights_hash(self) -> str | None:
        return state_hash(self.tower.state_dict())

    @cached_property
    def dim(self) -> int:
        from PIL import Image

        return int(self.encode(self.preprocess(Image.new("RGB", (8, 8)))[None]).shape[1])

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        tensor: torch.Tensor = self.transform(image if image.mode == "RGB" else image.convert("RGB"))
        return tensor

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        import torch

        reduced = torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.precision == "bf16")
        with torch.inference_mode(), full_precision if self.device != "cpu" else nullcontext(), reduced:
            # a copy from pinned memory need not be waited for
            features: torch.Tensor = self.forward(images.to(self.device, non_blocking=True))
            return features.float().cpu()
