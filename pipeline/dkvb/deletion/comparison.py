"""The unlearned model beside the oracle: the same keys, values trained from scratch on the retain set alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dkvb.evaluation.splits import Splits
from dkvb.metrics.proportions import destination, total_variation
from dkvb.records.proportions import Difference, SplitAccuracy
from dkvb.records.train import RetrainedResult
from dkvb.records.verdict import Destination, OracleDifference, OracleRecord
from dkvb.workspace.finished import Artifact

Predictions = Mapping[str, np.ndarray]
"""Split -> predicted classes (N,)."""


def split_accuracies(splits: Splits, predicted: Predictions, forget: Sequence[int]) -> dict[str, SplitAccuracy]:
    """Split -> accuracies of the predictions."""
    return {
        split: SplitAccuracy.on(rows, splits.labels[split], splits.classes, forget) for split, rows in predicted.items()
    }


def oracle_record(
    artifact: Artifact, splits: Splits, forget: Sequence[int], unlearned: Predictions, oracle: Predictions
) -> OracleRecord:
    """What the oracle knows, and how far the unlearned model's test accuracy is from it.

    Args:
        artifact: the oracle's.
        unlearned, oracle: predictions of either model.
    """
    labels = splits.labels["test"]
    forgotten = np.isin(labels, forget)
    right = [predicted["test"] == labels for predicted in (unlearned, oracle)]
    return OracleRecord(
        artifact=str(artifact.path),
        seconds=artifact.result_as(RetrainedResult).seconds,
        difference=OracleDifference(
            retain=Difference.of(*(rows[~forgotten] for rows in right)),
            forget=Difference.of(*(rows[forgotten] for rows in right)),
        ),
        **split_accuracies(splits, oracle, forget),
    )


def destinations(
    unlearned: np.ndarray, oracle: np.ndarray, labels: np.ndarray, names: Sequence[str], forget: Sequence[int]
) -> dict[str, Destination]:
    """Name of each forgotten class -> what two models' predictions (N,) take its samples for."""
    by_name = {}
    for c in forget:
        rows = labels == c
        shares = [destination(predicted[rows], len(names)) for predicted in (unlearned, oracle)]
        by_name[names[c]] = Destination(
            class_id=c,
            samples=int(rows.sum()),
            unlearned=shares[0].tolist(),
            oracle=shares[1].tolist(),
            total_variation=total_variation(*shares) if rows.any() else None,
        )
    return by_name
