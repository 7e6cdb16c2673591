"""Which samples a page shows pictures of, and what it says of each."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dkvb.errors import DkvbError
from dkvb.metrics.evenly import evenly
from dkvb.pages.facts.answers import Answers
from dkvb.pages.facts.words import class_label, short
from dkvb.pictures.album import Album
from dkvb.pictures.index import Row
from dkvb.pictures.thumbnail import TINY, size
from dkvb.workspace.finished import Artifact

MOST = 24
"""Pictures in a row of samples."""

LONGEST = 40
"""Letters of a class's name below a picture."""

ROOM = 900_000
"""Bytes that the pictures of a page take, as text, at most: with their words less than a megabyte."""


@dataclass(frozen=True)
class Picture:
    """A small picture as a page holds it."""

    uri: str
    of: str
    """Which row of which features it shows, by which a purge finds it on the page: no name of a file."""
    tiny: bool
    """Whether it has so few pixels that each is to be seen."""


@dataclass(frozen=True)
class Sample:
    """A test sample: its class and what it is taken for, by name."""

    picture: Picture
    label: str
    before: str
    after: str
    oracle: str | None

    @property
    def alt(self) -> str:
        """The picture in words."""
        said = f"A test sample of {self.label}, taken for {self.before} before and for {self.after} after"
        return said + (f", by the oracle for {self.oracle}" if self.oracle else "")


@dataclass(frozen=True)
class Samples:
    """The samples that a page shows of one mask."""

    forgotten: list[Sample]
    """Of the forgotten classes, by what they are taken for now, most frequent first."""
    changed: list[Sample]
    """Of the classes that stay, those that are taken for something else: first those that were right."""
    looked_at: int
    moved: int
    lost: int
    won: int
    """Samples of the classes that stay: how many were looked at, are taken for something else, were right and are
    wrong, were wrong and are right."""

    @property
    def any(self) -> bool:
        return bool(self.forgotten or self.changed)


@dataclass
class Sheet:
    """The pictures of one page, as many as there is room for."""

    album: Album | None
    features: Artifact
    room: int = ROOM
    _held: dict[Row, Picture] = field(default_factory=dict)

    def of(self, rows: Sequence[Row]) -> dict[Row, Picture]:
        """Those that there are, the first ones first."""
        new = [row for row in dict.fromkeys(rows) if row not in self._held]
        found = self._found(new)
        for row in new:
            if row in found and (uri := _uri(found[row])) and len(uri) <= self.room:
                self.room -= len(uri)
                self._held[row] = Picture(uri, mark(self.features, row), max(size(found[row])) <= TINY)
        return {row: self._held[row] for row in rows if row in self._held}

    def _found(self, rows: Sequence[Row]) -> dict[Row, bytes]:
        try:
            return self.album.of(self.features, rows) if self.album and rows else {}
        except DkvbError:  # features that cannot be read: what else needs them says so
            return {}


def mark(features: Artifact, row: Row) -> str:
    """What stands on a page beside the picture of a row."""
    return f"{features.fingerprint[:16]}/{row[0]}/{row[1]}"


def _uri(picture: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(picture).decode()}"


def class_name(index: int, classes: Sequence[str]) -> str:
    """A class by its name alone, shortened where it is long, unless another one has the same."""
    name = short(classes[index], LONGEST)
    return name if [short(other, LONGEST) for other in classes].count(name) == 1 else class_label(int(index), name)


def samples(sheet: Sheet, of: Answers, forget: Sequence[int], classes: Sequence[str]) -> Samples:
    """What a page shows of one mask's answers. `classes`: all names."""
    mine = of.of(forget)
    moved = ~mine & (of.before != of.after)
    lost, won = moved & (of.before == of.labels), moved & (of.after == of.labels)
    chosen = np.concatenate([np.flatnonzero(lost), np.flatnonzero(won), np.flatnonzero(moved & ~lost & ~won)])
    return Samples(
        forgotten=_shown(sheet, of, _by_answer(of, mine), classes),
        changed=_shown(sheet, of, chosen[:MOST], classes),
        looked_at=int((~mine).sum()),
        moved=int(moved.sum()),
        lost=int(lost.sum()),
        won=int(won.sum()),
    )


def _by_answer(of: Answers, mine: np.ndarray) -> np.ndarray:
    """(n,) places of `MOST` forgotten samples at most, evenly spaced, those of the commonest answer first."""
    places = evenly(np.flatnonzero(mine), MOST)
    often = np.bincount(of.after[places], minlength=1)
    return places[np.lexsort((places, of.after[places], -often[of.after[places]]))]


def _shown(sheet: Sheet, of: Answers, places: np.ndarray, classes: Sequence[str]) -> list[Sample]:
    rows: list[Row] = [("test", int(of.rows[place])) for place in places]
    pictures = sheet.of(rows)

    return [
        Sample(
            picture=pictures[row],
            label=class_name(of.labels[place], classes),
            before=class_name(of.before[place], classes),
            after=class_name(of.after[place], classes),
            oracle=None if of.oracle is None else class_name(of.oracle[place], classes),
        )
        for row, place in zip(rows, places.tolist(), strict=True)
        if row in pictures
    ]
