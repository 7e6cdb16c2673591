"""A source of a training part and, where there is one, a test part: classes, splits and what is to be said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dkvb.errors import DkvbError
from dkvb.recipe import Data
from dkvb.sources.base import FeatureSource, FeatureSplit, ImageSource, ImageSplit, Mode, digest, hold_out
from dkvb.sources.checks import check_classes, check_finite
from dkvb.sources.class_ids import Labels, class_ids
from dkvb.sources.images import indices
from dkvb.sources.numbers import doubt_columns
from dkvb.sources.remarks import Remarks

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Images:
    """Images of one part, read one at a time."""

    labels: Labels
    ids: Sequence[str]
    read: Callable[[int], Image.Image]


@dataclass(frozen=True)
class Features:
    """Features of one part."""

    labels: Labels
    x: np.ndarray
    """(N, D) floating point."""


@dataclass(frozen=True)
class Rows:
    """Row to image for some rows of a part."""

    read: Callable[[int], Image.Image]
    rows: np.ndarray

    def __call__(self, row: int) -> Image.Image:
        return self.read(int(self.rows[row]))


@dataclass(frozen=True)
class TakenRows:
    """Some rows of features, as an array is read, without a copy of them all."""

    x: np.ndarray
    rows: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), self.x.shape[1]

    @property
    def dtype(self) -> np.dtype:
        return self.x.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: slice | np.ndarray) -> np.ndarray:
        return self.x[self.rows[key]]


@dataclass(frozen=True)
class _Division:
    classes: list[str]
    rows: dict[str, tuple[int, np.ndarray, np.ndarray]]
    """Split -> its part's place, rows there and (N,) int64 labels."""


def _divide(parts: Sequence[Labels], named: Sequence[str] | None, data: Data, unit: str, remarks: Remarks) -> _Division:
    for part in parts:
        if len(part.raw) == 0:
            raise DkvbError(f"{part.where} has no rows; it needs one for each of its {unit}.")
    classes, ids = class_ids(parts, named, data.labels)
    if len(parts) == 1:
        kept, aside = hold_out(ids[0], data.test_share, data.source)
        remarks.notes.append(
            f"no test {unit}: split off {data.test_share:.0%} of every class ({len(aside):,} of {len(ids[0]):,})"
            " for testing"
        )
        rows = {"train": (0, kept, ids[0][kept]), "test": (0, aside, ids[0][aside])}
    else:
        rows = {name: (i, np.arange(len(ids[i])), ids[i]) for i, name in enumerate(("train", "test"))}
    labels = {name: labels for name, (_, _, labels) in rows.items()}
    check_classes(classes, labels, parts[0].where, remarks.notes, remarks.doubts)
    return _Division(classes, rows)


def image_source(
    parts: Sequence[Images],
    named: Sequence[str] | None,
    data: Data,
    contents: Callable[[], str],
    remarks: Remarks,
    mode: Mode = "RGB",
) -> ImageSource:
    """Images in the order of their parts, train and then test; of one part alone, `data.test_share` is set aside.

    Args:
        named: names that numbers count, where they are known.
        contents: a digest of what the images are; labels and the share set aside need not be in it.

    Raises:
        DkvbError: labels that do not fit each other, or classes that cannot be learned.
    """
    division = _divide([part.labels for part in parts], named, data, "images", remarks)
    splits = {
        name: ImageSplit([parts[i].ids[row] for row in rows.tolist()], labels, Rows(parts[i].read, rows))
        for name, (i, rows, labels) in division.rows.items()
    }
    hasher = _hasher(division, contents, data, len(parts))
    return ImageSource(
        division.classes, hasher, remarks.notes, splits, mode, doubts=remarks.doubts, passed_over=remarks.passed_over
    )


def feature_source(
    parts: Sequence[Features], named: Sequence[str] | None, data: Data, remarks: Remarks
) -> FeatureSource:
    """Features in the order of their parts, likewise; the fingerprint is that of their numbers, wherever they lay.

    Raises:
        DkvbError: features that are not finite or of several widths; labels and classes as `image_source`.
    """
    division = _divide([part.labels for part in parts], named, data, "features", remarks)
    for part in parts:
        if part.x.shape[1] != parts[0].x.shape[1]:
            widths = [f"{p.labels.where} has {p.x.shape[1]} features a row" for p in (parts[0], part)]
            raise DkvbError(f"{' and '.join(widths)}; compute both with one encoder.")
        check_finite(part.x, part.labels.where)
    doubt_columns(parts[0].x, parts[0].labels.where, remarks)
    splits = {
        name: FeatureSplit(
            indices(rows),
            labels,
            parts[i].x if len(parts) > 1 else TakenRows(parts[i].x, rows),  # type: ignore[arg-type]
        )
        for name, (i, rows, labels) in division.rows.items()
    }
    hasher = _hasher(division, lambda: array_digest([part.x for part in parts]), data, len(parts))
    return FeatureSource(
        division.classes, hasher, remarks.notes, splits, doubts=remarks.doubts, passed_over=remarks.passed_over
    )


def _hasher(division: _Division, contents: Callable[[], str], data: Data, parts: int) -> Callable[[], str]:
    def hasher() -> str:
        share = repr(data.test_share) if parts == 1 else ""
        labels = [labels.tobytes() for _, _, labels in division.rows.values()]
        return digest([share, *division.classes, *labels, contents()])

    return hasher


BLOCK = 65536


def array_digest(arrays: Sequence[np.ndarray]) -> str:
    """sha256 hex digest of type, shape and content, in blocks of rows, so that no copy of all of it is made."""

    def contents() -> Iterator[str | bytes]:
        for array in arrays:
            yield f"{array.dtype.str} {array.shape}"
            for start in range(0, len(array), BLOCK):
                yield np.ascontiguousarray(array[start : start + BLOCK]).tobytes()

    return digest(contents())
