"""Probes find what is there, and relearning counts what it says it counts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import norm

from dkvb.metrics import ain, probe, relearning


def ring(rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """A class around another: no hyperplane tells them apart."""
    rng = np.random.default_rng(0)
    of_class = np.arange(rows) % 4 == 0
    x = rng.normal(size=(rows, 2))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x * np.where(of_class, 1, 3)[:, None] * rng.uniform(0.9, 1.1, (rows, 1)), of_class


def test_a_linear_probe_reaches_what_the_law_allows() -> None:
    rng = np.random.default_rng(1)
    of_class = np.arange(2000) % 2 == 0
    found = probe(rng.normal(size=(2000, 5)) + 2 * of_class[:, None] * np.eye(5)[0], of_class)
    assert found.accuracy == pytest.approx(norm.cdf(1), abs=0.02)
    assert found.auc == pytest.approx(norm.cdf(2**0.5), abs=0.02)
    assert found.accuracy_low < found.accuracy < found.accuracy_high
    assert found.auc_low < norm.cdf(2**0.5) < found.auc_high
    # the width of a bootstrap is that of a binomial share
    assert found.accuracy_high - found.accuracy_low == pytest.approx(3.92 * (0.84 * 0.16 / 2000) ** 0.5, rel=0.3)
    assert found.samples == 1000


@pytest.mark.slow
def test_only_the_forest_finds_a_ring() -> None:
    x, of_class = ring()
    linear, forest = probe(x, of_class), probe(x, of_class, "forest")
    assert linear.auc < 0.65
    assert forest.accuracy > 0.95
    assert forest == probe(x, of_class, "forest")


def test_nothing_is_found_where_nothing_is() -> None:
    of_class = np.arange(300) % 3 == 0
    found = probe(np.random.default_rng(2).normal(size=(300, 4)), of_class)
    assert found.auc_low < 0.5 < found.auc_high
    assert probe(np.zeros((300, 2)), of_class).auc == 0.5


def test_a_logit_of_minus_infinity_is_seen() -> None:
    of_class = np.arange(40) % 2 == 0
    assert probe(np.where(of_class, -np.inf, 0.0)[:, None], of_class).accuracy == 1
    with pytest.raises(ValueError, match="two samples"):
        probe(np.zeros((5, 1)), np.arange(5) == 0)


def learner(speed: float, asked: list[int]) -> object:
    def learn(n: int) -> Iterator[float]:
        for epoch in range(11):
            asked.append(n)
            yield min(1.0, speed * n * epoch / 100)

    return learn


def test_relearning_counts_samples_and_epochs() -> None:
    asked: list[int] = []
    found = relearning(learner(1, asked), 0.9, [20, 5, 10])  # type: ignore[arg-type]
    # 5 samples reach 0.5 in ten epochs, 10 reach 1; 20 are at 0.8 after four and at 1 after five
    assert found.wanted == pytest.approx(0.85)
    assert (found.samples, found.epochs) == (10, 5)
    assert found.curves[20] == pytest.approx((0, 0.2, 0.4, 0.6, 0.8, 1.0))
    assert asked.count(20) == 6  # it stops once the class is back
    never = relearning(learner(0.1, []), 0.9, [5])  # type: ignore[arg-type]
    assert (never.samples, never.epochs) == (None, None)
    with pytest.raises(ValueError, match="number of samples"):
        relearning(learner(1, []), 0.9, [])  # type: ignore[arg-type]
    sooner = relearning(learner(2, []), 0.9, [20])  # type: ignore[arg-type]
    assert sooner.epochs == 3
    assert ain(sooner, found) == 3 / 5
    assert ain(never, found) is None
    assert ain(found, relearning(lambda n: iter([1.0]), 0.9, [1])) is None
