"""A trained model's frozen encoder: what it was, and features of new images through the same one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from dkvb.encoders.base import FrozenEncoder, stack
from dkvb.encoders.batches import encode_rows
from dkvb.encoders.networks import load_encoder
from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Encoder
from dkvb.records.embed import EmbedResult
from dkvb.runtime.device import choose_device
from dkvb.sources.base import ImageSplit
from dkvb.sources.images import ImageFiles, convert, upright
from dkvb.workspace.finished import Artifact
from dkvb.workspace.settings import EmbedSettings

if TYPE_CHECKING:
    import torch
    from PIL import Image


@dataclass
class Encoding:
    """`settings` of the recipe's encoder section (None for ready-made features), the images' `mode`, the weights'
    sha256."""

    settings: Encoder | None
    mode: Literal["RGB", "L"] = "RGB"
    weights_sha256: str | None = None
    folder: Path | None = None
    """Where a weights file given by its bare name is looked for."""
    device: str = field(default="cpu", compare=False)
    """Where the encoder runs, "auto", "cpu" or "cuda"; chosen when it is loaded, since that takes torch."""
    exif_rotate: bool = False
    """Whether images are turned as their EXIF orientation says, as those trained with were."""

    scale: float | None = None
    """Of ready-made features that were integers: they were taken as (x + offset) * scale."""
    offset: float = 0.0

    @classmethod
    def of(cls, features: Artifact, device: str = "cpu") -> Encoding:
        """That of an embed artifact."""
        settings, result = features.settings_as(EmbedSettings), features.result_as(EmbedResult)
        data, mode = settings.data, result.mode or "RGB"
        return cls(
            settings.encoder,
            mode,
            result.weights_sha256,
            device=device,
            exif_rotate=data.exif_rotate,
            scale=data.scale,
            offset=data.offset,
        )

    @cached_property
    def encoder(self) -> FrozenEncoder:
        """The encoder, loaded.

        Raises:
            UsageError: there is none, or its weights file is missing.
            DkvbError: its weights cannot be had, or are not those that the model was trained with.
        """
        if self.settings is None:
            raise UsageError(
                "This model was trained on ready-made features, without an encoder: give features (B, D), not images."
            )
        settings = self.settings
        if self.folder and settings.weights and (self.folder / settings.weights).is_file():
            settings = settings.model_copy(update={"weights": str(self.folder / settings.weights)})
        encoder = load_encoder(settings, choose_device(self.device)[0], self.mode)
        if self.weights_sha256 and encoder.weights_hash != self.weights_sha256:
            raise DkvbError(
                f"The weights of {settings.name} found here are not those that the model was trained with (sha256 of"
                f" their parameters {encoder.weights_hash}, expected {self.weights_sha256}): give the original weights."
            )
        return encoder

    @property
    def _batch_size(self) -> int:
        assert self.settings  # an encoder has been loaded
        return self.settings.batch_size

    def features(self, images: torch.Tensor | Image.Image | Sequence[Image.Image]) -> torch.Tensor:
        """Features (B, D) of PIL images, or of a tensor (B, channels, H, W) that `encoder.preprocess` has made.

        Raises:
            UsageError, DkvbError: as `encoder`; images that cannot be used.
        """
        import torch

        encoder, size = self.encoder, self._batch_size
        if isinstance(images, torch.Tensor):
            if images.ndim != 4:
                raise DkvbError(f"A tensor of images must be (B, channels, H, W), got {tuple(images.shape)}.")
            parts = [encoder.encode(part) for part in images.split(size)]
        else:
            listed = list(images) if isinstance(images, Sequence) else [images]
            batches = [listed[start : start + size] for start in range(0, len(listed), size)]
            parts = [encoder.encode(stack([self._prepared(image) for image in batch])) for batch in batches]
        return torch.cat(parts) if parts else torch.empty(0, encoder.dim)

    def _prepared(self, image: Image.Image) -> torch.Tensor:
        return self.encoder.preprocess(convert(upright(image) if self.exif_rotate else image, self.mode))

    def of_files(
        self, files: Sequence[Path], advance: Callable[[int], None]
    ) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
        """Features (n, D) of those image files that can be read, their places (n,), and place -> what is wrong with the
        others."""
        encoder, largest = self.encoder, self._batch_size
        names = [str(file) for file in files]
        split = ImageSplit(
            names, np.zeros(len(names), np.int64), ImageFiles(Path(), names, self.mode, self.exif_rotate)
        )
        # equal batches: the last one is filled up to the size of the others
        size = -(-len(names) // -(-len(names) // largest)) if names else 1
        found = encode_rows(split, range(len(names)), encoder, size, advance)
        return found.features, found.kept_rows, dict(found.bad)
