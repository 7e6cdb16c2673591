"""Whether what purged requests forget is gone from features and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from dkvb.errors import DkvbError
from dkvb.records.ledger import LedgerEntry
from dkvb.workspace.files import sha256
from dkvb.workspace.finished import Artifact
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.names import STORED_SPLITS, VALUES
from dkvb.workspace.requests import PURGED, Request
from dkvb.workspace.rows import stored_labels


@dataclass(frozen=True)
class Unchecked:
    """Something that could not be checked."""

    why: str


def share_erased(values: np.ndarray, mask: np.ndarray) -> float | None:
    """The share of the pairs under a mask (C, M) bool whose values (C, M, L) are all zero or no numbers; None where
    none is masked."""
    masked = values[mask]
    gone = ~np.isfinite(masked).all(1) | ~masked.any(1)
    return float(gone.mean()) if len(gone) else None


def erased(lineage: Lineage, request: Request, entries: Sequence[LedgerEntry]) -> Iterator[str | Unchecked]:
    """What is wrong with a purged request: rows that are still among the features, or values that are neither zero nor
    those that a purge left."""
    model = lineage.find("train", request.train)
    made = lineage.trained_from(model) if model else None
    if made is None:
        yield Unchecked(f"request {request.id}: its model, or the features, are no longer there")
        return
    try:
        if left := _rows_left(made.features, request):
            yield f"request {request.id} is purged, and {left:,} of its rows are still among the features"
        yield from _values(made.model, request, entries)
    except (OSError, ValueError, SafetensorError, DkvbError) as error:
        yield f"request {request.id} is purged, and whether it was erased cannot be read ({error})".rstrip(".")


def _rows_left(features: Artifact, request: Request) -> int:
    """Rows of the request's classes or samples whose labels do not say that they were erased."""
    if request.record.samples:
        return int((stored_labels(features, "train")[request.rows] >= 0).sum())
    return sum(int(np.isin(stored_labels(features, split), request.classes).sum()) for split in STORED_SPLITS)


def _values(model: Artifact, request: Request, entries: Sequence[LedgerEntry]) -> Iterator[str | Unchecked]:
    """Whether the values are those that the last purge of the model left, or zero under the request's mask."""
    file = model.path / VALUES
    purged = [entry for entry in entries if entry.event == PURGED and entry.train == request.train]
    if purged and purged[-1].values == sha256(file):
        return
    mask = request.mask()
    if share_erased(load_file(file)["values"], mask) == 1:
        return
    old = request.record.made_on is None  # later versions do not train again what was purged
    if old and request.record.purge and model.created > request.record.purge.finished:
        yield Unchecked(f"request {request.id}: its model was trained again since the purge, without the erased rows")
        return
    yield f"request {request.id} is purged, and the values that it masks are neither zero nor those that a purge left"
