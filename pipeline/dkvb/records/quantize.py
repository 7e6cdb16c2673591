"""What `dkvb quantize` returns."""

from __future__ import annotations

from typing import ClassVar

from dkvb.records.base import Record


class QuantizeResult(Record):
    """The keys of one seed, and every sample's codes."""

    absent: ClassVar[frozenset[str]] = frozenset({"note", "purged", "purged_samples", "seconds", "skipped", "artifact"})

    seed: int
    codebooks: int
    """C, the number of codebooks."""
    pairs: int
    """Pairs in each codebook."""
    used: float
    """Share of keys that some training sample selects, as the mean over codebooks; so are the next three."""
    unique: float
    """Share of keys that are distinct."""
    dead: float
    """1 - `used`."""
    quantisation_error: float
    """Mean squared distance of a query to its nearest key, over the queries' variance."""
    note: str | None = None
    """How pairs and k were adapted to the data (`keys.adapt`), where they were."""
    purged: list[int] | None = None
    purged_samples: int | None = None
    """Single samples that were purged."""
    seconds: float | None = None
    skipped: bool | None = None
    artifact: str | None = None
