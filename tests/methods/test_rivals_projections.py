"""Rivals that take directions out of the features."""

from __future__ import annotations

import numpy as np
import pytest

from dkvb.methods.on_head import Head, HeadData, Rival
from dkvb.methods.rivals.esc import Esc, erasing
from dkvb.methods.rivals.pour import Pour, off
from dkvb.methods.rivals.projections import directions, projected
from dkvb.methods.rivals.subspace import Subspace, importance_of, projection
from rival_toys import recognised


def collapsed(forget: tuple[int, ...] = (2,)) -> tuple[Head, HeadData]:
    """Four classes about the corners of a simplex in 12 dimensions and the head of their means: neural collapse."""
    draw = np.random.default_rng(0)
    basis, _ = np.linalg.qr(draw.standard_normal((12, 4)))
    corners = (np.eye(4) - 0.25) @ basis.T
    y = np.arange(400) % 4
    x = (2 * corners[y] + 0.1 * draw.standard_normal((400, 12)) + 3 * basis.sum(1)).astype(np.float32)
    head = Head((8 * corners).astype(np.float32), (-8 * corners @ (3 * basis.sum(1))).astype(np.float32))
    return head, HeadData(x[:320], y[:320], x[320:], y[320:], list(forget), 0)


def assert_projection(p: np.ndarray) -> None:
    np.testing.assert_allclose(p, p.T, atol=1e-12)
    np.testing.assert_allclose(p @ p, p, atol=1e-10)


def test_directions_are_the_singular_vectors() -> None:
    x = np.random.default_rng(0).standard_normal((30, 6)).astype(np.float32)
    vectors, squares = directions(x)
    np.testing.assert_allclose(squares, np.linalg.svd(x.T.astype(np.float64))[1] ** 2, rtol=1e-5)
    np.testing.assert_allclose((vectors * squares) @ vectors.T, x.T.astype(np.float64) @ x, atol=1e-4)


def test_folding_is_projecting_the_features() -> None:
    head, data = collapsed()
    draw = np.random.default_rng(1)
    p, about = draw.standard_normal((12, 12)), draw.standard_normal(12)
    moved = about + (data.validation - about) @ p.T
    np.testing.assert_allclose(projected(head, p, about).logits(data.validation), head.logits(moved), atol=1e-3)


def test_projections_are_idempotent_and_orthogonal_to_what_they_take_out() -> None:
    draw = np.random.default_rng(0)
    vectors, _ = directions(draw.standard_normal((50, 200)).astype(np.float32))
    for percent, dropped in ((1.5, 3), (0.1, 1), (10, 20)):
        p = erasing(vectors, percent)
        assert_projection(p)
        assert np.linalg.matrix_rank(p) == 200 - dropped
        np.testing.assert_allclose(p @ vectors[:, :dropped], 0, atol=1e-12)
    means = draw.standard_normal((2, 9))
    assert_projection(off(means))
    np.testing.assert_allclose(off(means) @ means.T, 0, atol=1e-12)
    assert np.trace(off(means)) == pytest.approx(7)


def test_the_scale_of_a_subspace_goes_from_the_covariance_to_a_projection() -> None:
    x = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    vectors, squares = directions(x)
    covariance = x.T.astype(np.float64) @ x
    np.testing.assert_allclose(importance_of(vectors, squares, 1), covariance / np.trace(covariance), atol=1e-6)
    span = np.linalg.qr(x.T.astype(np.float64))[0]
    sharp = importance_of(vectors, squares, 1e9)
    np.testing.assert_allclose(sharp, span @ span.T, atol=1e-5)
    # what both sets need stays; what neither set has stays
    np.testing.assert_allclose(projection(sharp, np.zeros((8, 8))), np.eye(8) - sharp)
    np.testing.assert_allclose(projection(sharp, sharp), np.eye(8), atol=1e-4)


@pytest.mark.parametrize(
    ("rival", "setting"), [(Subspace(), {"retain": 10, "forget": 1000}), (Pour(), {})], ids=["subspace", "pour"]
)
@pytest.mark.parametrize("forget", [(2,), (0, 3)])
def test_the_class_is_forgotten_and_the_others_stay(
    rival: Rival, setting: dict[str, float], forget: tuple[int, ...]
) -> None:
    head, data = collapsed(forget)
    assert recognised(head, data) == (1, 1)
    after = recognised(rival.unlearn(head, data, setting), data)  # type: ignore[arg-type]
    assert after[0] < 0.1
    assert after[1] > 0.98


def test_esc_takes_out_what_the_features_have_most_of() -> None:
    head, data = collapsed()
    centred = HeadData(data.train - data.train.mean(0), data.labels, data.validation, data.validation_labels, [2], 0)
    still = Head(head.weight, np.zeros(4, np.float32))
    assert recognised(still, centred) == (1, 1)
    forget, retain = recognised(Esc().unlearn(still, centred, {"percent": 1.5}), centred)
    assert forget < 0.1
    assert retain > 0.98
