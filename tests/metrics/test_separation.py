"""Separation of models that know from models that do not, against scikit-learn; intervals over models."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

import dkvb.metrics
from dkvb.metrics import resampled, separates


@pytest.mark.parametrize("apart", [-1.5, 0.0, 0.7, 4.0])
def test_it_is_scikit_learns(apart: float) -> None:
    rng = np.random.default_rng(4)
    positives, negatives = np.round(rng.normal(apart, 1, 30), 1), np.round(rng.normal(size=25), 1)  # with ties
    found = separates(positives, negatives)
    labels, values = np.repeat([1, 0], [30, 25]), np.concatenate([positives, negatives])
    assert found.auc == pytest.approx(roc_auc_score(labels, values))
    false, true, _ = roc_curve(labels, values, drop_intermediate=False)
    best = (1 + np.abs(true - false).max()) / 2
    assert found.accuracy == pytest.approx(best)
    right = (positives > found.threshold).mean(), (negatives <= found.threshold).mean()
    assert found.accuracy == pytest.approx(np.mean(right) if found.above else 1 - np.mean(right))
    assert found.power == max(found.auc, 1 - found.auc)


def test_by_hand() -> None:
    found = separates(np.array([3.0, 4, 5]), np.array([0.0, 1]))
    assert (found.auc, found.threshold, found.above, found.accuracy) == (1, 2, True, 1)
    below = separates(np.array([0.0, 1]), np.array([3.0, 4, 5]))
    assert (below.auc, below.threshold, below.above, below.accuracy, below.power) == (0, 2, False, 1, 1)
    same = separates(np.ones(3), np.ones(2))
    assert (same.auc, same.accuracy) == (0.5, 0.5)
    with pytest.raises(ValueError, match="both kinds"):
        separates(np.ones(3), np.empty(0))
    with pytest.raises(ValueError, match="not a number"):
        separates(np.ones(3), np.array([np.nan]))


def test_an_interval_over_models_is_that_of_their_mean() -> None:
    values = np.random.default_rng(5).normal(3, 2, 200)
    ends = resampled(lambda models: float(values[models].mean()), len(values), times=2000)
    assert ends is not None
    half = 1.96 * values.std(ddof=1) / 200**0.5
    assert ends == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)
    assert resampled(lambda models: 0.0, 1) is None


def test_every_measure_can_be_imported_by_its_name() -> None:
    for name in dkvb.metrics.__all__:
        assert callable(getattr(dkvb.metrics, name))
    assert set(dkvb.metrics.__all__) <= set(dir(dkvb.metrics))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = dkvb.metrics.nonsense
