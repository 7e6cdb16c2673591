"""The encoder without a network: an image's own pixels, standardised."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from dkvb.encoders.base import sizes_differ
from dkvb.errors import DkvbError

if TYPE_CHECKING:
    import torch
    from PIL import Image


class PixelEncoder:
    """Pixels as a vector, each image standardised by its own mean and standard deviation, so nothing is learnt from the
    data.

    Without `size`, the first image sets the size that all must have; `dim` is known from then on.
    """

    name = "pixels"
    device = "cpu"
    weights_hash = None

    def __init__(self, size: int | None, mode: str) -> None:
        self.size, self.mode = size, "L" if mode == "L" else "RGB"
        self.shape: tuple[int, ...] | None = (len(self.mode), size, size) if size else None
        self.lock = threading.Lock()

    @property
    def dim(self) -> int:
        if self.shape is None:
            raise DkvbError(
                "The encoder 'pixels' without encoder.size has no width before its first image; preprocess one image"
                " first."
            )
        return int(np.prod(self.shape))

    def pixels(self, image: Image.Image) -> np.ndarray:
        """`preprocess` without torch, which takes seconds to import: (channels, H, W) float32."""
        from PIL.Image import Resampling

        image = image if image.mode == self.mode else image.convert(self.mode)
        if self.size and image.size != (self.size, self.size):
            image = image.resize((self.size, self.size), Resampling.BICUBIC)
        # per image and in double precision, so that the batch an image falls into cannot change its features
        pixels = np.asarray(image, np.float64) / 255
        pixels = (pixels - pixels.mean()) / (pixels.std() + 1e-6)
        channels_first = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        with self.lock:
            self.shape = self.shape or channels_first.shape
        if channels_first.shape != self.shape:
            raise sizes_differ(*sorted((channels_first.shape, self.shape)))
        return np.ascontiguousarray(channels_first, np.float32)

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        import torch

        return torch.from_numpy(self.pixels(image))

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).float().cpu()
