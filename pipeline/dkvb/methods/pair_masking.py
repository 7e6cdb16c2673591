"""What unlearning via activations and via examples share: a mask order, of which N takes the beginning (paper, section
4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dkvb.bottleneck.lookup import CpuLookup
from dkvb.bottleneck.mask_order import NEVER, pack
from dkvb.bottleneck.projection import groups
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.methods.base import CurvePoint, Outcome, Point, point, smallest_reaching
from dkvb.methods.proxy import proxy_features, proxy_fingerprint
from dkvb.metrics.flops import selection_flops
from dkvb.workspace.names import MEASURED_SPLITS


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

    def gather(self) -> np.ndarray:
        """The pass over the forget set: what its samples select, as `rank` takes it."""
        raise NotImplementedError

    def rank(self, gathered: np.ndarray) -> np.ndarray:
        """The mask order (C, M) of the forget classes."""
        raise NotImplementedError

    def order(self) -> np.ndarray:
        """`rank` of what `gather` finds."""
        return self.rank(self.gather())

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

    def _pass_flops(self, n: int) -> int:
        """Projecting and searching the samples that the counts come from.

        A proxy set's samples are projected and searched here. Those of the forget set were when training was prepared:
        their codes are kept and only read again, so that this is what the pass would cost without them. Counts of the
        last epoch need no pass.
        """
        keys, width = self.trained.keys, self.trained.splits.embedded.dim
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
