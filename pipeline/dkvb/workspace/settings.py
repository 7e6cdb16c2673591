"""The settings that an artifact was made with, read back from its manifest as records: `Artifact.settings_as`. What
writes them is in `specs.py`, and for stage 4 in the stages and experiments themselves."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from dkvb.recipe import Data, Encoder, Keys, Linear, Train
from dkvb.records.accuracies import Model


class Settings(BaseModel):
    """Some of an artifact's settings; those that nothing reads by name are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class EmbedSettings(Settings):
    """Of features; of `data`, what changes no feature was not kept and has its default."""

    data: Data
    encoder: Encoder | None
    """None where the data are features already."""


class QuantizeSettings(Settings):
    """Of keys and codes; `keys.unused` was not kept and has its default."""

    keys: Keys
    validation: float
    seed: int


class ModelSettings(Settings):
    """Of a trained model, be it a bottleneck or a linear head."""

    model: Model
    seed: int


class BottleneckSettings(Settings):
    """Of a trained bottleneck."""

    train: Train
    unused: Literal["keep", "mask"] = "keep"
    seed: int


class LinearSettings(Settings):
    """Of a trained linear head."""

    linear: Linear
    seed: int


class UnlearnSettings(Settings):
    """Of whatever stage 4 makes: a method's result, a sweep, training on, or membership inference."""

    method: str
    forget: list[int]
    seed: int
    target: Literal["chance", "zero"] | None = None
    """What forget accuracy N was chosen to reach; None where N was given."""


class RetrainedSettings(Settings):
    """Of a model that was trained without the forget classes."""

    forget: list[int]
    left_out: str | None = None
    """Hash of the single samples that were left out beside them."""
