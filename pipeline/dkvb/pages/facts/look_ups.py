"""What goes on inside a bottleneck: which pairs are used, which classes share them, which are masked, and what look-ups
fall back to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from safetensors import safe_open

from dkvb.bottleneck.lookup import NONE, CpuLookup, reselect
from dkvb.bottleneck.mask_order import unpack
from dkvb.bottleneck.projection import groups
from dkvb.bottleneck.values import codebook_logits
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.pages.facts.setups import Trained
from dkvb.workspace import arrays, tensors
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import COUNTS, MASK, VALUES
from dkvb.workspace.settings import BottleneckSettings

ROOM = 2**30
"""Bytes of selection counts held at a time; of more classes than fit, only some are compared."""


class Counts:
    """How often training samples of each class selected each pair in the last epoch: (L, C, M) uint32.

    Read once and held where all classes fit into `ROOM`, else read class by class.
    """

    def __init__(self, trained: Trained) -> None:
        """Raises:
        DamagedArtifact: the counts are missing or fail their checksums.
        """
        self._artifact = trained.artifact
        self.classes, *shape = arrays.opened(trained.artifact, COUNTS).shape
        self.shape: tuple[int, int] = (shape[0], shape[1])
        self._room = max(2, ROOM // (4 * int(np.prod(self.shape))))
        self._held = self._read(range(self.classes)) if self.classes <= self._room else None

    def _read(self, classes: Sequence[int]) -> np.ndarray:
        return arrays.read(self._artifact, COUNTS, list(classes))

    def of(self, classes: Sequence[int]) -> np.ndarray:
        """(n, C, M) counts of some classes."""
        return self._read(classes) if self._held is None else self._held[list(classes)]

    def each(self) -> Iterator[np.ndarray]:
        """(C, M) counts of every class in turn."""
        for index in range(self.classes):
            yield self._read([index])[0] if self._held is None else self._held[index]

    def fitting(self, wanted: Sequence[int]) -> list[int]:
        """Classes whose counts fit into `ROOM`: all of them, or the wanted ones first; sorted."""
        return sorted([*dict.fromkeys([*wanted, *range(self.classes)])][: self._room])


@dataclass(frozen=True)
class Selected:
    """What all classes together select."""

    total: np.ndarray
    """(C, M) int64, how often each pair is selected."""
    owners: np.ndarray
    """(C, M), the class that uses each pair most, lowest id on a tie; `classes`, their number, where none does."""


def selected(counts: Counts) -> Selected:
    """Both in one pass over the classes."""
    total, most = np.zeros(counts.shape, np.int64), np.zeros(counts.shape, np.uint32)
    owners = np.full(counts.shape, counts.classes, np.int64)
    for index, mine in enumerate(counts.each()):
        total += mine
        more = mine > most
        owners[more], most[more] = index, mine[more]
    return Selected(total, owners)


@dataclass(frozen=True)
class Usage:
    """Of every codebook: pairs that training selected, and their perplexity, the number of equally used pairs that
    would be as diverse."""

    used: np.ndarray
    effective: np.ndarray
    pairs: int


def usage(total: np.ndarray) -> Usage:
    """From (C, M) selection counts over all classes."""
    share = total / np.maximum(total.sum(1, keepdims=True), 1)
    entropy = -np.sum(share * np.log(np.where(share > 0, share, 1)), axis=1)
    return Usage((total > 0).sum(1), np.exp(entropy), total.shape[1])


def overlap(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two (L, L) matrices: of the pairs, and of the look-ups, of the row's class, the share at pairs that the column's
    class uses too."""
    classes = len(counts)
    pairs, lookups = np.zeros((classes, classes)), np.zeros((classes, classes))
    for codebook in range(counts.shape[1]):
        many = counts[:, codebook].astype(np.float32)
        used = (many > 0).astype(np.float32)
        pairs += used @ used.T
        lookups += many @ used.T
    whole = counts.reshape(classes, -1)
    return (
        pairs / np.maximum((whole > 0).sum(1), 1)[:, None],
        lookups / np.maximum(whole.sum(1, dtype=np.int64), 1)[:, None],
    )


def mask_of(unlearned: Artifact, pairs: int) -> np.ndarray:
    """(C, M) bool.

    Raises:
        OSError, KeyError, SafetensorError: there is no mask that can be read.
    """
    with safe_open(unlearned.file(MASK), framework="numpy") as file:
        return unpack(file.get_tensor("mask"), pairs)


def whereabouts(mask: np.ndarray, forgotten: np.ndarray, total: np.ndarray) -> np.ndarray:
    """(4, C): of each codebook's pairs, those masked, used by the forgotten class and kept, used by others only, and
    never used.

    Args:
        mask: (C, M) bool.
        forgotten: (C, M) counts of the forgotten classes; total: those of all classes.
    """
    mine = forgotten > 0
    return np.stack(
        [mask.sum(1), (mine & ~mask).sum(1), ((total > 0) & ~mine & ~mask).sum(1), ((total == 0) & ~mask).sum(1)]
    )


def hidden_shares(counts: Counts, mask: np.ndarray) -> np.ndarray:
    """(L,): of every class's look-ups in training, the share that hits a masked pair."""
    hidden = [(mine[mask].sum(dtype=np.int64), mine.sum(dtype=np.int64)) for mine in counts.each()]
    return np.array([masked / max(1, every) for masked, every in hidden])


@dataclass(frozen=True)
class Fallback:
    """Where the forgotten classes' test samples end up."""

    samples: int
    hit: float
    """Share of their look-ups whose pair is masked."""
    owners: np.ndarray
    """(L + 1,): of the pairs selected instead, the share that each class uses most; last, those that no training sample
    uses."""
    rank: float | None
    """The median place of such a pair among the nearest keys, 1 the nearest; None where no lists were kept."""
    beyond: float
    """Share of them further away than the list of nearest keys goes."""
    before: np.ndarray
    after: np.ndarray
    """(L,): the share of samples that is predicted as each class."""


@dataclass
class _Falls:
    """What `fallback` adds up, codebook by codebook."""

    owned: np.ndarray
    """(L + 1,) pairs selected instead, by the class that uses them most."""
    hits: int = 0
    replaced: int = 0
    beyond: int = 0
    places: list[np.ndarray] = field(default_factory=list)

    def add(self, codes: np.ndarray, again: np.ndarray, mask: np.ndarray, owners: np.ndarray, near: Any) -> None:
        """Of one codebook: (n, k) codes before and under the mask, its (M,) mask and owners, (n, K) nearest keys."""
        self.hits += int(mask[codes].sum())
        new = (again != NONE) & ~(again[:, :, None] == codes[:, None, :]).any(2)
        chosen = again[new]
        self.replaced += len(chosen)
        self.owned += np.bincount(owners[chosen], minlength=len(self.owned))
        if near is not None:
            same = near[np.nonzero(new)[0]] == chosen[:, None]
            listed = same.any(1)
            self.beyond += int((~listed).sum())
            self.places.append(same[listed].argmax(1) + 1)

    @property
    def rank(self) -> float | None:
        ranks = np.concatenate(self.places) if self.places else np.empty(0)
        return float(np.median(ranks)) if len(ranks) else None


def fallback(trained: Trained, mask: np.ndarray, forget: Sequence[int], every: Selected) -> Fallback | None:
    """Select again, under the mask (C, M), for every test sample of the forgotten classes; None where there is none."""
    model = stored(trained)
    rows = np.flatnonzero(np.isin(model.splits.labels["test"], list(forget)))
    if not len(rows):
        return None
    features = arrays.read(trained.embed, "test/features")[rows]
    unused, classes, everyone = every.total == 0, len(model.splits.classes), np.arange(len(rows))
    allowed = ~mask & ~unused if model.masks_unused else ~mask
    logits = np.zeros((2, len(rows), classes), np.float32)
    falls, looked_up = _Falls(np.zeros(classes + 1)), 0
    for codebook, queries, values in by_codebook(model, trained, features):
        near = model.neighbours("test", codebook)
        near = None if near is None else near[rows]
        codes = model.codes("test")[codebook][rows].astype(np.int32)
        lookup = CpuLookup(model.keys[codebook])
        if model.masks_unused:
            codes = reselect(everyone, codes.shape[1], ~unused[codebook], lookup, queries, near)
        again = reselect(everyone, codes.shape[1], allowed[codebook], lookup, queries, near)
        falls.add(codes, again, mask[codebook], every.owners[codebook], near)
        looked_up += codes.size
        logits[0] += codebook_logits(codes, values, model.pool)
        logits[1] += codebook_logits(again, values, model.pool)
    before, after = (np.bincount(one.argmax(1), minlength=classes) / len(rows) for one in logits)
    replaced = max(1, falls.replaced)
    return Fallback(
        samples=len(rows),
        hit=falls.hits / looked_up,
        owners=falls.owned / replaced,
        rank=falls.rank,
        beyond=falls.beyond / replaced,
        before=before,
        after=after,
    )


def stored(trained: Trained) -> StoredBottleneck:
    """Keys and codes of a trained bottleneck; its values are read one codebook at a time."""
    settings = trained.artifact.settings_as(BottleneckSettings)
    assert trained.quantize
    unused = settings.unused == "mask"
    return StoredBottleneck(trained.splits, trained.quantize, np.empty(0), settings.train.pool, unused)


def by_codebook(
    model: StoredBottleneck, trained: Trained, features: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each codebook with the samples' queries (n, d) and its values (M, L), read as they are needed."""
    path = trained.artifact.file(VALUES)
    with tensors.reading(path), safe_open(path, framework="numpy") as file:
        values = file.get_slice("values")
        for group in groups(model.codebooks):
            queries = model.project(features, group)
            for codebook in group:
                yield codebook, queries[codebook - group.start], np.asarray(values[codebook : codebook + 1])[0]
