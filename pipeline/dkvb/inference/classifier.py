"""What every trained classifier is as a torch module: features (B, D), or images through the frozen encoder, to logits
(B, L)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dkvb.encoders.recorded import Encoding
from dkvb.errors import DkvbError

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class About:
    """What a classifier is and where it comes from."""

    classes: list[str]
    seed: int
    encoding: Encoding
    name: str = ""
    """The data set's."""
    forgotten: list[int] = field(default_factory=list)
    """Ids of the classes that were unlearned."""
    excluded: list[int] = field(default_factory=list)
    """Ids of the classes whose logits are minus infinity (the logit mask, a control that forgets nothing)."""
    accuracy: dict[str, Any] = field(default_factory=dict)
    """Test accuracy of the trained model, before anything was unlearned: `test`, `per_class_test`."""
    identity: dict[str, str] = field(default_factory=dict)
    """Fingerprints of what it was made from."""


class Classifier(torch.nn.Module):
    """What a key-value bottleneck and a linear head have in common.

    Attributes:
        classes: L names, in the order of the logits.
        about: seed, encoder, what was forgotten.
        width: D, the width of a feature vector.
    """

    def __init__(self, about: About, width: int) -> None:
        super().__init__()
        self.about, self.width = about, width
        self.eval().requires_grad_(False)

    @property
    def classes(self) -> list[str]:
        return self.about.classes

    @property
    def encoder(self) -> dict[str, Any] | None:
        """Settings of the frozen encoder; None where the model was trained on ready-made features."""
        return self.about.encoding.settings

    def images(self, images: torch.Tensor | Image.Image | Sequence[Image.Image]) -> torch.Tensor:
        """Logits (B, L) of images, through the frozen encoder, which is loaded on first use.

        Args:
            images: PIL images of any mode and size, or a tensor (B, channels, H, W) that the encoder's own transform
                has made.

        Raises:
            UsageError: the model was trained on ready-made features.
            DkvbError: weights that are not there, or not those that the model was trained with; images that cannot be
            used.
        """
        return self(self.about.encoding.features(images))

    def checked(self, features: torch.Tensor) -> np.ndarray:
        """Features as a contiguous (B, D) float32 array.

        Raises:
            DkvbError: another shape, or values that are not finite.
        """
        if features.ndim != 2 or features.shape[1] != self.width:
            raise DkvbError(
                f"The features have shape {tuple(features.shape)} and this model takes (B, {self.width}): use those of"
                " the encoder that it was trained on."
            )
        found = np.ascontiguousarray(features.detach().cpu().numpy(), np.float32)
        if not np.isfinite(found).all():
            raise DkvbError("The features hold NaN or infinite values: leave those samples out.")
        return found

    def finished(self, logits: np.ndarray, like: torch.Tensor) -> torch.Tensor:
        """Logits as a tensor where the features were, those of excluded classes at minus infinity."""
        logits[:, self.about.excluded] = -np.inf
        return torch.from_numpy(logits).to(like.device)


class LinearModel(Classifier):
    """The linear head, or SCRUB's student: weight (L, D), bias (L,)."""

    def __init__(self, about: About, weight: np.ndarray, bias: np.ndarray) -> None:
        super().__init__(about, weight.shape[1])
        self.register_buffer("weight", torch.from_numpy(weight))
        self.register_buffer("bias", torch.from_numpy(bias))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (B, D) -> logits (B, L) float32."""
        found = torch.from_numpy(self.checked(features))
        logits = torch.nn.functional.linear(found, self.weight, self.bias)  # type: ignore[arg-type]
        return self.finished(logits.numpy(), features)
