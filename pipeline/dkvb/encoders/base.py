"""What every frozen encoder does, and batches of preprocessed images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from dkvb.errors import DkvbError

if TYPE_CHECKING:
    import torch
    from PIL import Image


class FrozenEncoder(Protocol):
    """What every encoder does; `preprocess` may be called from several threads."""

    name: str
    device: str

    @property
    def weights_hash(self) -> str | None:
        """sha256 hex digest of the parameters that compute the features; None where there are none."""
        ...

    @property
    def dim(self) -> int:
        """Width D of a feature vector."""
        ...

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """One image of any 8-bit mode to (channels, H, W) float32 on the CPU."""
        ...

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) to (B, D) float32 on the CPU, computed on the encoder's device; may be called from
        several threads."""
        ...


@overload
def stack(images: Sequence[np.ndarray]) -> np.ndarray: ...


@overload
def stack(images: Sequence[torch.Tensor]) -> torch.Tensor: ...


def stack(images: Sequence[Any]) -> Any:
    """B tensors or arrays (channels, H, W) to one (B, channels, H, W).

    Raises:
        DkvbError: they are not of one size.
    """
    shapes = sorted({tuple(image.shape) for image in images})
    if len(shapes) > 1:
        raise sizes_differ(*shapes[:2])
    if isinstance(images[0], np.ndarray):
        return np.stack(list(images))
    import torch

    return torch.stack(list(images))


def sizes_differ(one: tuple[int, ...], other: tuple[int, ...]) -> DkvbError:
    """The error that two images have not one shape (channels, H, W)."""
    sizes = " and ".join(f"{shape[-1]}×{shape[-2]}" for shape in (one, other))
    return DkvbError(
        f"The encoder needs images of one size and found {sizes} pixels; set `encoder.size = 32` (say) to resize them"
        " all."
    )
