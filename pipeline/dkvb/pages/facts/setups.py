"""The models that a workspace holds: one configuration on one embedding, with all its seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from dkvb.evaluation.splits import Splits
from dkvb.metrics.intervals import Stat, stat
from dkvb.records.base import Record
from dkvb.records.embed import EmbedResult
from dkvb.records.quantize import QuantizeResult
from dkvb.records.train import TrainResult
from dkvb.workspace.finished import Artifact
from dkvb.workspace.settings import BottleneckSettings, EmbedSettings, LinearSettings, QuantizeSettings

DATA_NAMES = {
    "digits": "scikit-learn digits",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "lacuna100": "LACUNA-100",
    "lacuna10": "LACUNA-10",
    "imagenet1k": "ImageNet-1k",
}

MODELS = {"dkvb": "DKVB", "linear": "linear head"}
"""What pages call a model."""

R = TypeVar("R", bound=Record, covariant=True)


def without(settings: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in keys}


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"keys": {"dim": 8}}` as `{"keys.dim": 8}`."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


@dataclass(frozen=True)
class Trained:
    """A trained model of one seed, with the artifacts it came from."""

    artifact: Artifact
    embed: Artifact
    quantize: Artifact | None = None
    """Its keys; None for a linear head."""

    @cached_property
    def result(self) -> TrainResult:
        return self.artifact.result_as(TrainResult)

    @cached_property
    def keys_result(self) -> QuantizeResult | None:
        return self.quantize.result_as(QuantizeResult) if self.quantize else None

    @cached_property
    def splits(self) -> Splits:
        """Labels and rows that its keys were fitted to, which many pictures read."""
        assert self.quantize
        return Splits(self.embed, self.quantize.settings_as(QuantizeSettings).validation, self.seed)

    @property
    def keys_settings(self) -> dict[str, Any]:
        """The recipe's `[keys]`; empty for a linear head."""
        return self.quantize.settings_as(QuantizeSettings).keys.model_dump(exclude_unset=True) if self.quantize else {}

    @property
    def section(self) -> dict[str, Any]:
        """The recipe's `[train]` that it was trained with; of a linear head, `[linear]`."""
        if self.result.model == "linear":
            return self.artifact.settings_as(LinearSettings).linear.model_dump(exclude_unset=True)
        return self.artifact.settings_as(BottleneckSettings).train.model_dump(exclude_unset=True)

    @property
    def seed(self) -> int:
        return self.result.seed


@dataclass
class Setup:
    """One configuration of a model on one embedding, all seeds of it."""

    key: str
    model: Literal["dkvb", "linear"]
    seeds: list[Trained] = field(default_factory=list)

    @property
    def embed(self) -> Artifact:
        return self.seeds[0].embed

    @cached_property
    def embedded(self) -> EmbedResult:
        return self.embed.result_as(EmbedResult)

    @property
    def classes(self) -> list[str]:
        return self.seeds[0].result.classes

    @property
    def data(self) -> str:
        """The data set's name; of a path, the last part only."""
        data = self.embed.settings_as(EmbedSettings).data
        if data.source in DATA_NAMES or not data.path:
            return DATA_NAMES.get(data.source, data.source)
        return Path(data.path).name

    @property
    def encoder(self) -> str:
        return self.embedded.encoder or "precomputed features"

    @property
    def model_name(self) -> str:
        """What pages call the model; of a linear head, whether it was trained to convergence."""
        converged = self.seeds[0].result.until == "converged"
        return f"converged {MODELS[self.model]}" if converged else MODELS[self.model]

    @property
    def compare(self) -> str:
        """The file name of the page that compares methods on it."""
        return f"compare-{self.key[:8]}.html"

    @property
    def inside(self) -> str:
        """The file name of the page about the bottleneck itself."""
        return f"bottleneck-{self.key[:8]}.html"

    def accuracy(self, split: Literal["train", "test"]) -> Stat | None:
        return stat(getattr(trained.result, split) for trained in self.seeds)

    @property
    def shape(self) -> str:
        """The bottleneck's or the head's size in a few words."""
        keys = self.seeds[0].keys_settings
        if not keys:
            return f"{self.embedded.dim} × {len(self.classes)} weights"
        return f"{keys['codebooks']:,} × {keys['pairs']:,} pairs, k = {keys['top_k']}, d = {keys['dim']}"


@dataclass(frozen=True)
class Made(Generic[R]):
    """An artifact, the record that it holds, and the model from which it was made."""

    artifact: Artifact
    result: R
    setup: Setup
