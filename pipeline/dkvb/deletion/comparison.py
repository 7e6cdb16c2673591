"""The unlearned model beside the oracle: the same keys, values trained from scratch on the retain set alone."""

from __future__ import annotations

import numpy as np

from dkvb.deletion.outputs import ROWS, Models, Outputs
from dkvb.metrics.proportions import Z, destination, mean_total_variation, retain_classes, softmax, total_variation
from dkvb.metrics.three_sample import Relative, closer
from dkvb.records.proportions import Difference, SplitAccuracy
from dkvb.records.verdict import Destination, OracleDifference, OracleRecord


def split_accuracies(outputs: Outputs) -> dict[str, SplitAccuracy]:
    """Split -> accuracies of a model's predictions; "train" is of the forgotten classes alone."""
    rows = outputs.rows
    return {
        split: SplitAccuracy.on(predicted, rows.labels[split], rows.splits.classes, rows.forget)
        for split, predicted in outputs.predicted.items()
    }


def oracle_record(where: str, seconds: float, models: Models) -> OracleRecord:
    """What the oracle knows, and how far the unlearned model's test accuracy is from it.

    Args:
        where: the place of its artifact, or "in memory"; seconds: what training it took.
    """
    forget = models.rows.forget
    retain = retain_classes(len(models.rows.splits.classes), forget)
    return OracleRecord(
        artifact=where,
        seconds=seconds,
        difference=OracleDifference(retain=against_oracle(models, retain), forget=against_oracle(models, forget)),
        **split_accuracies(models.oracle),
    )


def against_oracle(models: Models, classes: list[int], z: float = Z) -> Difference | None:
    """The model's test accuracy on some classes less the oracle's, paired; None without such rows. `z`: half width of
    the interval in standard deviations."""
    return Difference.of(models.masked.right("test", classes), models.oracle.right("test", classes), z)


def destinations(models: Models) -> dict[str, Destination]:
    """Name of each forgotten class -> where its samples go in the model and in the oracle."""
    names, labels = models.rows.splits.classes, models.rows.labels["test"]
    by_name = {}
    for c in models.rows.forget:
        rows = labels == c
        predicted = [outputs.predicted["test"][rows] for outputs in (models.masked, models.oracle)]
        shares = [destination(classes, len(names)) for classes in predicted]
        split = models.rows.split_of(c)
        count = int((models.rows.labels[split] == c).sum()) if split else 0
        apart = _distances(models, c) if split else {}
        by_name[names[c]] = Destination(
            class_id=c,
            samples=int(rows.sum()),
            unlearned=shares[0].tolist(),
            oracle=shares[1].tolist(),
            total_variation=total_variation(*shares) if rows.any() else None,
            distance_on=split,
            distance_rows=count,
            distance=apart.get("masked"),
            distance_null=apart.get("second"),
            distance_before=apart.get("lifted"),
            sentence=_in_words(names[c], apart, f"{count:,} {ROWS[split or 'test']}"),
        )
    return by_name


def _distances(models: Models, c: int) -> dict[str, float]:
    """How far each model is from the oracle on a class's rows, by the probabilities of the retained classes."""

    def probabilities(outputs: Outputs) -> np.ndarray:
        return softmax(outputs.of_class(c), without=models.rows.forget)

    oracle = probabilities(models.oracle)
    others = {"masked": models.masked, "second": models.second, "lifted": None if models.erased else models.lifted}
    return {name: mean_total_variation(probabilities(outputs), oracle) for name, outputs in others.items() if outputs}


def _in_words(name: str, apart: dict[str, float], rows: str) -> str:
    if not apart:
        return f"No row of {name} is left on which to see where its samples go."
    null = (
        f"two oracles of different seeds are {apart['second']:.1%} apart"
        if "second" in apart
        else "how far two oracles are apart was left out"
    )
    before = f", the model before it forgot {apart['lifted']:.1%}" if "lifted" in apart else ""
    return (
        f"On the {rows} of {name}, the probabilities of the other classes are {apart['masked']:.1%} from the oracle's"
        f" (mean total variation; 0% is the same); {null}{before}."
    )


def mean_distances(by_name: dict[str, Destination]) -> tuple[float | None, float | None]:
    """Means over forgotten classes: the model's distance to the oracle, and that between two oracles."""

    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    going = by_name.values()
    return mean([one.distance for one in going]), mean([one.distance_null for one in going])


def relative(models: Models, c: int) -> Relative | None:
    """Whether the model's outputs on a class's rows are closer to the oracle's than to those of the model before it
    forgot anything; None where that is gone, or rows are too few."""
    if models.erased or models.rows.split_of(c) is None:
        return None
    outputs = (models.masked, models.oracle, models.lifted)
    return closer(*(softmax(one.of_class(c)) for one in outputs))
