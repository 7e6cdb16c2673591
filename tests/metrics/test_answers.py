"""Measures beside a retrained model, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from dkvb.metrics import (
    activation_distance,
    class_membership,
    completeness,
    destinations,
    jensen_shannon,
    nearest_retained,
    tow,
    zrf,
)


def probabilities(seed: int, rows: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet([0.3, 1, 2, 0.1], rows)


def test_destinations_are_scipys() -> None:
    u, r = probabilities(0), probabilities(1)
    u[:5] = [0, 1, 0, 0]
    found = destinations(u, r)
    assert found.jensen_shannon == pytest.approx(jensenshannon(u.mean(0), r.mean(0), 2) ** 2)
    assert found.each_jensen_shannon == pytest.approx(
        np.mean([jensenshannon(a, b, 2) ** 2 for a, b in zip(u, r, strict=True)])
    )
    assert found.total_variation == pytest.approx(np.abs(u.mean(0) - r.mean(0)).sum() / 2)
    assert found.each_total_variation == pytest.approx(
        np.mean([np.maximum(a - b, 0).sum() for a, b in zip(u, r, strict=True)])
    )


def test_the_same_and_the_opposite() -> None:
    u = probabilities(0)
    assert destinations(u, u) == destinations(u, u.copy())
    assert destinations(u, u).each_total_variation == 0
    apart = destinations(np.array([[1.0, 0], [1, 0]]), np.array([[0.0, 1], [0, 1]]))
    assert (apart.total_variation, apart.jensen_shannon, apart.each_jensen_shannon) == (1, 1, 1)
    # means alike, samples not
    crossed = destinations(np.array([[1.0, 0], [0, 1]]), np.array([[0.0, 1], [1, 0]]))
    assert (crossed.total_variation, crossed.each_total_variation) == (0, 1)


def test_distances_and_shares_by_hand() -> None:
    assert activation_distance(np.array([[1.0, 0], [0.5, 0.5]]), np.array([[0.0, 1], [0.5, 0.5]])) == 2**0.5 / 2
    assert completeness(np.array([1, 2, 3, 3]), np.array([1, 2, 0, 3])) == 0.75
    u = probabilities(2)
    assert zrf(u, u) == 1
    assert zrf(np.eye(2), 1 - np.eye(2)) == 0
    assert zrf(u, probabilities(3)) == pytest.approx(1 - jensen_shannon(u, probabilities(3)).mean())
    assert tow({"forget": 0.1, "retain": 0.9}, {"forget": 0.0, "retain": 0.95}) == pytest.approx(0.9 * 0.95)
    assert tow({"forget": 0.0}, {"forget": 0.0}) == 1
    with pytest.raises(ValueError, match="different sets"):
        tow({"forget": 0.0}, {"retain": 0.0})
    assert class_membership(0.4, 0.6) == pytest.approx(0.2)


def test_the_neighbour_is_the_retained_class_that_takes_most() -> None:
    rows = np.array([[9, 1, 5, 2], [9, 6, 5, 2], [0, 1, 5, 2], [9, 0, 0, 1]])
    assert nearest_retained(rows, [0]) == 2
    assert nearest_retained(rows, [0, 2]) == 3
