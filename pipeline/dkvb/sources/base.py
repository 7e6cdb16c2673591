"""What every source yields: classes and two splits, train and test, whose rows never change order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from dkvb import seeding
from dkvb.errors import DkvbError, UsageError

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


@dataclass(frozen=True, eq=False)
class _Source:
    classes: list[str]
    hasher: Callable[[], str] = field(repr=False)
    """Computes the fingerprint: on first use only, so that workers which reopen a source skip it."""
    notes: list[str]
    """Things worth telling the user, a sentence each."""

    @cached_property
    def fingerprint(self) -> str:
        """sha256 hex digest of what the data are, a drawn test split included."""
        return self.hasher()


@dataclass(frozen=True, eq=False)
class ImageSource(_Source):
    splits: dict[str, ImageSplit]
    mode: Mode = "RGB"


@dataclass(frozen=True, eq=False)
class FeatureSource(_Source):
    splits: dict[str, FeatureSplit]

    @property
    def dim(self) -> int:
        return int(self.splits["train"].features.shape[1])


def data_path(source: str, path: str | None, holds: str) -> Path:
    """The existing path of a source that needs one.

    Raises:
        UsageError: none is set, or nothing is there.
    """
    if path is None:
        raise UsageError(f"The source '{source}' needs data.path: set it to {holds} (or pass --data-root).")
    found = Path(path).expanduser()
    if not found.exists():
        raise UsageError(f"data.path {found} does not exist; set it to {holds} (or pass --data-root).")
    return found


def data_folder(source: str, path: str | None, holds: str) -> Path:
    """Like `data_path`, and a folder with something in it."""
    found = data_path(source, path, holds)
    if not found.is_dir():
        raise UsageError(f"data.path {found} is a file; the source '{source}' needs {holds}.")
    if not any(found.iterdir()):
        raise UsageError(f"data.path {found} is empty; the source '{source}' needs {holds}.")
    return found


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


def some(names: Iterable[object], limit: int = 3) -> str:
    """The first names of a list, and how many more there are."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more


def check_classes(classes: Sequence[str], labels: Mapping[str, np.ndarray], where: object, notes: list[str]) -> None:
    """Refuse fewer than two classes, repeated names, and classes without training rows; note classes without test rows.

    Args:
        labels: split name to (N,) integers in [0, len(classes)).
    """
    if len(classes) < 2:
        only = f" ('{classes[0]}')" if classes else ""
        raise DkvbError(f"{where} has only {len(classes)} class{only}; forgetting a class needs two or more.")
    if repeated := sorted({name for name in classes if classes.count(name) > 1}):
        raise DkvbError(f"{where}: the class name {some(repeated)} stands for several classes; give each its own name.")
    counts = {split: np.bincount(rows, minlength=len(classes)) for split, rows in labels.items()}
    if untrained := [classes[i] for i in np.flatnonzero(counts["train"] == 0).tolist()]:
        raise DkvbError(f"{where}: no training samples for class {some(untrained)}; add some, or take the class out of both splits.")
    if untested := [classes[i] for i in np.flatnonzero(counts["test"] == 0).tolist()]:
        notes.append(f"no test samples for class {some(untested)}: its test accuracy is undefined")
