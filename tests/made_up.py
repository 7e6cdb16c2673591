"""Made-up logits whose laws are known: of originals, of retrained models, and of unlearned ones of either kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from dkvb.audit.outputs import Outputs

CLASSES, FORGET = 4, 0
LABELS = np.r_[np.arange(160) % CLASSES, np.zeros(40, np.int64)]
SPLIT = np.array(["test"] * 160 + ["train"] * 40)


def law(knows: bool) -> np.ndarray:
    """(P, L) mean logits: labels stand 4 above the rest; a model that never saw class 0 takes its rows for class 1, and
    one that learned from a row is surer of it."""
    means = np.random.default_rng(0).normal(0, 0.5, (len(LABELS), CLASSES))
    means[np.arange(len(LABELS)), LABELS] += 4
    if knows:
        means[SPLIT == "train", FORGET] += 3
    else:
        means[LABELS == FORGET, 1] += 3
        means[:, FORGET] = -6
    return means


def drawn(models: int, knows: bool, seed: int, noise: float = 0.5) -> np.ndarray:
    """(models, P, L) float32."""
    spread = noise * np.random.default_rng(seed).normal(size=(models, len(LABELS), CLASSES))
    return (law(knows) + spread).astype(np.float32)


def made_up(unlearned: np.ndarray, retrained: int = 60, **more: Any) -> Outputs:
    """Outputs with originals, for unlearned models (S, P, L)."""
    given: dict[str, Any] = {"original": drawn(60, True, 1), "split": SPLIT, **more}
    return Outputs(unlearned, drawn(retrained, False, 2), LABELS, (FORGET,), **given)
