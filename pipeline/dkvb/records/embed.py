"""What `dkvb embed` returns."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dkvb.records.base import Record


class Leaks(Record):
    """Content that occurs more than once in the data; an example is a pair of ids."""

    any: bool
    """Whether accuracy or forgetting would be measured wrongly: content is shared, or has several labels."""
    rows: dict[str, int]
    """Rows checked, by split."""
    shared: int = 0
    """Test rows whose content is in train as well."""
    shared_contents: int = 0
    """Distinct contents among them."""
    across_classes: int = 0
    """Distinct contents that stand under more than one label, be it within a split or across the two."""
    duplicates: int = 0
    """Rows of train that repeat an earlier one, whatever its label. By itself no leak."""
    examples: dict[str, list[tuple[str, str]]] = Field(default_factory=dict)
    """Up to five pairs each for `shared` (train, test), `across_classes` ("train/3 (cat)", …) and `duplicates`."""


class EmbedResult(Record):
    """The features of a data set."""

    absent: ClassVar[frozenset[str]] = frozenset(
        {"purged", "purged_samples", "seconds", "skipped", "artifact", "passed_over", "turned"}
    )

    source: str
    encoder: str | None
    """None where the data are features already."""
    train: int
    """Rows of the training set."""
    test: int
    """Rows of the test set."""
    dim: int
    """D, the width of a feature."""
    mode: Literal["RGB", "L"] | None
    """In what mode images were read."""
    classes: list[str]
    """Names of all classes."""
    weights_sha256: str | None
    """Hash of the encoder's weights."""
    unreadable: dict[str, list[str]]
    """Split -> what is wrong with each image that was left out."""
    leaks: Leaks
    leaks_in_words: str | None
    """The same in a sentence; None where there is nothing to say."""
    passed_over: dict[str, int] | None = None
    """Files that were found and not taken, counted by reason; None where nobody counted."""
    turned: int | None = None
    """Images turned upright as their EXIF orientation says; None where images are taken as stored."""
    purged_samples: int | None = None
    """Single samples that were purged."""
    purged: list[int] | None = None
    """Classes whose rows were erased by `dkvb purge`."""
    seconds: float | None = None
    skipped: bool | None = None
    """Whether an earlier run had done it."""
    artifact: str | None = None
    """The artifact's folder."""


class EmbedPart(Record):
    """Some shards of a data set, by `--shard-range`, while shards of other ranges are still missing."""

    source: str
    encoder: str | None
    shards: int
    """Shards in all."""
    shards_left: list[int]
    """Shards that are not done yet."""
    skipped: bool = False
