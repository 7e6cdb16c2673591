"""The tilted logit mask, after TREW: what was the forgotten class goes to the classes like it.

Source: TREW [A, and its reviews]: the forget set learns q(j) ∝ p(j) exp(b s_j), q(f) = 0, where s_j is the similarity
of class j to f, a sharp softmax over j of cosines of the head's weights on their principal components; b = 10. A
model trained without f answers its samples with similar classes more than a logit mask does. Ours: the target itself,
without training: the logits of inputs that the model calls f get b s_j, and f's own logit becomes minus infinity, for
all inputs (at b = 0, the logit mask); components of 95% of the variance; the temperature, 0.1; the b tried, of which
that is taken whose answers to validation samples of f are most like those of one head retrained without f: forget and
retain accuracy are nearly the same at every b. That head's training is part of what choosing costs.
"""

from __future__ import annotations

import numpy as np

from dkvb.methods.on_head import Answers, Head, HeadData, Rival, Setting, Size, Unlearned
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.importance import probabilities
from dkvb.training.linear_head import converged_head

TEMPERATURE, VARIANCE = 0.1, 0.95


class Tilted(Rival):
    name = "tilted"
    settings_tried = ({"b": 10}, {"b": 3}, {"b": 1}, {"b": 0.3}, {"b": 0.1})

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Answers:
        tilt = np.zeros((len(head.bias), len(head.bias)), np.float32)
        tilt[data.forget] = setting["b"] * similarities(head.weight, data.forget)

        def rule(features: np.ndarray) -> np.ndarray:
            logits = head.logits(features)
            logits += tilt[logits.argmax(1)]
            logits[:, data.forget] = -np.inf
            return logits

        return Answers(rule)

    def apart(self, unlearned: Unlearned, data: HeadData) -> float:
        """The share of validation samples of f whose answer differs from the retrained head's."""
        mine = data.validation[np.isin(data.validation_labels, data.forget)]
        if not len(mine):
            return 0.0
        retrained = data.once("retrained head", lambda: _retrained(data))
        return float((unlearned.logits(mine).argmax(1) != retrained.logits(mine).argmax(1)).mean())

    def flops(self, size: Size, setting: Setting) -> int:
        return 2 * size.classes**2 * size.width


def _retrained(data: HeadData) -> Head:
    """A head trained to convergence on the retain set."""
    kept, classes = ~data.forgotten, int(max(data.labels.max(), data.validation_labels.max())) + 1
    return Head(*converged_head(data.train[kept], data.labels[kept], classes)[:2])


def similarities(weight: np.ndarray, forget: list[int]) -> np.ndarray:
    """(F, L): of every class to each of the forget classes, adding up to 1 over the classes that stay; 0 for the
    others.

    Args:
        weight: (L, D).
    """
    centred = weight.astype(np.float64) - weight.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    explained = np.cumsum(values**2) / max(float((values**2).sum()), 1e-300)
    kept = int(np.searchsorted(explained, VARIANCE)) + 1
    places = left[:, :kept] * values[:kept]
    places /= np.maximum(np.linalg.norm(places, axis=1, keepdims=True), 1e-12)
    cosines = places[forget] @ places.T
    cosines[:, forget] = -np.inf
    return probabilities(cosines / TEMPERATURE)


METHOD = HeadRival(Tilted())
