"""Neighbour lists: what is allowed first in them, and lists made without a search."""

from __future__ import annotations

import numpy as np
import pytest

from dkvb.bottleneck.lookup import CpuLookup, first_allowed, runs_out
from dkvb.bottleneck.values import codebook_logits

LENGTHS = [1, 3, 8, 12, 30, 31, 33, 64, 65, 100]


@pytest.mark.parametrize("k", [1, 2, 10, 25])
@pytest.mark.parametrize("length", LENGTHS)
def test_the_first_k_allowed_of_lists_of_any_length(length: int, k: int) -> None:
    rng = np.random.default_rng([length, k])
    lists = np.stack([rng.permutation(200)[:length] for _ in range(60)]).astype(np.uint16)
    for share in (0.0, 0.1, 0.5, 1.0):
        allowed = rng.random(200) < share
        ids, short = first_allowed(lists, allowed, k)
        expected = [[key for key in row if allowed[key]][:k] for row in lists.tolist()]
        assert short.tolist() == [len(row) < k for row in expected]
        assert ids[~short].tolist() == [row for row in expected if len(row) == k]
        assert (runs_out(lists, allowed, k) == short).all()


@pytest.mark.parametrize("k", [1, 7, 50])
def test_lists_are_what_a_search_finds(k: int) -> None:
    rng = np.random.default_rng(k)
    keys = rng.standard_normal((50, 6)).astype(np.float32) + 5
    queries = rng.standard_normal((80, 6)).astype(np.float32) + 5
    lookup = CpuLookup(keys)
    np.testing.assert_array_equal(lookup.listed(queries, k), lookup.search(queries, k))


def test_of_keys_that_are_the_same_the_first_is_nearer() -> None:
    keys = np.array([[0.0, 1], [3, 0], [0, 1], [0, 1]], np.float32)
    assert CpuLookup(keys).listed(np.zeros((1, 2), np.float32), 4).tolist() == [[0, 2, 3, 1]]


def test_votes_are_added_from_the_nearest_to_the_farthest_bit_by_bit() -> None:
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((40, 7)) * 10.0 ** rng.integers(-6, 6, (40, 7))).astype(np.float32)
    codes = rng.integers(0, 40, (90, 5)).astype(np.uint16)
    expected = values[codes[:, 0]]
    for place in range(1, 5):
        expected = expected + values[codes[:, place]]
    assert codebook_logits(codes, values, "sum").tobytes() == expected.tobytes()
    assert codebook_logits(codes, values, "mean").tobytes() == (expected / np.float32(5)).tobytes()
