"""SSD, selective synaptic dampening: weights that matter to the forget set more than to all data are made smaller.

Source: Foster et al. 2024, ssd.py [V]: with I the mean squared gradient on the forget set (f) and on all data (D),
where I_f > a I_D the weight is multiplied by min(l I_D / I_f, 1); a = 10 and l = 1 for whole classes, a = 5 on a
transformer, a = 50 and l = 0.1 on faces. Ours: gradients of single samples in place of those of batches, which for a
linear head is one matrix product, and the smaller a tried: since the forget set is part of all data, I_f / I_D is at
most their ratio in size, the number of classes.
"""

from __future__ import annotations

import numpy as np

from dkvb.methods.on_head import Head, HeadData, Rival, Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.importance import Importance, importance
from dkvb.metrics.flops import linear_flops

TRIED = (
    {"a": 10, "l": 1},
    {"a": 5, "l": 1},
    {"a": 2, "l": 1},
    {"a": 5, "l": 0.1},
    {"a": 2, "l": 0.1},
    {"a": 1, "l": 0.1},
)


class Ssd(Rival):
    name = "ssd"
    settings_tried = TRIED

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Head:
        forget, everything = data.once("ssd", lambda: _both(head, data), head)
        weight = damped(head.weight, forget.weight, everything.weight, setting)
        return Head(weight, damped(head.bias, forget.bias, everything.bias, setting))

    def flops(self, size: Size, setting: Setting) -> int:
        return linear_flops(size.train + size.forget, size.width, size.classes)


def _both(head: Head, data: HeadData) -> tuple[Importance, Importance]:
    """Over the forget set, and over all data."""
    sets = np.flatnonzero(data.forgotten), np.arange(len(data.labels))
    forget, everything = (importance(head, data.train, data.labels, rows) for rows in sets)
    return forget, everything


def damped(weights: np.ndarray, forget: np.ndarray, everything: np.ndarray, setting: Setting) -> np.ndarray:
    """Weights of any shape, float32, dampened by their importance to the forget set and to all data, of that shape."""
    chosen = forget > setting["a"] * everything
    times = np.ones_like(forget)
    times[chosen] = np.minimum(setting["l"] * everything[chosen] / forget[chosen], 1)
    return (weights * times).astype(np.float32)  # type: ignore[no-any-return]


METHOD = HeadRival(Ssd())
