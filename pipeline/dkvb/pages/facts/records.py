"""What a report is about, as plain records: trained models, methods' results, runs; means and deviations over seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from dkvb.metrics.intervals import Stat, stat
from dkvb.pages.charts import palette
from dkvb.workspace.artifacts import Artifact
from dkvb.workspace.files import canonical_hash

DATA_NAMES = {
    "digits": "scikit-learn digits",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "lacuna100": "LACUNA-100",
    "lacuna10": "LACUNA-10",
    "imagenet1k": "ImageNet-1k",
}


SPLITS = ("retain_test", "forget_test", "retain_train", "forget_train")


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

    @property
    def model(self) -> str:
        return str(self.artifact.result["model"])

    @property
    def seed(self) -> int:
        return int(self.artifact.result["seed"])


@dataclass
class Setup:
    """One configuration of a model on one embedding, all seeds of it."""

    key: str
    model: str
    seeds: list[Trained] = field(default_factory=list)

    @property
    def embed(self) -> Artifact:
        return self.seeds[0].embed

    @property
    def classes(self) -> list[str]:
        return [str(name) for name in self.seeds[0].artifact.result["classes"]]

    @property
    def data(self) -> str:
        """The data set's name; of a path, the last part only."""
        settings = self.embed.settings["data"]
        if settings["source"] in DATA_NAMES or not settings.get("path"):
            return DATA_NAMES.get(settings["source"], str(settings["source"]))
        return Path(settings["path"]).name

    @property
    def encoder(self) -> str:
        return str(self.embed.result["encoder"] or "precomputed features")

    @property
    def compare(self) -> str:
        """The file name of the page that compares methods on it."""
        return f"compare-{self.key[:8]}.html"

    @property
    def inside(self) -> str:
        """The file name of the page about the bottleneck itself."""
        return f"bottleneck-{self.key[:8]}.html"

    def accuracy(self, split: str) -> Stat | None:
        return stat(trained.artifact.result.get(split) for trained in self.seeds)

    @property
    def shape(self) -> str:
        """The bottleneck's or the head's size in a few words."""
        quantize = self.seeds[0].quantize
        if quantize is None:
            return f"{self.embed.result['dim']} × {len(self.classes)} weights"
        keys = quantize.settings["keys"]
        return f"{keys['codebooks']:,} × {keys['pairs']:,} pairs, k = {keys['top_k']}, d = {keys['dim']}"


@dataclass
class MethodResult:
    """One method with one setting on one model, all seeds of it."""

    method: str
    setup: Setup
    artifacts: list[Artifact] = field(default_factory=list)
    difference: str = ""
    """What tells it from another result of the same method and model."""

    @property
    def results(self) -> list[dict[str, Any]]:
        return [artifact.result for artifact in self.artifacts]

    @property
    def label(self) -> str:
        model = " on the linear head" if self.setup.model == "linear" and self.method != "retrain-linear" else ""
        return f"{palette.look(self.method).name}{model}" + (f", {self.difference}" if self.difference else "")

    def stat(self, key: str) -> Stat | None:
        return stat(result.get(key) for result in self.results)

    def split(self, when: str, split: str) -> Stat | None:
        return stat(result[when].get(split) for result in self.results)

    def change(self, split: str) -> Stat | None:
        """After less before, per seed."""
        pairs = [(result["before"].get(split), result["after"].get(split)) for result in self.results]
        return stat(after - before for before, after in pairs if before is not None and after is not None)

    def per_class(self, when: str) -> list[Stat | None]:
        return [stat(column) for column in zip(*(result[f"per_class_{when}"] for result in self.results), strict=True)]


@dataclass
class ReportRun:
    """One DKVB configuration and one forget set: what a page is about."""

    setup: Setup
    forget: tuple[int, ...]
    methods: list[MethodResult] = field(default_factory=list)
    sweeps: dict[tuple[str, str], pl.DataFrame] = field(default_factory=dict)
    """(method, model) to one row per n and split: masked, retain, forget (means over seeds), their _sd and _ci95,
    seeds."""
    counts: dict[tuple[str, str], pl.DataFrame] = field(default_factory=dict)
    """The same sweeps, as counted: one row per seed, n, split and class: correct, total, masked."""
    retraining: list[Artifact] = field(default_factory=list)
    """Retraining after unlearning, a curve over epochs each."""
    swept: list[Artifact] = field(default_factory=list)
    made: str = ""

    @property
    def names(self) -> list[str]:
        return [self.setup.classes[index] for index in self.forget]

    @property
    def chance(self) -> float:
        return 1 / len(self.setup.classes)

    @property
    def slug(self) -> str:
        readable = (
            re.sub(r"[^A-Za-z0-9]+", "-", f"{self.setup.data}-{self.setup.encoder}-{'-'.join(self.names)}")
            .strip("-")
            .lower()
        )
        return f"{readable[:60].rstrip('-')}-{canonical_hash([self.setup.key, self.forget])[:8]}"

    @property
    def page(self) -> str:
        """The file name of its page."""
        return f"{self.slug}.html"

    def find(self, method: str, model: str = "dkvb") -> MethodResult | None:
        """The method's most recent result on a model."""
        return next(
            (found for found in reversed(self.methods) if (found.method, found.setup.model) == (method, model)), None
        )

    @property
    def lead(self) -> MethodResult | None:
        """The result that the page's headline is about: masking if it was done, else the first there is."""
        masking = (self.find(method) for method in palette.MASKING)
        return next((found for found in masking if found), self.methods[0] if self.methods else None)


@dataclass(frozen=True)
class Collected:
    """All that a report says."""

    setups: list[Setup]
    runs: list[ReportRun]
    orphans: int
    """Artifacts left out because what they were made from is gone."""


def short(name: str, limit: int = 28) -> str:
    return name if len(name) <= limit else name[: limit - 1].rstrip() + "…"


def class_label(index: int, name: str) -> str:
    """Unique even where two classes share a name."""
    return name if name == str(index) else f"{index} {name}"
