"""Keys, lookup, values and masks against the plain formulas of tests/oracle.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import oracle
from dkvb.bottleneck import keys as keys_module
from dkvb.bottleneck.decoder import Decoder, flat_ids, start_values
from dkvb.bottleneck.keys import fit_keys, key_statistics
from dkvb.bottleneck.keys_gpu import fit_keys_batched
from dkvb.bottleneck.lookup import NONE, CpuLookup, GpuLookup, first_allowed, gpu_ready, reselect
from dkvb.bottleneck.mask_order import (
    NEVER,
    order_by_count,
    order_by_first_example,
    pack,
    selection_counts,
    selection_counts_by_class,
    unpack,
)
from dkvb.bottleneck.projection import draw_projections, groups, project
from dkvb.bottleneck.values import codebook_logits

shapes = st.tuples(st.integers(1, 40), st.integers(1, 50), st.integers(1, 9), st.integers(0, 2**31))


def data(n: int, m: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)).astype(np.float32), rng.standard_normal((m, d)).astype(np.float32), rng


def test_projection_columns_have_unit_norm_and_are_drawn_from_the_seed() -> None:
    r = draw_projections(3, 5, 40, 7)
    assert r.shape == (5, 40, 7)
    np.testing.assert_allclose(np.linalg.norm(r, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(r, draw_projections(3, 5, 40, 7))
    assert not np.array_equal(r, draw_projections(4, 5, 40, 7))


def test_projected_queries_are_the_matrix_product_block_by_block() -> None:
    rng = np.random.default_rng(0)
    z, r = rng.standard_normal((30, 12)).astype(np.float32), draw_projections(0, 3, 12, 4)
    q = project([z[:20], z[20:]], 30, r)
    np.testing.assert_allclose(q, np.einsum("nD,cDd->cnd", z, r), rtol=1e-5, atol=1e-5)


def test_groups_cover_every_codebook_once() -> None:
    for codebooks in (1, 15, 16, 17, 256):
        for size in (4, 16, 256):
            assert [c for group in groups(codebooks, size) for c in group] == list(range(codebooks))


def test_queries_are_the_same_bits_however_codebooks_are_grouped() -> None:
    rng = np.random.default_rng(0)
    z, r = rng.standard_normal((500, 64)).astype(np.float32), draw_projections(0, 23, 64, 8)
    whole = project([z], 500, r)
    for size in (4, 8, 16):
        parts = [project([z], 500, r[group.start : group.stop]) for group in groups(23, size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@settings(deadline=None, max_examples=60)
@given(shapes, st.integers(1, 8), st.floats(0, 1))
def test_search_is_exact_under_any_mask(shape: tuple[int, int, int, int], k: int, share: float) -> None:
    q, keys, rng = data(*shape)
    allowed = rng.random(len(keys)) < share
    for mask in (None, allowed):
        np.testing.assert_array_equal(CpuLookup(keys).search(q, k, mask), oracle.nearest_allowed(q, keys, k, mask))


def test_search_is_exact_far_from_the_origin() -> None:
    q, keys, _ = data(500, 256, 8, 0)
    shift = np.float32(1000)
    keys, q = keys + shift, q + shift
    np.testing.assert_array_equal(CpuLookup(keys).search(q, 3), oracle.nearest_allowed(q, keys, 3, None))


@pytest.mark.gpu
@pytest.mark.skipif(not gpu_ready(), reason="FAISS sees no GPU")
def test_keys_fitted_on_the_gpu_follow_the_formulas() -> None:
    q = data(2000, 1, 8, 1)[0]
    fit = {
        "pairs": 64,
        "epochs": 2,
        "batch_size": 256,
        "decay": 0.95,
        "init": "official",
        "order": lambda e: np.random.default_rng(e).permutation(2000),
    }
    there, here = (
        fit_keys_batched(q[None], rngs=[np.random.default_rng(3)], device=device, **fit) for device in ("cuda", "cpu")
    )
    np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not gpu_ready(), reason="FAISS sees no GPU")
def test_gpu_search_agrees_with_the_cpu() -> None:
    q, keys, rng = data(4000, 1024, 8, 0)
    for allowed in (None, rng.random(1024) < 0.3):
        for k in (1, 10):
            assert (GpuLookup(keys).search(q, k, allowed) == CpuLookup(keys).search(q, k, allowed)).mean() > 0.9999


@settings(deadline=None, max_examples=40)
@given(shapes, st.integers(1, 4), st.integers(1, 12), st.floats(0, 1))
def test_reselect_from_lists_equals_exact_search_even_when_lists_run_out(
    shape: tuple[int, int, int, int], k: int, listed: int, share: float
) -> None:
    q, keys, rng = data(*shape)
    k = min(k, len(keys))
    lookup = CpuLookup(keys)
    lists, rows = lookup.search(q, min(listed, len(keys))), rng.permutation(len(q))[: len(q) // 2 + 1]
    allowed = rng.random(len(keys)) < share
    exact = oracle.nearest_allowed(q, keys, k, allowed)
    for near in (lists, None):
        np.testing.assert_array_equal(reselect(rows, k, allowed, lookup, q, near), exact[rows])


def test_short_lists_are_noticed() -> None:
    lists = np.array([[0, 1, 2], [3, 4, 5]])
    allowed = np.array([True, False, True, False, False, True])
    ids, short = first_allowed(lists, allowed, 2)
    assert ids[0].tolist() == [0, 2]
    assert short.tolist() == [False, True]
    with pytest.raises(ValueError, match="no queries"):
        reselect(np.arange(2), 2, allowed, CpuLookup(np.zeros((6, 1), np.float32)), None, lists)


class Replayed:
    """A generator that also keeps the table of rows drawn to replace dead keys."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def integers(self, high: int, size: int) -> np.ndarray:
        # distinct rows at every step: two keys at one place would tie, and ties may be broken either way
        self.table = np.resize(self.rng.permutation(high), size)
        return self.table

    def __getattr__(self, name: str) -> object:
        return getattr(self.rng, name)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 7).map(lambda n: 16 * n),
    st.integers(2, 16),
    st.integers(1, 8),
    st.sampled_from(["official", "sample"]),
    st.integers(0, 2**31),
)
def test_keys_follow_the_formulas(rows: int, pairs: int, dim: int, init: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = rng.standard_normal((rows, dim)).astype(np.float32)
    orders = [rng.permutation(rows) for _ in range(3)]
    replayed = Replayed(np.random.default_rng(seed + 1))
    fit = {"pairs": pairs, "batch_size": 16, "decay": 0.9, "init": init, "order": lambda e: orders[e]}
    found = fit_keys(q, epochs=3, rng=replayed, **fit)  # type: ignore[arg-type]
    start = fit_keys(q, epochs=0, rng=np.random.default_rng(seed + 1), **fit)  # type: ignore[arg-type]
    batches = [order[i : i + 16] for order in orders for i in range(0, rows, 16)]
    table = replayed.table if init == "official" else None
    expected, margin = oracle.ema_keys(q, start, 0.0 if init == "official" else 1.0, batches, 0.9, table, 16)
    assume(margin > 1e-4)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    together = fit_keys_batched(
        np.stack([q, q]),
        epochs=3,
        rngs=[Replayed(np.random.default_rng(seed + 1)) for _ in range(2)],
        device="cpu",
        **fit,
    )  # type: ignore[arg-type, list-item]
    np.testing.assert_allclose(together, np.stack([expected, expected]), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(CpuLookup(found).search(q, 1), oracle.nearest_allowed(q, expected.numpy(), 1, None))


def test_sample_start_takes_distinct_queries_and_some_again_where_they_are_too_few() -> None:
    q = np.arange(40, dtype=np.float32).reshape(20, 2)
    fit = {"batch_size": 8, "decay": 0.95, "order": np.arange, "rng": np.random.default_rng(0)}
    keys = fit_keys(q, pairs=20, epochs=0, init="sample", **fit)  # type: ignore[arg-type]
    assert sorted(keys[:, 0].tolist()) == q[:, 0].tolist()
    more = fit_keys(q, pairs=25, epochs=0, init="sample", **fit)  # type: ignore[arg-type]
    assert len(more) == 25
    assert set(more[:, 0].tolist()) == set(q[:, 0].tolist())


def test_replacement_threshold_is_the_official_one() -> None:
    assert keys_module.REPLACE_BELOW == 0.1
    assert keys_module.EPSILON == 1e-5


def test_key_statistics() -> None:
    keys = np.array([[0.0], [10], [10], [99]], np.float32)
    q = np.array([[1.0], [-1], [11]], np.float32)
    found = key_statistics(q, keys, CpuLookup(keys).search(q, 1))
    assert (found["used"], found["unique"], found["dead"]) == (0.5, 0.75, 0.5)
    assert found["quantisation_error"] == pytest.approx(1 / q.var(), rel=1e-6)


@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_decoder_is_the_mean_over_codebooks_of_pooled_values(pool: str) -> None:
    rng = np.random.default_rng(0)
    values, codes = rng.standard_normal((5, 7, 3)).astype(np.float32), rng.integers(0, 7, (5, 11, 2))
    expected = np.zeros((11, 3))
    for c in range(5):
        votes = values[c][codes[c]]
        expected += votes.mean(1) if pool == "mean" else votes.sum(1)
    expected /= 5
    decoder = Decoder(torch.from_numpy(values.reshape(35, 3)), 2, pool)  # type: ignore[arg-type]
    np.testing.assert_allclose(decoder(flat_ids(codes, 7)).detach(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        sum(codebook_logits(codes[c], values[c], pool) for c in range(5)) / 5, expected, rtol=1e-5, atol=1e-6
    )  # type: ignore[arg-type]


def test_a_codebook_without_keys_casts_no_vote_and_one_with_few_uses_those() -> None:
    values = np.array([[1.0, 2], [3, 5]], np.float32)
    codes = np.array([[0, 1], [1, NONE], [NONE, NONE]], np.int32)
    np.testing.assert_array_equal(codebook_logits(codes, values, "mean"), [[2, 3.5], [3, 5], [0, 0]])
    np.testing.assert_array_equal(codebook_logits(codes, values, "sum"), [[4, 7], [3, 5], [0, 0]])


def test_value_starts() -> None:
    normal, uniform = start_values("normal", 8, 64, 10, 0), start_values("uniform", 8, 64, 10, 0)
    assert normal.shape == (512, 10)
    assert abs(float(normal.mean())) < 0.05
    assert abs(float(normal.std()) - 1) < 0.05
    assert 0 <= float(uniform.min()) < 0.01 < 0.99 < float(uniform.max()) < 1
    assert not start_values("zeros", 8, 64, 10, 0).any()
    assert not torch.equal(normal, start_values("normal", 8, 64, 10, 1))


def test_selection_counts() -> None:
    codes = np.array([[[0, 1], [1, 2], [1, 0]], [[3, 3], [0, 1], [2, 2]]])
    np.testing.assert_array_equal(selection_counts(codes, 4), [[2, 3, 1, 0], [1, 1, 2, 2]])
    by_class = selection_counts_by_class(codes, np.array([0, 1, 0]), 3, 4)
    np.testing.assert_array_equal(by_class.sum(0), selection_counts(codes, 4))
    np.testing.assert_array_equal(by_class[1], [[0, 1, 1, 0], [1, 1, 0, 0]])
    assert not by_class[2].any()


def test_order_by_count_ranks_all_codebooks_together_and_never_masks_unselected_pairs() -> None:
    counts = np.array([[5, 0, 2], [9, 2, 0]])
    order = order_by_count(counts, np.random.default_rng(0))
    assert (order[1, 0], order[0, 0]) == (0, 1)
    assert {order[0, 2], order[1, 1]} == {2, 3}
    assert order[0, 1] == order[1, 2] == NEVER


def test_ties_are_broken_at_random_from_the_seed_not_by_index() -> None:
    counts = np.ones((4, 1000), int)
    order = order_by_count(counts, np.random.default_rng(0))
    masked = (order < 2000).sum(1)
    assert masked.min() > 400, "index order would mask the first codebooks whole"
    np.testing.assert_array_equal(order, order_by_count(counts, np.random.default_rng(0)))
    assert not np.array_equal(order, order_by_count(counts, np.random.default_rng(1)))


def test_order_by_first_example_is_the_union_over_the_first_examples() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 30, (4, 25, 2))
    order = order_by_first_example(codes, 30)
    for n in (0, 1, 7, 25):
        union = np.stack([np.bincount(c[:n].ravel(), minlength=30) > 0 for c in codes])
        np.testing.assert_array_equal(order < n, union)


def test_masks_survive_packing() -> None:
    masked = np.random.default_rng(0).random((5, 37)) < 0.3
    np.testing.assert_array_equal(unpack(pack(masked), 37), masked)
    assert pack(masked).nbytes == 5 * 5
