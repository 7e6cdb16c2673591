"""What unlearning via votes, activations and examples share: a mask order, of which N takes the beginning (paper,
section 4)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dkvb.bottleneck.lookup import CpuLookup
from dkvb.bottleneck.mask_order import NEVER, check_pairs, pack
from dkvb.bottleneck.projection import groups
from dkvb.evaluation.chosen_rows import ChosenRows
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.methods.base import CurvePoint, Outcome, Point, point, smallest_reaching
from dkvb.methods.evidence import ChosenN, Evidence
from dkvb.methods.proxy import proxy_features, proxy_fingerprint
from dkvb.metrics.accuracy import target_accuracy
from dkvb.metrics.flops import selection_flops
from dkvb.workspace.names import MEASURED_SPLITS

STEPS = 24
"""Steps of a sweep over n on own data."""


BEYOND = 1.5
"""Where such a sweep ends, in multiples of the n that brings the forget set to 0."""


class Masking:
    """A method that masks key-value pairs of the forget classes and touches nothing else. No gradient is taken."""

    family = "masking"
    trains_on = True
    name: str
    dial: str
    model: Literal["dkvb", "linear"] = "dkvb"

    def __init__(self, trained: TrainedSeed, forget: Sequence[int]) -> None:
        self.trained, self.forgotten = trained, list(forget)
        self.recipe = trained.recipe.unlearn
        self.not_in_paper: list[str] = []
        self.settings: dict[str, Any] = {"counts": self.source}
        if self.source == "proxy":
            self.settings["proxy"] = proxy_fingerprint(self.recipe.proxy)

    @property
    def shape(self) -> tuple[int, int]:
        """(C, M)."""
        keys = self.trained.keys
        return keys.codebooks, keys.pairs

    @property
    def source(self) -> str:
        """Where the selections come from: "forget-set", "last-epoch" or "proxy"."""
        return self.recipe.counts

    @property
    def given(self) -> int | str:
        """The recipe's n, or "auto"."""
        raise NotImplementedError

    def check(self, n: int) -> None:
        """Raise UsageError for an n that makes no sense."""
        raise NotImplementedError

    def gather(self) -> np.ndarray:
        """The pass over the forget set: what its samples select, as `rank` takes it."""
        raise NotImplementedError

    def rank(self, gathered: np.ndarray) -> np.ndarray:
        """The mask order (C, M) of the forget classes."""
        raise NotImplementedError

    @property
    def most(self) -> int:
        """The largest n that masks more than any smaller one."""
        raise NotImplementedError

    @property
    def largest(self) -> int:
        """The largest n that can be given."""
        return self.most

    @property
    def paper_sweep(self) -> tuple[int, int] | None:
        """Step and number of steps of the paper's sweep over n on this data set; None on any other data."""
        return None

    def grid(self) -> list[int]:
        """The paper's sweep on its data sets; on any other data as many steps as `STEPS` to somewhat beyond the n at
        which nothing is recognised any more."""
        if self.paper_sweep:
            step, steps = self.paper_sweep
            return [n for n in range(0, step * steps + 1, step) if n <= self.largest]
        end = min(self.most, max(1, round(BEYOND * self.choose_n(target=0.0).n)))
        return sorted({round(end * i / STEPS) for i in range(STEPS + 1)})

    @cached_property
    def _order(self) -> np.ndarray:
        return self.rank(self.gather())

    def order(self) -> np.ndarray:
        """`rank` of what `gather` finds; a copy of its own."""
        return self._order.copy()

    @property
    def retrain_lr(self) -> float:
        """Learning rate of training on under the mask."""
        return self.recipe.retrain_lr_activations

    def samples_passed(self, n: int) -> int:
        """Samples of the forget set whose selections unlearning at this n rests on."""
        raise NotImplementedError

    def forget_rows(self) -> np.ndarray:
        """Rows of the forget classes in the training split."""
        return np.flatnonzero(np.isin(self.trained.splits.labels["train"], self.forgotten))

    def forget_codes(self) -> np.ndarray:
        """Codes (C, N, k) of the forget set, or of its proxy."""
        bottleneck = self.trained.bottleneck
        if self.source != "proxy":
            return bottleneck.codes("train")[:, self.forget_rows()]
        top_k = bottleneck.top_k
        return np.concatenate([self._search(self.proxy, group, top_k) for group in groups(bottleneck.codebooks)])

    @cached_property
    def proxy(self) -> np.ndarray:
        """Features (N, D) of the proxy set."""
        path, device = Path(self.recipe.proxy or ""), self.trained.recipe.run.device
        return proxy_features(path, self.trained.features, self.forgotten, device)

    def _search(self, features: np.ndarray, group: range, top_k: int) -> np.ndarray:
        queries = self.trained.bottleneck.project(features, group)
        return np.stack(
            [CpuLookup(self.trained.bottleneck.keys[c]).search(q, top_k) for c, q in zip(group, queries, strict=True)]
        )

    def whole_order(self, gathered: np.ndarray | None = None) -> np.ndarray:
        """The order with what the trained model masks already in it."""
        order = self.order() if gathered is None else self.rank(gathered)
        if self.trained.bottleneck.masks_unused:
            order[self.trained.no_mask < 0] = -1
        return order

    @property
    def aim(self) -> float:
        """The forget accuracy in [0, 1] that the recipe aims at."""
        return target_accuracy(self.recipe.target, len(self.trained.splits.classes))

    def evidence(self, masked: np.ndarray | None = None, target: float | None = None) -> Evidence:
        """The rows that tell whether the forget classes are still recognised: those of validation data and of training
        data, which are not to be had where a proxy set stands in for them.

        Args:
            masked: (C, M) bool, what is masked whatever n.
            target: see `aim`, which is taken where none is given.
        """
        always = self.trained.no_mask < 0
        always = always if masked is None else always | masked
        return Evidence(self.rows, self.forgotten, always, self.aim if target is None else target)

    @cached_property
    def rows(self) -> ChosenRows:
        """The rows that `evidence` looks at."""
        splits = [split for split in self.trained.splits.evaluation if split == "validation"]
        if self.recipe.counts != "proxy":
            splits.append("train")
        return ChosenRows.of(self.trained.bottleneck, splits, self.forgotten)

    def choose_n(self, masked: np.ndarray | None = None, target: float | None = None) -> ChosenN:
        """The smallest n at which the forget set is at the target; arguments as for `evidence`."""
        return self.evidence(masked, target).choose(self.order(), self.most)

    def _pass_flops(self, n: int) -> int:
        """Projecting and searching the samples that the counts come from.

        A proxy set's samples are projected and searched here. Those of the forget set were when training was prepared:
        their codes are kept and only read again, so that this is what the pass would cost without them. Counts of the
        last epoch need no pass.
        """
        keys, width = self.trained.keys, self.trained.splits.width
        return selection_flops(self.samples_passed(n), width, keys.codebooks, keys.pairs, keys.dim)

    def sweep(self, grid: Sequence[int], advance: Callable[[int], None]) -> list[Point]:
        order = self.whole_order()
        masked = {n: int(((order >= 0) & (order < n)).sum()) for n in grid}
        points = []
        for split in self.trained.splits.evaluation:
            predicted = masked_predictions(self.trained.bottleneck, order, grid, split, advance)
            points += [point(self.trained.splits, split, p, n, masked[n]) for n, p in zip(grid, predicted, strict=True)]
        return points

    def forget(self, n: int) -> Outcome:
        """Mask at n.

        `seconds` is ranking and masking, without a floating point operation; `seconds_counts` is what gathering
        selections took here, mostly reading (the first to ask reads the codes from disk); `flops_counts` see
        `_pass_flops`.
        """
        bottleneck = self.trained.bottleneck
        _ = bottleneck.keys, self.trained.no_mask  # the model itself is at hand
        started = time.perf_counter()
        gathered = self.gather()
        counted = time.perf_counter()
        order = self.whole_order(gathered)
        masked = (order >= 0) & (order < n)
        packed = pack(masked)
        seconds = time.perf_counter() - counted
        activated = int(((order >= 0) & (order < NEVER)).sum())
        predicted = {split: masked_predictions(bottleneck, order, [0, n], split) for split in MEASURED_SPLITS}
        before, after = ({split: both[i] for split, both in predicted.items()} for i in (0, 1))
        arrays = {"mask": packed, "shape": np.array(order.shape)}
        return Outcome(
            before,
            after,
            seconds,
            int(masked.sum()),
            activated,
            "mask",
            arrays,
            self.remark(n, activated),
            flops=0,
            seconds_counts=counted - started,
            flops_counts=self._pass_flops(n),
        )

    def choose(self, curve: Sequence[CurvePoint], target: float) -> tuple[int, str | None]:
        return smallest_reaching(curve, target)

    def remark(self, n: int, activated: int) -> str | None:
        """What a user should know about this n."""
        return None


PAPER_SWEEPS = {"cifar10": (10_000, 20), "lacuna100": (10_000, 20), "cifar100": (5_000, 18)}
"""Data set -> step and number of steps of the sweep over N_a (Appendix C)."""


class PairRanking(Masking):
    """n counts pairs, which are ranked over all codebooks together."""

    @property
    def most(self) -> int:
        """Pairs that the ranking holds."""
        return int((self._order < NEVER).sum())

    @property
    def largest(self) -> int:
        return math.prod(self.shape)

    @property
    def paper_sweep(self) -> tuple[int, int] | None:
        return PAPER_SWEEPS.get(self.trained.recipe.data.source)

    def check(self, n: int) -> None:
        check_pairs(self.dial, n, self.largest)

    def samples_passed(self, n: int) -> int:
        return 0
