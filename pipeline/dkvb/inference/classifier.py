"""What every trained classifier does: features (B, D), or images through the frozen encoder, to logits (B, L).

NumPy and FAISS do the work, on the CPU in single precision. torch comes in where a torch tensor or images are handed
in, or a torch module is asked for.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dkvb.encoders.recorded import Encoding
from dkvb.errors import DkvbError, UsageError
from dkvb.records.use import LedgerMark, LeftOut

if TYPE_CHECKING:
    import torch
    from PIL import Image

    Features = TypeVar("Features", np.ndarray, torch.Tensor)

ROWS = 2048
"""Samples worked on at a time, so that memory does not grow with the batch."""


@dataclass(frozen=True)
class About:
    """What a classifier is and where it comes from."""

    classes: list[str]
    """L names, in the order of the logits."""
    seed: int
    encoding: Encoding
    name: str = ""
    """The data set's."""
    forgotten: list[int] = field(default_factory=list)
    """Ids, in the data set's list of classes, of those that were unlearned."""
    excluded: list[int] = field(default_factory=list)
    """Places of the logits that are minus infinity by the logit mask, a control that forgets nothing."""
    keep_labels: bool = False
    """Whether forgotten classes may still be answers, which shows what the mask alone does."""
    ids: list[int] = field(default_factory=list)
    """(L,) id of each of `classes` in the data set's list; an export that leaves classes out has gaps. None given:
    0 … L-1."""
    left_out: list[LeftOut] = field(default_factory=list)
    """Forgotten classes that an export has no logit of."""
    accuracy: dict[str, Any] = field(default_factory=dict)
    """Test accuracy of the trained model, before anything was unlearned: `test`, `per_class_test`."""
    identity: dict[str, str] = field(default_factory=dict)
    """Fingerprints of what it was made from."""
    ledger: LedgerMark | None = None
    """Where the workspace's ledger ended when the model was loaded; of an export, what it says of that."""

    def __post_init__(self) -> None:
        if not self.ids:
            object.__setattr__(self, "ids", list(range(len(self.classes))))

    @property
    def no_answer(self) -> list[int]:
        """Places of the logits that are minus infinity: of classes that are excluded or, unless labels are kept,
        forgotten."""
        forgotten = () if self.keep_labels else self.forgotten
        return [place for place, c in enumerate(self.ids) if place in self.excluded or c in forgotten]


class Classifier(ABC):
    """What a key-value bottleneck and a linear head have in common.

    Attributes:
        classes: L names, in the order of the logits.
        about: seed, encoder, what was forgotten.
        width: D, the width of a feature vector.
    """

    def __init__(self, about: About, width: int) -> None:
        if len(about.no_answer) == len(about.classes):
            raise UsageError(
                f"All {len(about.classes)} classes are forgotten, and there is none left to answer with:"
                " keep_labels=True (--keep-labels) shows what the mask alone does."
            )
        self.about, self.width = about, width

    @property
    def classes(self) -> list[str]:
        return self.about.classes

    @property
    def encoder(self) -> dict[str, Any] | None:
        """Settings of the frozen encoder; None where the model was trained on ready-made features."""
        settings = self.about.encoding.settings
        return settings.model_dump() if settings else None

    def __call__(self, features: Features) -> Features:
        """Features (B, D) -> logits (B, L) float32: an array for an array, and for a torch tensor a tensor on its
        device. Takes no part in a gradient. A forgotten class is no answer: its logit is minus infinity, unless
        `about.keep_labels`.

        Raises:
            DkvbError: features of another width, or not finite.
        """
        return self._without(features, self.about.no_answer)

    def mask_alone(self, features: Features) -> Features:
        """Like a call, but a forgotten class has the logit that the mask (or the weights) gave it, as `dkvb unlearn`
        and `dkvb verify` measure it."""
        return self._without(features, self.about.excluded)

    def _without(self, features: Features, places: list[int]) -> Features:
        logits = self._logits(self.checked(features))
        logits[:, places] = -np.inf
        return _torch().from_numpy(logits).to(features.device) if is_tensor(features) else logits  # type: ignore[return-value]

    @abstractmethod
    def _logits(self, features: np.ndarray) -> np.ndarray:
        """Features (B, D) float32, finite -> logits (B, L) float32, those of classes that are no answer as any
        other."""

    def masked_nearest(self, features: np.ndarray | torch.Tensor) -> np.ndarray | None:
        """(B,) the share of a sample's nearest pairs that the mask takes away; None where that is not known."""
        return None

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

    def to_torch(self) -> torch.nn.Module:
        """The same classifier as a torch module, see `dkvb.inference.torch_module`."""
        from dkvb.inference.torch_module import TorchClassifier  # torch, which takes seconds to import

        return TorchClassifier(self)

    if not TYPE_CHECKING:  # for who takes it for a torch module

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"A {type(self).__name__} has no '{name}': it computes with NumPy and FAISS on the CPU. `.to_torch()`"
                " gives it as a torch module."
            )

    def checked(self, features: np.ndarray | torch.Tensor) -> np.ndarray:
        """Features as a contiguous (B, D) float32 array.

        Raises:
            DkvbError: another shape, no numbers, or values that are not finite.
        """
        if is_tensor(features):
            features = features.detach().cpu().float().numpy()  # type: ignore[union-attr]
        array = np.asarray(features)
        if array.ndim != 2 or array.shape[1] != self.width or array.dtype.kind not in "fiu":
            raise DkvbError(
                f"The features are {array.dtype} of shape {array.shape} and this model takes (B, {self.width}), real"
                " numbers: use those of the encoder that it was trained on."
            )
        array = np.ascontiguousarray(array, np.float32)
        if not np.isfinite(array).all():
            raise DkvbError("The features hold NaN or infinite values: leave those samples out.")
        return array


class LinearModel(Classifier):
    """The linear head, or SCRUB's student: weight (L, D), bias (L,) float32."""

    def __init__(self, about: About, weight: np.ndarray, bias: np.ndarray) -> None:
        super().__init__(about, weight.shape[1])
        self.weight, self.bias = weight, bias

    def _logits(self, features: np.ndarray) -> np.ndarray:
        weight, bias = self.weight.T.astype(np.float64), self.bias.astype(np.float64)
        logits = np.empty((len(features), len(self.weight)), np.float32)
        for start in range(0, len(features), ROWS):
            block = features[start : start + ROWS]
            # in double precision: what rounding makes of a batch's size and place is then lost in rounding to single
            logits[start : start + len(block)] = block.astype(np.float64) @ weight + bias
        return logits


def is_tensor(features: object) -> bool:
    """Whether something is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(features, torch.Tensor)


def _torch() -> Any:
    return sys.modules["torch"]
