"""The trained bottleneck in use, and unlearning in memory: features (B, D) to logits (B, L) with NumPy and FAISS.

Lookup is exact under the mask, and logits are those of `dkvb.evaluation.under_masks` on stored samples to the bit:
queries come from matrix products over the same units of codebooks, keys are searched by FAISS, and votes are added up
in codebook order, so that a sample's logits depend neither on its batch nor on threads. Both hold up to near ties:
FAISS's last bits of a distance depend on where query and key lie in a block (k > 1, d >= 8), and at k = 1 on the
kernel, so that two keys as near as these bits may change places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from dkvb.bottleneck.lookup import CpuLookup
from dkvb.bottleneck.mask_order import check_pairs, rank_by_count, selection_counts
from dkvb.bottleneck.projection import UNIT, fill_up, groups, project
from dkvb.bottleneck.values import Pool, codebook_logits
from dkvb.bottleneck.votes import rank_by_score, vote_scores
from dkvb.errors import UsageError
from dkvb.evaluation.forget_sets import class_ids
from dkvb.inference.classifier import ROWS, About, Classifier, is_tensor
from dkvb.runtime.parallel import one_thread_per_worker

if TYPE_CHECKING:
    import torch

By = Literal["activations", "votes"]
"""How pairs are ranked for masking."""


@dataclass
class Weights:
    """The parts of a bottleneck: projection (C, D, d), keys (C, M, d), values (C, M, L), float32; `unused` (C, M) bool,
    pairs that may never be selected, masked or not; `centre` (C, d), which lookup takes from keys and queries alike:
    none, to have it worked out.
    """

    projection: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    unused: np.ndarray
    centre: np.ndarray | None = None


class Model(Classifier):
    """A discrete key-value bottleneck with its mask, searched by FAISS on the CPU.

    Attributes (NumPy arrays):
        projection: (C, D, d); keys: (C, M, d); values: (C, M, L), float32. Shared by all models that `unlearn` makes of
            one another.
        mask: (C, M) bool, True where a pair has been unlearned.
        unused: (C, M) bool, True where a pair is never selected because training never did.
        centre: (C, d).
    """

    def __init__(
        self,
        about: About,
        weights: Weights,
        mask: np.ndarray,
        top_k: int,
        pool: Pool,
        class_counts: Callable[[Sequence[int]], np.ndarray] | None = None,
    ) -> None:
        """
        Args:
            class_counts: class ids -> (C, M), how often training selected each pair in its last epoch; None where that
                is not known.
        """
        super().__init__(about, weights.projection.shape[1])
        self.top_k, self.pool, self.class_counts, self.weights = top_k, pool, class_counts, weights
        self.projection, self.keys, self.values = weights.projection, weights.keys, weights.values
        self.mask, self.unused = mask, weights.unused
        self.centre = centres(weights.keys, ~(mask | weights.unused)) if weights.centre is None else weights.centre

    @property
    def allowed(self) -> np.ndarray:
        """(C, M) bool, the pairs that may be selected."""
        return ~(self.mask | self.unused)

    def _logits(self, features: np.ndarray) -> np.ndarray:
        """The mean over codebooks of the pooled values of the k nearest allowed keys."""
        values, allowed = self.values, self.allowed
        logits = np.zeros((len(features), values.shape[2]), np.float32)
        with one_thread_per_worker(numbers=self._numbers(features)) as pool:
            for start in range(0, len(features), ROWS):
                block = logits[start : start + ROWS]
                for votes in self._map(
                    features[start : start + ROWS],
                    allowed,
                    pool,
                    lambda c, codes: codebook_logits(codes, values[c], self.pool),
                ):
                    block += votes
        logits /= np.float32(len(values))
        return logits

    def select(self, features: np.ndarray | torch.Tensor) -> np.ndarray:
        """Codes (C, B, k) int32: ids of the nearest allowed keys, nearest first; -1 where a codebook has none left."""
        return self._codes(self.checked(features), self.allowed)

    def _codes(self, features: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        codes = np.empty((len(self.keys), len(features), self.top_k), np.int32)
        with one_thread_per_worker(numbers=self._numbers(features)) as pool:
            for start in range(0, len(features), ROWS):
                rows = slice(start, start + ROWS)
                for codebook, found in enumerate(self._map(features[rows], allowed, pool, lambda c, codes: codes)):
                    codes[codebook, rows] = found
        return codes

    def masked_nearest(self, features: np.ndarray | torch.Tensor) -> np.ndarray | None:
        """(B,) float64 in [0, 1]: of the pairs that a sample would select without the mask, k in each codebook, the
        share that the mask takes away.

        None for an export with masked pairs, which does not hold their keys.

        Raises:
            DkvbError: features of another width, or not finite.
        """
        checked = self.checked(features)
        masked, selected = np.zeros(len(checked)), np.zeros(len(checked))
        if not self.mask.any():
            return masked
        if self.weights.centre is not None:
            return None

        def count(c: int, codes: np.ndarray) -> np.ndarray:
            there = codes >= 0
            return np.stack([(self.mask[c][codes] & there).sum(1), there.sum(1)])

        with one_thread_per_worker(numbers=self._numbers(checked)) as pool:
            for start in range(0, len(checked), ROWS):
                rows = slice(start, start + ROWS)
                for hit, of in self._map(checked[rows], ~self.unused, pool, count):
                    masked[rows] += hit
                    selected[rows] += of
        return masked / np.maximum(selected, 1)

    def _numbers(self, features: np.ndarray) -> int:
        """Distances of a search in one codebook."""
        return min(len(features), ROWS) * self.keys.shape[1]

    def _map(
        self,
        block: np.ndarray,
        allowed: np.ndarray,
        pool: ThreadPoolExecutor,
        then: Callable[[int, np.ndarray], np.ndarray],
    ) -> Iterator[np.ndarray]:
        """`then(codebook, codes (B, k))` for every codebook, in order. Codes are those of allowed (C, M) pairs."""
        projection, keys, centre = self.projection, self.keys, self.centre
        filled = fill_up(block, (len(keys) % UNIT or UNIT) * projection.shape[2], 4 * ROWS)
        for group in groups(len(keys)):
            queries = project([filled], len(filled), projection[group.start : group.stop])[:, : len(block)]

            def one(codebook: int, group: range = group, queries: np.ndarray = queries) -> np.ndarray:
                lookup = Centred(keys[codebook], centre[codebook])
                return then(codebook, lookup.search(queries[codebook - group.start], self.top_k, allowed[codebook]))

            yield from pool.map(one, group)

    def unlearn(
        self,
        forget: Sequence[str | int],
        na: int,
        features: np.ndarray | torch.Tensor | None = None,
        labels: Any = None,
        keep_labels: bool = False,
        by: By = "activations",
    ) -> Model:
        """See `unlearn`."""
        places = class_ids(forget, self.classes)
        ids = [self.about.ids[place] for place in places]
        check_pairs("N_v" if by == "votes" else "N_a", na, self.mask.size)
        if by == "votes":
            return self.masked((self._votes(places, ids) < na) & ~self.unused, ids, keep_labels)
        if features is not None:
            counts = self._counts(features, labels, places)
        elif self.class_counts is None:
            raise UsageError(
                "This model keeps no selection counts of its training (exports do not): give features of the forget"
                " set."
            )
        else:
            counts = self.class_counts(ids)
        masked = (rank_by_count(counts, self.about.seed, ids) < na) & ~self.unused
        return self.masked(masked, ids, keep_labels)

    def _votes(self, places: list[int], ids: list[int]) -> np.ndarray:
        """(C, M) mask order by votes; in an export, without counts, no pair that a class never selected is left out."""
        counts = None if self.class_counts is None else np.stack([self.class_counts([c]) for c in ids])
        return rank_by_score(vote_scores(self.values, places, counts), self.about.seed, ids)

    def _counts(self, features: np.ndarray | torch.Tensor, labels: Any, places: list[int]) -> np.ndarray:
        found = self.checked(features)
        if labels is not None:
            given = labels.cpu().numpy() if is_tensor(labels) else np.asarray(labels)
            if self.about.left_out and (given >= len(self.classes)).any():
                raise UsageError(
                    f"labels has {given.max()}, and this model has {len(self.classes)} classes: an export leaves"
                    " forgotten classes out, and labels are places in `model.classes` (about.ids has the data set's)."
                )
            wanted = np.isin(given, places)
            if wanted.shape != (len(found),):
                raise UsageError(
                    f"labels has shape {wanted.shape} and must be one for each of the {len(found):,} features."
                )
            found = found[wanted]
        if len(found) == 0:
            raise UsageError("There are no samples of the forget classes among the features.")
        # as the trained model selects, so that masks do not depend on the order of requests; exports hold allowed keys
        # only
        there = np.ones_like(self.allowed) if self.weights.centre is None else self.allowed
        codes = self._codes(found, there)
        missing = codes < 0
        counts = selection_counts(np.where(missing, 0, codes), there.shape[1])
        counts[:, 0] -= missing.sum((1, 2))
        return counts

    def masked(self, more: np.ndarray, forgotten: Sequence[int] = (), keep_labels: bool = False) -> Model:
        """A model that masks (C, M) bool pairs as well; it shares everything else with this one, which stays as it is.

        Args:
            forgotten: ids, in the data set's list, of the classes that this forgets.
            keep_labels: leave forgotten classes among the answers, as where this model does.
        """
        keep = keep_labels or self.about.keep_labels
        about = replace(self.about, forgotten=sorted({*self.about.forgotten, *forgotten}), keep_labels=keep)
        return Model(about, self.weights, self.mask | more, self.top_k, self.pool, self.class_counts)


class Centred(CpuLookup):
    """A lookup whose centre is given: any will do, but its last bits decide near ties."""

    def __init__(self, keys: np.ndarray, centre: np.ndarray) -> None:
        self.keys, self.centre, self.centred = keys, centre, keys - centre


def centres(keys: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(C, d) float32: the mean of a codebook's keys (C, M, d), as `CpuLookup` takes it.

    Where a single key is masked it takes no part: it could be worked out from the others and the centre, which exports
    hold.
    """
    found = np.empty((len(keys), keys.shape[2]), np.float32)
    for codebook, (own, kept) in enumerate(zip(keys, allowed, strict=True)):
        alone = (~kept).sum() == 1 and kept.any()
        found[codebook] = (own[kept] if alone else own).mean(0, dtype=np.float64).astype(np.float32)
    return found


def unlearn(
    model: Model,
    forget: Sequence[str | int] | str | int,
    na: int,
    counts: str = "last-epoch",
    features: np.ndarray | torch.Tensor | None = None,
    labels: Any = None,
    keep_labels: bool = False,
    by: By = "activations",
) -> Model:
    """Unlearn classes in memory: a new model that masks `na` pairs as well, those that these classes select most often
    or, by votes, those that vote most for them, and never answers with them.

    The mask is that of `dkvb unlearn --method activations` (or votes) for the same seed and classes. The model given is
    not changed.

    Args:
        forget: the classes: a str is a name, or "#3" for the one of id 3; an int is an id.
        counts: "last-epoch", the selection counts kept from training; "forget-set", those of `features`.
        features: (N, D), array or tensor, the forget set or a proxy of it; counts are then taken from these.
        labels: (N,) places in `model.classes`, where `features` holds other classes as well.
        keep_labels: leave the classes among the answers, to see what the mask alone does (as `mask_alone` of the new
            model shows too).

        by: "activations" (paper, section 4) or "votes" (ours), which needs neither counts nor features.

    Raises:
        UsageError: an unknown class, no class left, `na` outside 0 … C * M, or no counts to be had.
    """
    if not isinstance(model, Model):
        raise UsageError(
            f"unlearn takes a key-value bottleneck, and this is a {type(model).__name__}: a linear head has nothing to"
            " mask."
        )
    if counts not in ("last-epoch", "forget-set"):
        raise UsageError(f"counts = '{counts}': give 'last-epoch', or 'forget-set' with features.")
    if counts == "forget-set" and features is None:
        raise UsageError("counts = 'forget-set' needs the features of the forget set.")
    if by not in get_args(By):
        raise UsageError(f"by = '{by}': give one of {', '.join(get_args(By))}.")
    names = [forget] if isinstance(forget, str | int) else list(forget)
    return model.unlearn(names, na, features, labels, keep_labels, by)
