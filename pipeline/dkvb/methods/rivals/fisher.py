"""Fisher forgetting: noise on every weight, the more the less the retain set needs it.

Source: Golatkar et al. 2020, as in OPTML's code [V]: weights + sqrt(a / F) e, e ~ N(0, 1), with F the mean squared
gradient on the retain set and 1 / F at most 1e3 (the last layer's 1e2, times 10); a = 1e-6; the last layer's row of
the forgotten class is drawn anew about 0 with variance 1e-4. Ours: F of single samples, in closed form; features are
taken at a root mean square of 1, so that the limits mean the same for all; the a tried.
"""

from __future__ import annotations

import numpy as np

from dkvb.methods.on_head import Head, HeadData, Rival, Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.importance import Importance, importance
from dkvb.metrics.flops import linear_flops

LARGEST, ANEW = 1e3, 1e-4
"""1 / F at most; the variance of the forgotten class's row."""


class Fisher(Rival):
    name = "fisher"
    settings_tried = ({"a": 1e-6}, {"a": 1e-5}, {"a": 1e-4})

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Head:
        rows = np.flatnonzero(~data.forgotten)
        needed: Importance = data.once("fisher", lambda: importance(head, data.train, data.labels, rows), head)
        scale, draw = (data.mean_square / data.train.shape[1]) ** 0.5, data.draw(self.name)
        weight = noisy(head.weight * scale, needed.weight / scale**2, data.forget, setting["a"], draw) / scale
        bias = noisy(head.bias, needed.bias, data.forget, setting["a"], draw)
        return Head(weight.astype(np.float32), bias.astype(np.float32))

    def flops(self, size: Size, setting: Setting) -> int:
        return linear_flops(size.retain, size.width, size.classes)


def noisy(
    weights: np.ndarray, needed: np.ndarray, forget: list[int], a: float, draw: np.random.Generator
) -> np.ndarray:
    """Weights (L, …) with noise of variance a / F, F (L, …); rows of the forget classes are drawn anew about 0."""
    variance = a / np.maximum(needed, 1 / LARGEST)
    variance[forget] = ANEW
    mean = weights.astype(np.float64)
    mean[forget] = 0
    return mean + np.sqrt(variance) * draw.standard_normal(mean.shape)  # type: ignore[no-any-return]


METHOD = HeadRival(Fisher())
