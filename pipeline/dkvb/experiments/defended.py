"""The unlearned models that membership inference attacks: how far each method goes there, and its logits.

Unlearning is partial where there is a dial: masking and the logit shift go no further than until the forget class's
validation loss is the held-out class's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dkvb.bottleneck.mask_order import NEVER
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_logits, masked_logits_at
from dkvb.experiments.held_out import HeldOut
from dkvb.methods.base import Method, make
from dkvb.methods.logit_mask import LogitShift
from dkvb.methods.pair_masking import Masking
from dkvb.metrics.membership import LARGEST, cross_entropy
from dkvb.training.on_retain_set import load_bottleneck, load_head

COARSE, FINE = 50, 20
"""Points of the search for N over the whole range, and then between two of them."""

PRECISE = 1e-3
"""How precisely the logit shift is found."""


Logits = Callable[[str, np.ndarray], np.ndarray]
"""(split, rows (n,)) -> logits (n, L)."""


@dataclass
class Defended:
    """An unlearned model: its logits, what was chosen, and what a user should know about it."""

    logits: Logits
    n: int | None = None
    n_name: str = ""
    note: str | None = None
    shift: float | None = None


def defender(name: str, trained: TrainedSeed, forget: list[int]) -> Method:
    """The method of a name, the logit shift among them.

    Raises:
        UsageError: there is no such method, or it is another package's and cannot be imported.
    """
    return LogitShift(trained, forget) if name == LogitShift.name else make(name, trained, forget)


def defend(trained: TrainedSeed, method: Method, forget: list[int], rows: HeldOut) -> Defended:
    """The model that a method leaves, to be attacked."""
    if isinstance(method, Masking):
        return _partial(method, rows)
    if isinstance(method, LogitShift):
        return _shifted(trained, forget, rows)
    return _whole(trained, method, forget)


def _shifted(trained: TrainedSeed, forget: list[int], rows: HeldOut) -> Defended:
    """The forget classes' logits less one constant, the smallest at which the forget class is as strange to the model
    as the held-out class, to `PRECISE`."""
    plain = _bottleneck_logits(trained.bottleneck, trained.no_mask)

    def shifted(split: str, chosen: np.ndarray, by: float) -> np.ndarray:
        logits = plain(split, chosen).copy()
        logits[:, forget] -= by
        return logits

    def gap(by: float) -> float:
        means = []
        for role in ("forget", "held_out"):
            split, chosen = rows.rows["validation", role]
            labels = trained.splits.labels[split][chosen]
            means.append(float(cross_entropy(shifted(split, chosen, by), labels).mean()))
        return means[0] - means[1]

    low, high, note = 0.0, 0.0 if gap(0.0) >= 0 else 1.0, None
    while high and high < LARGEST and gap(high) < 0:
        low, high = high, 2 * high
    if high and gap(high) < 0:
        note = "no constant brings the forget class's validation loss up to that of the held-out class"
        low = high
    while high - low > PRECISE:
        middle = (low + high) / 2
        low, high = (low, middle) if gap(middle) >= 0 else (middle, high)
    return Defended(lambda split, chosen: shifted(split, chosen, high), note=note, shift=high)


def _partial(method: Masking, rows: HeldOut) -> Defended:
    """Masked no further than until the forget class is as strange to the model as the held-out class."""
    trained, order = method.trained, method.whole_order()
    placed = order[(order >= 0) & (order < NEVER)]
    top = int(placed.max()) + 1 if len(placed) else 0

    def gap(grid: list[int]) -> np.ndarray:
        means = []
        for role in ("forget", "held_out"):
            split, chosen = rows.rows["validation", role]
            labels = trained.splits.labels[split][chosen]
            means.append(
                [
                    cross_entropy(logits, labels).mean()
                    for logits in masked_logits_at(trained.bottleneck, order, grid, split, chosen)
                ]
            )
        return np.array(means[0]) - np.array(means[1])

    low, high, note = 0, top, None
    for points in (COARSE, FINE):
        grid = sorted({round(low + (high - low) * i / points) for i in range(points + 1)})
        reached = np.flatnonzero(gap(grid) >= 0)
        if len(reached) == 0:
            note = (
                f"no {method.dial} brings the forget class's validation loss up to that of the held-out class; all"
                f" {top:,} are taken"
            )
            low = high = top
            break
        place = int(reached[0])
        low, high = grid[max(place - 1, 0)], grid[place]
    n = high

    def logits(split: str, chosen: np.ndarray) -> np.ndarray:
        return np.asarray(masked_logits_at(trained.bottleneck, order, [n], split, chosen)[0])

    return Defended(logits, n, method.dial, note)


def _whole(trained: TrainedSeed, method: Method, forget: list[int]) -> Defended:
    """Every other method, at the recipe's n."""
    if method.name == "retrain":
        return Defended(_bottleneck_logits(*load_bottleneck(trained, forget, "retrain")))
    if method.name == "retrain-linear":
        return Defended(_linear_logits(trained, load_head(trained, forget)))
    if method.name == "logit-mask":
        plain = _bottleneck_logits(trained.bottleneck, trained.no_mask)

        def masked(split: str, rows: np.ndarray) -> np.ndarray:
            logits = plain(split, rows).copy()
            logits[:, forget] = -np.inf
            return logits

        return Defended(masked, note=f"its loss on the forget class is infinite, and taken as {LARGEST:g}")
    n = int(method.given)
    method.check(n)
    outcome = method.forget(n)
    return Defended(_linear_logits(trained, outcome.arrays), n, method.dial, outcome.note)


def _bottleneck_logits(model: StoredBottleneck, order: np.ndarray) -> Logits:
    """Of a bottleneck with what its order (C, M) masks at N = 0, which is what it never selected or nothing."""
    kept: dict[str, np.ndarray] = {}

    def logits(split: str, rows: np.ndarray) -> np.ndarray:
        if split not in kept:
            kept[split] = masked_logits(model, order, 0, split)
        return np.asarray(kept[split][rows])

    return logits


def _linear_logits(trained: TrainedSeed, head: dict[str, np.ndarray]) -> Logits:
    return lambda split, rows: trained.splits.features_of(split)[rows] @ head["weight"].T + head["bias"]
