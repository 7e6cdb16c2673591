"""Measures that give each model a number: of unlearned models, of originals, and of retrained models beside the other
ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dkvb.audit.scene import FEWEST, Scene, mean_over
from dkvb.metrics.answers import activation_distance, completeness, destinations, tow, zrf
from dkvb.metrics.membership import class_membership
from dkvb.metrics.probing import probe_scores
from dkvb.metrics.proportions import softmax
from dkvb.metrics.separation import separates
from dkvb.records.audit import Direction

Value = Callable[[Scene, np.ndarray, "int | None"], float]
"""Scene, logits (P, L) of a model, its place among the retrained ones or None -> its value; NaN where it would need
another retrained model."""

PROBED = 5
"""Models of each kind that a classifier is trained for, a probe or an attacker, at most."""

PROBE_ROWS = 500
"""Rows of the forgotten classes that it learns on at most."""


@dataclass(frozen=True)
class PerModel:
    """One such measure."""

    name: str
    direction: Direction
    note: str
    value: Value
    rows: Callable[[Scene], int] | None = None
    """Rows of which it is a share; None where it is no share of rows."""
    lacks: Callable[[Scene], str | None] = lambda scene: None
    """Why it cannot be taken, and what would be needed; None where it can."""
    models: int | None = None
    """Models of each kind that it is taken of at most; None takes all."""


def _forget_accuracy(scene: Scene, logits: np.ndarray, own: int | None) -> float:
    return scene.accuracy(logits.argmax(1), scene.forget)


def _retain_accuracy(scene: Scene, logits: np.ndarray, own: int | None) -> float:
    return scene.accuracy(logits.argmax(1), scene.retain)


def _gaps(scene: Scene, logits: np.ndarray, own: int | None) -> np.ndarray:
    """(L,): accuracy less that of retrained models."""
    if len(scene.others(own)) == 0:
        return np.full(scene.classes, np.nan)
    return np.asarray(scene.by_class(logits.argmax(1)) - scene.without(scene.retrained_by_class, own))


def _worst(scene: Scene, logits: np.ndarray, own: int | None) -> float:
    return float(_gaps(scene, logits, own)[scene.retained_classes].min())


def _neighbour(scene: Scene, logits: np.ndarray, own: int | None) -> float:
    return float(_gaps(scene, logits, own)[scene.neighbour])


def _tow(scene: Scene, logits: np.ndarray, own: int | None) -> float:
    def accuracies(predicted: np.ndarray) -> dict[str, float]:
        return {"forget": scene.accuracy(predicted, scene.forget), "retain": scene.accuracy(predicted, scene.retain)}

    others = [accuracies(scene.predicted[other]) for other in scene.others(own)]
    expected = {name: mean_over([one[name] for one in others]) for name in ("forget", "retain")}
    return tow(accuracies(logits.argmax(1)), expected)


def _distance(measure: Callable[[np.ndarray, np.ndarray], float]) -> Value:
    """The mean of a distance of probabilities on the forgotten classes' rows to those of retrained models."""

    def value(scene: Scene, logits: np.ndarray, own: int | None) -> float:
        mine = softmax(logits[scene.forget])
        return mean_over([measure(mine, scene.probabilities[other]) for other in scene.others(own)])

    return value


def _completeness(scene: Scene, logits: np.ndarray, own: int | None) -> float:
    rows, predicted = np.flatnonzero(scene.outputs.held_out), logits.argmax(1)
    return mean_over([completeness(predicted[rows], scene.predicted[other][rows]) for other in scene.others(own)])


def _membership(scene: Scene, logits: np.ndarray, own: int | None) -> float:
    if len(scene.others(own)) == 0:
        return float("nan")
    return class_membership(scene.attack(logits), float(scene.without(scene.retrained_attacks, own)))


def _lacks_membership(scene: Scene) -> str | None:
    unseen = np.flatnonzero(scene.outputs.forgotten & scene.outputs.held_out)
    if min(len(scene.learned), len(unseen)) >= FEWEST:
        return None
    return (
        f"needs {FEWEST} rows of the forgotten classes that were learned from and {FEWEST} that were not: `split` says"
        " which"
    )


def _zrf(scene: Scene, logits: np.ndarray, own: int | None) -> float:
    untrained = scene.outputs.untrained
    assert untrained is not None
    return zrf(softmax(logits[scene.forget]), softmax(untrained[scene.forget]))


def _lacks_zrf(scene: Scene) -> str | None:
    return "needs `untrained`, logits of a model before training" if scene.outputs.untrained is None else None


def _probe(scene: Scene, logits: np.ndarray, own: int | None) -> float:
    rows, of_class = scene.probed(PROBE_ROWS)
    scores = probe_scores(logits[rows], of_class)
    return separates(scores[of_class], scores[~of_class]).auc


def _lacks_probe(scene: Scene) -> str | None:
    few = min(len(scene.forget), len(scene.retain)) < FEWEST
    return f"needs {FEWEST} rows of the forgotten classes and {FEWEST} of others" if few else None


MEASURES = (
    PerModel(
        "forget accuracy",
        "lower",
        "Share of the forgotten classes' rows that are recognised. A class whose output is cut off has 0 whatever the"
        " model still knows.",
        _forget_accuracy,
        rows=lambda scene: len(scene.forget),
    ),
    PerModel(
        "retain accuracy",
        "higher",
        "Share of the other classes' held-out rows that are recognised: a mean, in which a spoilt class may not show.",
        _retain_accuracy,
        rows=lambda scene: len(scene.retain),
    ),
    PerModel(
        "worst retained class",
        "higher",
        "Accuracy less that of retrained models, in the retained class that loses most. The least of several is below 0"
        " for retrained models as well.",
        _worst,
    ),
    PerModel(
        "nearest retained class",
        "higher",
        "The same in the class that retrained models take most of the forgotten rows for: the neighbour that unlearning"
        " harms first.",
        _neighbour,
    ),
    PerModel(
        "tug of war",
        "higher",
        "Product, over forgotten and retained rows, of 1 less the difference of accuracies from retrained models (Zhao"
        " et al. 2024). It sees accuracies alone.",
        _tow,
    ),
    PerModel(
        "destinations, together",
        "lower",
        "Total variation of the mean probabilities of the forgotten rows from those of retrained models. Samples may go"
        " to each other's places unseen.",
        _distance(lambda u, r: destinations(u, r).total_variation),
    ),
    PerModel(
        "destinations, Jensen-Shannon",
        "lower",
        "The same as Jensen-Shannon divergence, in bits.",
        _distance(lambda u, r: destinations(u, r).jensen_shannon),
    ),
    PerModel(
        "destinations, each",
        "lower",
        "Mean total variation of each forgotten row's probabilities from those of retrained models.",
        _distance(lambda u, r: destinations(u, r).each_total_variation),
    ),
    PerModel(
        "activation distance",
        "lower",
        "Mean Euclidean distance of the same probabilities (Golatkar et al. 2021).",
        _distance(activation_distance),
    ),
    PerModel(
        "completeness",
        "higher",
        "Share of held-out rows that get the same answer as from retrained models (Cao and Yang 2015).",
        _completeness,
    ),
    PerModel(
        "membership",
        "lower",
        "How far an attacker who sees losses is from where a retrained model has it, on which of the forgotten rows"
        " were learned from. A weak attack: U-LiRA is the strong one.",
        _membership,
        lacks=_lacks_membership,
        models=PROBED,
    ),
    PerModel(
        "zero retrain forgetting",
        "null",
        "1 less the Jensen-Shannon divergence from an untrained model on forgotten rows (Chundawat et al. 2023). It"
        " rewards random answers, which a retrained model does not give.",
        _zrf,
        lacks=_lacks_zrf,
    ),
    PerModel(
        "probe of logits",
        "null",
        "Area under the ROC curve of a logistic regression that tells forgotten rows from others by all logits: what"
        " the answers still give away. Retrained models give away much as well.",
        _probe,
        lacks=_lacks_probe,
        models=PROBED,
    ),
)
