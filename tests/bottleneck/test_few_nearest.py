"""The nearest few of not so many keys: those of the definition."""

from __future__ import annotations

import numpy as np
import pytest

from dkvb.bottleneck import lookup
from dkvb.bottleneck.few_nearest import MOST, few_nearest


@pytest.mark.parametrize(("pairs", "dim", "k"), [(512, 14, 10), (40, 3, 40), (7, 5, 2), (3000, 8, 6)])
def test_they_are_those_of_a_full_sort_in_float64(pairs: int, dim: int, k: int) -> None:
    rng = np.random.default_rng(0)
    queries, keys = rng.standard_normal((301, dim), np.float32), rng.standard_normal((pairs, dim), np.float32)
    squared = ((queries[:, None].astype(np.float64) - keys) ** 2).sum(2)
    expected = np.argsort(squared, axis=1)[:, :k]
    found = few_nearest(queries, keys, k)
    wrong = np.argwhere(found != expected)
    for row, place in wrong:  # only what float32 cannot tell apart may stand the other way round
        there, here = squared[row, expected[row, place]], squared[row, found[row, place]]
        assert here == pytest.approx(there, rel=1e-5)
    assert len(wrong) < 1e-3 * found.size
    assert all(len(set(ids)) == k for ids in found)


def test_of_equally_near_keys_the_lower_comes_first() -> None:
    keys = np.tile(np.random.default_rng(1).standard_normal((6, 4), np.float32), (3, 1))
    found = few_nearest(keys[:6], keys, 3)
    np.testing.assert_array_equal(found, np.arange(6)[:, None] + [0, 6, 12])


def test_a_block_that_is_not_full_answers_for_its_own_queries_alone() -> None:
    """Some thousands of queries after one another, and the last of them alone."""
    rng = np.random.default_rng(2)
    queries, keys = rng.standard_normal((3001, 6), np.float32), rng.standard_normal((64, 6), np.float32)
    np.testing.assert_array_equal(few_nearest(queries[-1:], keys, 5), few_nearest(queries, keys, 5)[-1:])


@pytest.mark.parametrize(("pairs", "k", "by_heap"), [(512, 10, False), (MOST // 4 + 1, 4, True), (512, 1, True)])
def test_where_a_heap_is_faster_it_is_faiss_that_searches(
    pairs: int, k: int, by_heap: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        lookup, "few_nearest", lambda queries, keys, k: asked.append(k) or few_nearest(queries, keys, k)
    )
    rng = np.random.default_rng(3)
    queries, keys = rng.standard_normal((5, 4), np.float32), rng.standard_normal((pairs, 4), np.float32)
    found = lookup.nearest(queries, keys, k)
    assert asked == ([] if by_heap else [k])
    expected = np.argsort(((queries[:, None].astype(np.float64) - keys) ** 2).sum(2), axis=1)[:, :k]
    np.testing.assert_array_equal(found, expected)
