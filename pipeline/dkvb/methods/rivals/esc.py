"""ESC, erasing space concept: the main directions of the forgotten features are taken out.

Source: Lee et al. 2025, KU-VGI/ESC [V] (no licence: equations alone). U holds the left singular vectors of the forget
features; the first p percent of the D directions are dropped, x' = U_p U_pᵀ x; p = 1.5. Ours: the other p tried, and
one direction at the least. Their trained variant ESC-T is not here.
"""

from __future__ import annotations

import numpy as np

from dkvb.methods.on_head import Head, HeadData, Rival, Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.projections import decomposition_flops, directions, folding_flops, projected


class Esc(Rival):
    name = "esc"
    settings_tried = ({"percent": 1.5}, {"percent": 0.2}, {"percent": 0.5}, {"percent": 5})

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Head:
        vectors, _ = data.once("esc", lambda: directions(data.train[data.forgotten]))
        return projected(head, erasing(vectors, setting["percent"]))

    def flops(self, size: Size, setting: Setting) -> int:
        return decomposition_flops(size.forget, size.width) + folding_flops(size)


def erasing(vectors: np.ndarray, percent: float) -> np.ndarray:
    """The projection (D, D) without the first directions of (D, D)."""
    dropped = vectors[:, : max(1, round(percent / 100 * len(vectors)))]
    return np.eye(len(vectors)) - dropped @ dropped.T  # type: ignore[no-any-return]


METHOD = HeadRival(Esc())
