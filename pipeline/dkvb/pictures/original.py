"""The images that some features were made from, where they are still to be had."""

from __future__ import annotations

from pathlib import Path

from dkvb.errors import DkvbError
from dkvb.recipe import Data
from dkvb.runtime import progress
from dkvb.sources.base import FeatureSource, ImageSource
from dkvb.sources.download import nothing_downloaded
from dkvb.sources.opening import open_source
from dkvb.workspace.finished import Artifact
from dkvb.workspace.settings import EmbedSettings


def of_images(features: Artifact) -> bool:
    """Whether some features were made from images."""
    return features.settings_as(EmbedSettings).encoder is not None


def data_of(features: Artifact, data: Data) -> Data:
    """The `[data]` that some features were made from. Where a named data set lies is in no manifest: the recipe's own
    `[data]` says so, where it is the same set."""
    made = features.settings_as(EmbedSettings).data
    return made.model_copy(update={"path": data.path}) if not made.own and data.source == made.source else made


def there(features: Artifact, data: Data) -> bool:
    """Whether the images may be there, without opening anything: a data set of one's own is where it was."""
    made = data_of(features, data)
    return not made.own or bool(made.path and Path(made.path).exists())


def is_of(features: Artifact, source: ImageSource | FeatureSource | None) -> bool:
    """Whether some features were made from a source."""
    return source is not None and features.inputs.get("source") == source.fingerprint


def reopened(features: Artifact, data: Data, given: ImageSource | FeatureSource | None) -> ImageSource | None:
    """Their source, opened again; None, which is said, where that is not to be had. Nothing is downloaded.

    Args:
        data: the recipe's `[data]`.
        given: a source that is open already, such as `dkvb.from_arrays` gives.
    """
    if isinstance(given, ImageSource) and is_of(features, given):
        return given
    what = f"pictures: the images of {features.path.name} are not to be had"
    if not there(features, data):
        progress.note(f"{what}; pages show those that were kept")
        return None
    try:
        with nothing_downloaded():
            source = open_source(data_of(features, data))
    except (DkvbError, OSError) as error:
        progress.note(f"{what}; pages show those that were kept ({error})")
        return None
    return source if isinstance(source, ImageSource) else None
