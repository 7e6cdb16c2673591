"""A trained classifier as a torch module, for code that wants one."""

from __future__ import annotations

from collections.abc import Callable

import torch


class TorchClassifier(torch.nn.Module):
    """Features (B, D) of any float type on any device -> logits (B, L) float32 on that device.

    It has no parameters and no buffers: NumPy and FAISS do the work, on the CPU in single precision. So `.to()`,
    `.half()` and the like have nothing to change, `state_dict()` is empty (`dkvb export` writes a model to disk), and
    nothing takes part in a gradient.
    """

    def __init__(self, classifier: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.classifier = classifier
        self.eval()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.classifier(features)
