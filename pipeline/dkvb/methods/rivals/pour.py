"""POUR-P: features are projected off the direction of the forgotten class's mean.

Source: arXiv 2511.19339 [A]: under neural collapse class means about the global mean form a simplex, and projecting
it off one of its corners leaves a simplex. P = I − m mᵀ / ‖m‖², m = mean of the class − mean of all [K]. Ours:
features are projected about the mean of all, and several classes off the span of their means; nothing is searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dkvb.methods.on_head import Head, HeadData, Rival, Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.projections import folding_flops, projected


class Pour(Rival):
    name = "pour"
    settings_tried: ClassVar[Sequence[Setting]] = ({},)

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Head:
        mean = data.train.mean(0, dtype=np.float64)
        present = [c for c in data.forget if (data.labels == c).any()]
        apart = np.stack([data.train[data.labels == c].mean(0, dtype=np.float64) - mean for c in present])
        return projected(head, off(apart), mean)

    def flops(self, size: Size, setting: Setting) -> int:
        return folding_flops(size)


def off(apart: np.ndarray) -> np.ndarray:
    """The projection (D, D) off the span of rows (F, D)."""
    span, _ = np.linalg.qr(apart.T)
    return np.eye(apart.shape[1]) - span @ span.T  # type: ignore[no-any-return]


METHOD = HeadRival(Pour())
