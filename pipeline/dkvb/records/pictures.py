"""What the index of pictures is."""

from __future__ import annotations

from dkvb.records.base import Record


class PicturesResult(Record):
    """The pictures of one data set that pages have shown."""

    pictures: int
    """How many there are."""
