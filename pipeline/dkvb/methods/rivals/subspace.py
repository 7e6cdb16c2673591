"""Class-subspace projection: what forgotten features have and retained ones have not is taken out.

Source: Kodge et al. 2024 [V] (no licence: equations alone). U and s are left singular vectors and values of a set's
features, r_i = s_i² / sum of s², M = U diag(a r_i / ((a − 1) r_i + 1)) Uᵀ; P = I − (M_f − M_f M_r) and W' = W Pᵀ.
Features of 900 forgotten samples, and of 100 a retained class. a_r = 100, a_f = 3 on CIFAR-10; 100, 10 on ImageNet;
1000, 30 on CIFAR-100. Ours: the head alone, as the encoder stays; the pairs tried, of their grid.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from dkvb.methods.on_head import Head, HeadData, Rival, Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.projections import decomposition_flops, directions, folding_flops, projected, sample

FORGET, RETAIN = 900, 100
"""Samples of a class at most."""


class Subspace(Rival):
    name = "subspace"
    settings_tried = (
        {"retain": 100, "forget": 3},
        {"retain": 100, "forget": 10},
        {"retain": 1000, "forget": 30},
        {"retain": 100, "forget": 1000},
        {"retain": 10, "forget": 100},
        {"retain": 10, "forget": 1000},
    )

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Head:
        stay = np.setdiff1d(np.unique(data.labels), data.forget).tolist()
        parts = (("forget", data.forget, FORGET), ("retain", stay, RETAIN))
        scaled = {}
        for name, classes, each in parts:
            found = data.once(f"subspace {name}", partial(_sampled, data, classes, each))
            scaled[name] = importance_of(*found, setting[name])
        return projected(head, projection(scaled["forget"], scaled["retain"]).T)

    def flops(self, size: Size, setting: Setting) -> int:
        sampled = ((FORGET, size.forget), (RETAIN * (size.classes - 1), size.retain))
        found = sum(decomposition_flops(min(most, there), size.width) for most, there in sampled)
        return found + 3 * 2 * size.width**3 + folding_flops(size)


def _sampled(data: HeadData, classes: list[int], each: int) -> tuple[np.ndarray, np.ndarray]:
    return directions(sample(data, classes, each, "subspace"))


def importance_of(vectors: np.ndarray, squares: np.ndarray, a: float) -> np.ndarray:
    """M (D, D) of a set's directions (D, D), squared singular values (D,) and scale a."""
    r = squares / squares.sum()
    return (vectors * (a * r / ((a - 1) * r + 1))) @ vectors.T  # type: ignore[no-any-return]


def projection(forget: np.ndarray, retain: np.ndarray) -> np.ndarray:
    """P (D, D) of M_f and M_r."""
    return np.eye(len(forget)) - (forget - forget @ retain)  # type: ignore[no-any-return]


METHOD = HeadRival(Subspace())
