"""What goes on inside a bottleneck: which pairs are used, which classes share them, which are masked, and what look-ups
fall back to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from safetensors import safe_open

from dkvb.bottleneck.lookup import NONE, CpuLookup, reselect
from dkvb.bottleneck.mask_order import unpack
from dkvb.bottleneck.projection import groups
from dkvb.bottleneck.values import codebook_logits
from dkvb.evaluation.splits import Splits
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.pages.facts.records import Trained
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Artifact
from dkvb.workspace.names import COUNTS, MASK, VALUES

ROOM = 2**30
"""Bytes of selection counts held at a time; of more classes than fit, only some are compared."""


def counts_of(trained: Trained, classes: Sequence[int]) -> np.ndarray:
    """(L, C, M) uint32: how often training samples of some classes selected each pair in the last epoch.

    Raises:
        DamagedArtifact: the counts are missing or fail their checksums.
    """
    return arrays.read(trained.artifact, COUNTS, list(classes))


def fitting(trained: Trained, wanted: Sequence[int]) -> list[int]:
    """Classes whose counts fit into `ROOM`: all of them, or the wanted ones first; sorted."""
    shape = arrays.opened(trained.artifact, COUNTS).shape
    most = max(2, ROOM // (4 * int(np.prod(shape[1:]))))
    order = [*dict.fromkeys([*wanted, *range(shape[0])])]
    return sorted(order[:most])


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


def total_counts(trained: Trained) -> np.ndarray:
    """(C, M) int64 selection counts over all classes, read class by class."""
    array = arrays.opened(trained.artifact, COUNTS)
    total = np.zeros(array.shape[1:], np.int64)
    for index in range(array.shape[0]):
        total += counts_of(trained, [index])[0]
    return total


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
    with safe_open(unlearned.path / MASK, framework="numpy") as file:
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


def hidden_shares(trained: Trained, mask: np.ndarray, classes: int) -> np.ndarray:
    """(L,): of every class's look-ups in training, the share that hits a masked pair."""
    shares = np.zeros(classes)
    for index in range(classes):
        mine = counts_of(trained, [index])[0]
        shares[index] = mine[mask].sum(dtype=np.int64) / max(1, mine.sum(dtype=np.int64))
    return shares


def owners_of(trained: Trained, classes: int) -> np.ndarray:
    """(C, M): the class that uses each pair most in training, lowest id on a tie; `classes`, their number, where none
    does."""
    most = np.zeros(arrays.opened(trained.artifact, COUNTS).shape[1:], np.uint32)
    owners = np.full(most.shape, classes, np.int64)
    for index in range(classes):
        mine = counts_of(trained, [index])[0]
        more = mine > most
        owners[more], most[more] = index, mine[more]
    return owners


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


def fallback(
    trained: Trained, mask: np.ndarray, forget: Sequence[int], owners: np.ndarray, unused: np.ndarray
) -> Fallback | None:
    """Select again, under the mask, for every test sample of the forgotten classes; None where there is none.

    Args:
        owners: (C, M), the class that uses each pair most, L where none does.
        unused: (C, M) bool, pairs that training never selected.
    """
    settings = trained.artifact.settings
    assert trained.quantize
    splits = Splits(trained.embed, float(trained.quantize.settings["validation"]), trained.seed)
    model = StoredBottleneck(
        splits, trained.quantize, np.empty(0), settings["train"]["pool"], settings["unused"] == "mask"
    )
    rows = np.flatnonzero(np.isin(splits.labels["test"], list(forget)))
    if not len(rows):
        return None
    features = arrays.read(trained.embed, "test/features")[rows]
    allowed = ~mask & ~unused if model.masks_unused else ~mask
    classes = len(splits.classes)
    logits = np.zeros((2, len(rows), classes), np.float32)
    owned, places, hits, replaced, beyond = np.zeros(classes + 1), [], 0, 0, 0
    everyone = np.arange(len(rows))
    for codebook, queries, values in _codebooks(model, trained, features):
        near = model.neighbours("test", codebook)
        near = None if near is None else near[rows]
        codes = model.codes("test")[codebook][rows].astype(np.int32)
        lookup = CpuLookup(model.keys[codebook])
        if model.masks_unused:
            codes = reselect(everyone, codes.shape[1], ~unused[codebook], lookup, queries, near)
        again = reselect(everyone, codes.shape[1], allowed[codebook], lookup, queries, near)
        hits += int(mask[codebook][codes].sum())
        new = (again != NONE) & ~(again[:, :, None] == codes[:, None, :]).any(2)
        chosen = again[new]
        replaced += len(chosen)
        owned += np.bincount(owners[codebook][chosen], minlength=classes + 1)
        if near is not None:
            same = near[np.nonzero(new)[0]] == chosen[:, None]
            listed = same.any(1)
            beyond += int((~listed).sum())
            places.append(same[listed].argmax(1) + 1)
        logits[0] += codebook_logits(codes, values, model.pool)
        logits[1] += codebook_logits(again, values, model.pool)
    predicted = [np.bincount(one.argmax(1), minlength=classes) / len(rows) for one in logits]
    ranks = np.concatenate(places) if places else np.empty(0)
    rank = float(np.median(ranks)) if len(ranks) else None
    share = owned / max(1, replaced)
    return Fallback(
        len(rows),
        hits / (len(rows) * model.codebooks * codes.shape[1]),
        share,
        rank,
        beyond / max(1, replaced),
        *predicted,
    )


def _codebooks(
    model: StoredBottleneck, trained: Trained, features: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each codebook with the samples' queries (n, d) and its values (M, L), read as they are needed."""
    with safe_open(trained.artifact.path / VALUES, framework="numpy") as file:
        stored = file.get_slice("values")
        for group in groups(model.codebooks):
            queries = model.project(features, group)
            for codebook in group:
                yield codebook, queries[codebook - group.start], np.asarray(stored[codebook : codebook + 1])[0]
