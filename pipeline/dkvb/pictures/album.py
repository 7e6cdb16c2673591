"""Pictures of rows, for whoever writes a page: from the index, or made from the images and put there first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from dkvb.errors import DamagedArtifact
from dkvb.pictures import index
from dkvb.pictures.index import Row
from dkvb.pictures.original import is_of, of_images, reopened, there
from dkvb.pictures.thumbnail import thumbnail
from dkvb.recipe import Data
from dkvb.sources.base import FeatureSource, ImageSource, UnreadableImage
from dkvb.sources.contents import content_hash
from dkvb.workspace import arrays, locks
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import refuse_half_purged
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import KEPT
from dkvb.workspace.rows import present


@dataclass
class Album:
    """The pictures of a workspace's data sets.

    Call within `reading(workspace)`, so that no purge erases a row between its picture and the page.
    """

    workspace: Workspace
    data: Data
    """The recipe's `[data]`: where a named data set lies."""
    given: ImageSource | FeatureSource | None = None
    """A source that is open already."""
    on: bool = True
    """Whether there are to be any (`report.pictures`)."""
    _opened: dict[str, ImageSource | None] = field(default_factory=dict)

    def state(self, features: Artifact) -> Literal["images", "index"] | None:
        """Where a page's pictures would come from: what a page depends on, beside the rows that it shows."""
        if not (self.on and of_images(features)):
            return None
        if is_of(features, self.given) or there(features, self.data):
            return "images"
        return "index" if index.kept(self.workspace, features) else None

    def of(self, features: Artifact, rows: Sequence[Row]) -> dict[Row, bytes]:
        """WebP of those rows of which there is a picture, or can be one; never of a row that was purged, nor of any
        where the workspace cannot be written and the index lacks it."""
        if not (self.on and of_images(features)) or self._half_purged():
            return {}
        here = {split: present(features, split) for split in {split for split, _ in rows}}
        rows = [row for row in dict.fromkeys(rows) if here[row[0]][row[1]]]
        kept = index.kept(self.workspace, features)
        found = index.read(kept, rows) if kept else {}
        made = self._made(features, [row for row in rows if row not in found])
        try:
            if made:
                index.add(self.workspace, features, made)
        except OSError as error:
            if not locks.read_only(error, self.workspace.root):
                raise
            return found  # a picture that the index does not hold is one that no purge would know
        return found | made

    def _half_purged(self) -> bool:
        """Whether a purge was killed while it erased: its rows do not all say so yet."""
        try:
            refuse_half_purged(self.workspace)
        except DamagedArtifact:
            return True
        return False

    def _made(self, features: Artifact, rows: Sequence[Row]) -> dict[Row, bytes]:
        """Pictures made from the images, of rows whose image is there and is the one that was embedded."""
        if not rows:
            return {}
        if features.fingerprint not in self._opened:
            self._opened[features.fingerprint] = reopened(features, self.data, self.given)
        source, made = self._opened[features.fingerprint], {}
        if source is None:
            return {}
        for split in sorted({split for split, _ in rows}):
            places = [place for of, place in rows if of == split]
            for place, picture in _thumbnails(source, features, split, places):
                made[split, place] = picture
        return made


def _thumbnails(
    source: ImageSource, features: Artifact, split: str, places: Sequence[int]
) -> Iterable[tuple[int, bytes]]:
    """Stored row and picture, of those rows whose image has the content that the features were made from."""
    images, kept = source.splits[split], _source_rows(features.path, split)
    hashes = arrays.read(features, f"{split}/hashes", list(places))
    for place, expected in zip(places, hashes, strict=True):
        row = place if kept is None else int(kept[place])
        if row >= len(images):
            continue
        try:
            image = images.read(row)
        except UnreadableImage:
            continue
        if content_hash(image) == expected.tobytes():
            yield place, thumbnail(image)


def _source_rows(features: Path, split: str) -> np.ndarray | None:
    """(N,) the source's row for each stored one, where unreadable images were left out."""
    kept = features / split / KEPT
    return np.load(kept) if kept.is_file() else None
