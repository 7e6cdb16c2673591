"""Opening the data set that a recipe names."""

from __future__ import annotations

from dkvb import registry
from dkvb.recipe import Data
from dkvb.sources.base import FeatureSource, ImageSource


def open_source(data: Data) -> ImageSource | FeatureSource:
    """Open the data set that a recipe's `[data]` section names.

    Opening lists files or decodes small arrays; it reads no image. A second process opens the same rows in the same
    order.

    Raises:
        UsageError: the path is missing, does not exist or is of the wrong kind, or no such source exists.
        DkvbError: what is there cannot be used; the message names the file or class and the fix.
    """
    return registry.find("sources", data.source).load()(data)  # type: ignore[no-any-return]
