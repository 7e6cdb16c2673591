"""U-LiRA, against a loop over models and points, and on scores whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from dkvb.metrics import ulira


def drawn(models: int, points: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    forgotten = rng.random((models, points)) < 0.5
    scores = rng.normal(size=(models, points)) + apart * forgotten + 10 * rng.normal(size=points)
    return scores, forgotten


def slow(scores: np.ndarray, forgotten: np.ndarray) -> tuple[float, list[float], list[float]]:
    """Balanced accuracy, and the log ratios of either side."""
    right: dict[bool, list[bool]] = {True: [], False: []}
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for t in range(len(scores)):
        others = np.arange(len(scores)) != t
        for p in range(scores.shape[1]):
            sides = [scores[others & (forgotten[:, p] == side), p] for side in (True, False)]
            u, o = (norm.logpdf(scores[t, p], side.mean(), side.std(ddof=1)) for side in sides)
            truth = bool(forgotten[t, p])
            right[truth].append((u > o) == truth)
            ratios[truth].append(float(u - o))
    return float(np.mean([np.mean(right[True]), np.mean(right[False])])), ratios[True], ratios[False]


def test_it_is_its_formula() -> None:
    scores, forgotten = drawn(16, 6, 0.7)
    found = ulira(scores, forgotten)
    accuracy, positive, negative = slow(scores, forgotten)
    assert found.accuracy == pytest.approx(accuracy)
    above = [(a > b) + (a == b) / 2 for a in positive for b in negative]
    assert found.auc == pytest.approx(np.mean(above))
    assert (found.points, found.models) == (6, 16)


def test_what_cannot_be_told_is_at_chance_and_what_can_is_found() -> None:
    same, far = ulira(*drawn(64, 100, 0)), ulira(*drawn(64, 100, 3))
    assert same.accuracy == pytest.approx(0.5, abs=0.02)
    assert same.low is not None
    assert same.high is not None
    assert same.low < 0.5 < same.high
    assert same.tpr == pytest.approx(0.01, abs=0.015)
    # two normal laws three deviations apart: the best threshold is right in Φ(1.5) of cases
    assert far.accuracy == pytest.approx(norm.cdf(1.5), abs=0.01)
    assert far.auc == pytest.approx(norm.cdf(3 / 2**0.5), abs=0.01)
    assert far.tpr == pytest.approx(norm.cdf(3 - norm.isf(0.01)), abs=0.05)


def test_points_that_were_trained_and_not_forgotten_take_no_part() -> None:
    scores, forgotten = drawn(40, 30, 1)
    never = ~forgotten
    never[:10] = False
    altered = scores.copy()
    altered[:10][~forgotten[:10]] = 1e6
    assert ulira(altered, forgotten, never) == ulira(scores, forgotten, never)


def test_points_with_too_few_models_are_left_out() -> None:
    scores, forgotten = drawn(20, 10, 1)
    forgotten[:, 0] = False
    forgotten[:2, 0] = True
    assert ulira(scores, forgotten).points == 9
    with pytest.raises(ValueError, match="never seen by 3 or more"):
        ulira(scores, np.ones_like(forgotten))


def test_scores_that_never_vary_are_told_apart_or_not() -> None:
    forgotten = np.arange(20)[:, None] % 2 == np.zeros((1, 3))
    assert ulira(np.where(forgotten, 5.0, 1.0), forgotten).accuracy == 1
    assert ulira(np.ones((20, 3)), forgotten).auc == 0.5
