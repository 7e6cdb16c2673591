"""Data sources: one file per data set kind, all yielding (id, image or feature, label) in a fixed order."""

from __future__ import annotations

from dkvb.errors import UsageError, nearest
from dkvb.recipe import SOURCES, Data
from dkvb.sources.base import FeatureSource, FeatureSplit, ImageSource, ImageSplit, UnreadableImage

__all__ = ["FeatureSource", "FeatureSplit", "ImageSource", "ImageSplit", "UnreadableImage", "open_source"]


def open_source(data: Data) -> ImageSource | FeatureSource:
    """Open the data set that a recipe's `[data]` section names.

    Opening lists files or decodes small arrays; it reads no image. A second process opens the same rows in the same order.

    Raises:
        UsageError: the path is missing, does not exist or is of the wrong kind, or no such source exists.
        DkvbError: what is there cannot be used; the message names the file or class and the fix.
    """
    match data.source:
        case "digits":
            from dkvb.sources.digits import open_digits

            return open_digits(data)
        case "cifar10" | "cifar100":
            from dkvb.sources.cifar import open_cifar

            return open_cifar(data)
        case "lacuna100" | "lacuna10":
            from dkvb.sources.lacuna100 import open_lacuna

            return open_lacuna(data)
        case "imagenet1k":
            from dkvb.sources.imagenet1k import open_imagenet1k

            return open_imagenet1k(data)
        case "folder":
            from dkvb.sources.folder import open_folder

            return open_folder(data)
        case "features":
            from dkvb.sources.features import open_features

            return open_features(data)
    raise UsageError(f"Unknown data.source '{data.source}'{nearest(data.source, SOURCES)}")
