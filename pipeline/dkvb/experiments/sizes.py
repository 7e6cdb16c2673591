"""How large a data set is: from its embeddings, from the data themselves, or, where neither is here, as published."""

from __future__ import annotations

from dataclasses import dataclass

from dkvb.recipe import Recipe
from dkvb.records.embed import EmbedResult
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.specs import embed_settings

WIDTHS = {"clip-vit-b32": 512, "resnet50": 2048}
"""Encoder -> width of its features."""

OTHER = 1024
"""Width that the features of any other encoder are taken to have before there are any."""

PUBLISHED = {
    "cifar10": (50_000, 10_000, 10),
    "cifar100": (50_000, 10_000, 100),
    "lacuna100": (40_000, 10_000, 100),
    "imagenet1k": (1_281_167, 50_000, 1_000),
}
"""Source -> training and test samples and classes, as its publishers say (of LACUNA-100 the paper, Appendix F)."""


@dataclass(frozen=True)
class Size:
    """Rows, width and classes of a data set."""

    train: int
    test: int
    width: int
    classes: int

    @property
    def rows(self) -> int:
        return self.train + self.test

    @classmethod
    def embedded(cls, features: Artifact) -> Size:
        result = features.result_as(EmbedResult)
        return cls(result.train, result.test, result.dim, len(result.classes))

    @classmethod
    def of(cls, recipe: Recipe, workspace: Workspace) -> Size:
        """From its embeddings, or from the data themselves where nothing is embedded yet."""
        if features := workspace.find("embed", embed_settings(recipe)):
            return cls.embedded(features)
        from dkvb.sources.base import FeatureSplit
        from dkvb.sources.opening import open_source

        source = open_source(recipe.data)
        train, test = source.splits["train"], source.splits["test"]
        width = train.features.shape[1] if isinstance(train, FeatureSplit) else _width(recipe)
        return cls(len(train.labels), len(test.labels), width, len(source.classes))

    @classmethod
    def published(cls, recipe: Recipe) -> Size | None:
        """Of a data set that is not here; None where nobody says."""
        known = PUBLISHED.get(recipe.data.source)
        return known and cls(known[0], known[1], _width(recipe), known[2])


def _width(recipe: Recipe) -> int:
    return WIDTHS.get(recipe.encoder.name, OTHER)
