"""What every source yields: classes and two splits, train and test, whose rows never change order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dkvb.errors import DkvbError
from dkvb.runtime import seeding
from dkvb.sources.remarks import PassedOver
from dkvb.workspace.files import atomic

if TYPE_CHECKING:
    from PIL import Image

Mode = Literal["RGB", "L"]


class UnreadableImage(DkvbError):
    """An image that cannot be decoded: its `id` and the `reason`."""

    def __init__(self, id: str, reason: str) -> None:
        super().__init__(f"{id} cannot be read as an image: {reason}")
        self.id, self.reason = id, reason

    def __reduce__(self) -> tuple[type[UnreadableImage], tuple[str, str]]:
        return UnreadableImage, (self.id, self.reason)


@dataclass(frozen=True)
class ImageSplit:
    """One split of an image source."""

    ids: Sequence[str]
    """(N,) relative posix paths, or the row in the official order as a string."""
    labels: np.ndarray
    """(N,) int64."""
    read: Callable[[int], Image.Image]
    """Row to image in the source's mode; raises UnreadableImage. Safe to call from several threads."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class FeatureSplit:
    """One split of ready-made features."""

    ids: Sequence[str]
    labels: np.ndarray
    """(N,) int64."""
    features: np.ndarray
    """(N, D) floating point, finite."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Table:
    """Features of one file or set of shards, as read."""

    where: Path
    x: np.ndarray
    """(N, D)."""
    y: np.ndarray
    """(N,) int64."""
    classes: list[str] | None
    files: list[Path]
    named: bool = False
    """Whether `classes` are what the labels themselves name, not a list beside them."""


@dataclass(frozen=True, eq=False)
class _Source:
    classes: list[str]
    hasher: Callable[[], str] = field(repr=False)
    """Computes the fingerprint: on first use only, so that workers which reopen a source skip it."""
    notes: list[str]
    """Things worth telling the user, a sentence each."""
    doubts: list[str] = field(default_factory=list, kw_only=True)
    """What may well be a mistake in the data, a sentence each: warnings, and errors with `data.strict`."""
    passed_over: dict[str, PassedOver] = field(default_factory=dict, kw_only=True)
    """Files that were found and not taken, by reason."""

    @cached_property
    def fingerprint(self) -> str:
        """sha256 hex digest of what the data are, a drawn test split included."""
        return self.hasher()


@dataclass(frozen=True, eq=False)
class ImageSource(_Source):
    splits: dict[str, ImageSplit]
    mode: Mode = "RGB"
    manifest: Callable[[], list[dict[str, Any]]] | None = field(default=None, repr=False)
    """Where rows were drawn from a larger set: reads every file and gives `{split, id, label, sha256}` for each row, in
    order."""

    def write_manifest(self, path: Path) -> bool:
        """Write the manifest as a parquet table; False, and nothing written, where the source has none.

        Raises:
            DkvbError: a drawn file is no longer there.
        """
        if self.manifest is None:
            return False
        import polars as pl

        rows = self.manifest()
        with atomic(path) as temporary:
            pl.DataFrame(
                rows, {"split": pl.String, "id": pl.String, "label": pl.Int64, "sha256": pl.String}
            ).write_parquet(temporary)
        return True


@dataclass(frozen=True, eq=False)
class FeatureSource(_Source):
    splits: dict[str, FeatureSplit]

    @property
    def dim(self) -> int:
        return int(self.splits["train"].features.shape[1])


def hold_out(labels: np.ndarray, share: float, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows for train and for test where a source has no test split: stratified, the same for every run's seed."""
    return seeding.stratified_split(labels, share, seeding.generator(0, source, "test"))


def digest(parts: Iterable[str | bytes]) -> str:
    """sha256 hex digest over parts, each preceded by its length so that no two lists collide."""
    total = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        total.update(len(content).to_bytes(8, "big"))
        total.update(content)
    return total.hexdigest()
