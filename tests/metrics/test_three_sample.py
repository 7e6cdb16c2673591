"""The relative three-sample test, against its formula written out and on samples whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from dkvb.metrics.three_sample import FEWEST, MOST, closer


def slow(u: np.ndarray, r: np.ndarray, o: np.ndarray) -> tuple[float, float]:
    """T and its deviation, a pair at a time."""
    everyone = np.concatenate([u, r, o])
    apart = [((a - b) ** 2).sum() for i, a in enumerate(everyone) for b in everyone[:i]]
    width = np.median(apart)

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / (2 * width)))

    n = len(u)
    near, far = np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                near[i, j] = k(u[i], u[j]) + k(r[i], r[j]) - k(u[i], r[j]) - k(r[i], u[j])
                far[i, j] = k(u[i], u[j]) + k(o[i], o[j]) - k(u[i], o[j]) - k(o[i], u[j])
    of_each = (near - far).sum(1) / (n - 1)
    return float(of_each.mean()), float((4 * of_each.var(ddof=1) / n) ** 0.5)


def samples(n: int, *means: float) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    shared = rng.normal(size=(n, 3))  # the same inputs for all three models
    return [shared + rng.normal(mean, 0.5, (n, 3)) for mean in means]


def test_it_is_its_formula() -> None:
    given = samples(25, 0.0, 0.2, 1.0)
    test = closer(*given)
    assert test is not None
    assert (test.statistic, test.deviation) == pytest.approx(slow(*given))
    assert test.samples == 25
    assert test.high - test.statistic == pytest.approx(1.6448536269514722 * test.deviation)


def test_it_knows_the_closer_one() -> None:
    u, near, far = samples(200, 0.0, 0.1, 2.0)
    test, other = closer(u, near, far), closer(u, far, near)
    assert test is not None
    assert other is not None
    assert test.high < 0 < other.low
    assert other.statistic == pytest.approx(-test.statistic)
    even = closer(*samples(200, 0.0, 1.0, -1.0))
    assert even is not None
    assert even.low < 0 < even.high
    same = closer(u, u, u)
    assert same is not None
    assert (same.statistic, same.deviation) == (0, 0)


def test_few_samples_say_nothing_and_many_are_thinned() -> None:
    assert closer(*samples(FEWEST - 1, 0, 0, 1)) is None
    many = closer(*samples(MOST + 500, 0, 0, 1))
    assert many is not None
    assert many.samples == MOST


def test_it_rejects_no_more_often_than_it_says() -> None:
    """Two models that are equally far: of 200 draws, about one in twenty looks closer to either."""
    rng, wrong = np.random.default_rng(0), [0, 0]
    for _ in range(200):
        u, r, o = rng.normal(size=(3, 60, 2)) + np.array([[[0.0, 0]], [[1, 0]], [[0, 1]]])
        test = closer(u, r, o)
        assert test is not None
        wrong[0] += test.low > 0
        wrong[1] += test.high < 0
    assert all(2 <= many <= 24 for many in wrong), wrong
