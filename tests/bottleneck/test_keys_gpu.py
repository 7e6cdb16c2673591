"""The GPU's path of keys and codes on a CPU that stands in for one: shapes, types, memory, and how many codebooks fit.

Whether a card computes the same is for the tests marked `gpu`; the formulas are those of test_bottleneck.py.
"""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

import faiss
import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from dkvb.bottleneck import keys_gpu, lookup
from dkvb.bottleneck.keys_gpu import SEARCHES, SHARE, bytes_held, codebooks_at_once, fit_keys_batched
from dkvb.bottleneck.lookup import NONE, CpuLookup, GpuLookup
from dkvb.recipe import Recipe
from dkvb.stages import quantize
from dkvb.training import codes
from dkvb.workspace.artifacts import Workspace


class Held(TorchFunctionMode):
    """Bytes of all tensors alive that operations made, and the most there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[int, int] = {}
        self.now = self.most = 0
        self.types: set[torch.dtype] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                place, size = tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes()
                self.types.add(tensor.dtype)
                self.users[place] = self.users.get(place, 0) + 1
                self.now += size if self.users[place] == 1 else 0
                weakref.finalize(tensor, self.free, place, size)
        self.most = max(self.most, self.now)
        return made

    def free(self, place: int, size: int) -> None:
        self.users[place] -= 1
        self.now -= size if self.users[place] == 0 else 0


def fitted(group: int, rows: int, pairs: int, dim: int, batch_size: int) -> tuple[np.ndarray, Held]:
    queries = np.random.default_rng(0).standard_normal((group, rows, dim), np.float32)
    rngs = [np.random.default_rng(c) for c in range(group)]
    with Held() as held:
        keys = fit_keys_batched(
            queries,
            pairs=pairs,
            epochs=2,
            batch_size=batch_size,
            decay=0.9,
            init="official",
            order=lambda epoch: np.random.default_rng(epoch).permutation(rows),
            rngs=rngs,
            device="cpu",
        )
    return keys, held


@pytest.mark.parametrize(
    ("group", "rows", "pairs", "dim", "batch"),
    [(4, 600, 128, 8, 64), (8, 200, 64, 14, 100), (2, 3000, 64, 8, 256), (4, 50, 256, 8, 256)],
)
def test_no_more_memory_than_is_said(group: int, rows: int, pairs: int, dim: int, batch: int) -> None:
    keys, held = fitted(group, rows, pairs, dim, batch)
    said = bytes_held(group, rows, pairs, dim, batch)
    assert (keys.shape, keys.dtype) == ((group, pairs, dim), np.float32)
    assert held.most <= said
    # 4 N d of queries may lie in NumPy's own memory on a CPU, which no operation here has made
    assert held.most >= 0.6 * (said - group * 4 * rows * dim)


def test_everything_large_is_in_single_precision() -> None:
    _, held = fitted(4, 500, 64, 8, 64)
    assert {kind for kind in held.types if kind.is_floating_point} == {torch.float32, torch.float64}
    # in double precision are the means alone: one row a codebook
    assert held.most < bytes_held(4, 500, 64, 8, 64)


def test_groups_double_until_the_card_is_full() -> None:
    each = 4 * 50_000 * 8 + 5 * 256 * 4096 + 12 * 256 * 8 + 48 * 4096 * 8 + 8 * (2 * 4096 + keys_gpu.PERIOD)
    assert bytes_held(7, 50_000, 4096, 8, 256) == 7 * each + 16 * 50_000

    def card(codebooks: float) -> int:
        """Free memory that just holds some codebooks."""
        return round((codebooks * each + 16 * 50_000 + SEARCHES) / SHARE)

    def fit(free: int, codebooks: int = 256) -> int:
        return codebooks_at_once(free, codebooks, 50_000, 4096, 8, 256)

    assert fit(card(16) + 2) == fit(card(31.9)) == 16
    assert fit(card(15.9)) == 8
    assert fit(0) == 4, "no less than are projected together; the card itself says where that is too much"
    assert fit(80 * 2**30) == 256
    assert fit(80 * 2**30, codebooks=20) == 32
    assert fit(8 * 2**30) == 256, "8 GiB hold all of CIFAR-10's"
    assert codebooks_at_once(8 * 2**30, 256, 1_281_167, 4096, 8, 256) == 32, "and an eighth of ImageNet's"


class FlatOnTheCpu:
    """What FAISS offers of an index on a GPU."""

    made: ClassVar[list[int]] = []

    def __init__(self, resources: object, dim: int) -> None:
        self.index = faiss.IndexFlatL2(dim)

    def add(self, keys: np.ndarray) -> None:
        assert keys.dtype == np.float32
        assert keys.flags.c_contiguous
        FlatOnTheCpu.made.append(len(keys))
        self.index.add(keys)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        assert queries.dtype == np.float32
        assert queries.flags.c_contiguous
        found: tuple[np.ndarray, np.ndarray] = self.index.search(queries, k)
        return found


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAISS's index and torch's card, on the CPU."""
    monkeypatch.setattr(lookup.faiss, "GpuIndexFlatL2", FlatOnTheCpu, raising=False)
    monkeypatch.setattr(lookup, "_gpu_resources", lambda: None)
    monkeypatch.setattr(lookup, "gpu_ready", lambda: True)
    monkeypatch.setattr(FlatOnTheCpu, "made", [])


@pytest.mark.usefixtures("stand_in")
def test_lookup_on_a_gpu_makes_an_index_of_the_keys_that_a_mask_leaves() -> None:
    rng = np.random.default_rng(0)
    keys, queries = (rng.standard_normal((n, 5)).astype(np.float32) + 3 for n in (60, 200))
    on_gpu, on_cpu = GpuLookup(keys), CpuLookup(keys)
    for allowed in (None, np.ones(60, bool), np.arange(60) < 20, np.arange(60) == 7, np.zeros(60, bool)):
        found = on_gpu.search(queries[::2], 3, allowed)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, on_cpu.search(queries[::2], 3, allowed))
    assert FlatOnTheCpu.made == [60, 20, 1]
    assert (on_gpu.search(queries, 3, np.zeros(60, bool)) == NONE).all()
    assert on_gpu.search(queries[:0], 3).shape == (0, 3)


@pytest.mark.usefixtures("stand_in")
def test_the_stage_on_a_gpu(embedded: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[tuple[int, ...]] = []
    real = fit_keys_batched

    def fit(queries: np.ndarray, *, device: str, **settings: Any) -> np.ndarray:
        assert device == "cuda"
        fits.append(queries.shape)
        return real(queries, device="cpu", **settings)

    monkeypatch.setattr(keys_gpu, "fit_keys_batched", fit)
    monkeypatch.setattr(codes, "choose_device", lambda wanted: ("cuda", "a stand-in"))
    free = round((bytes_held(8, 256, 32, 4, 32) + SEARCHES) / SHARE) + 2
    monkeypatch.setattr(codes, "free_gpu_memory", lambda: free)
    quantize.run(embedded, workspace)
    assert fits == [(8, 256, 4), (8, 256, 4), (4, 256, 4)], "20 codebooks, eight at a time, on the rows fitted to"
    (made,) = workspace.all("quantize")
    from dkvb.workspace import arrays

    stored = {name: arrays.read(made, name) for name in ("keys", "train/codes", "test/neighbours")}
    assert {name: (array.shape, str(array.dtype)) for name, array in stored.items()} == {
        "keys": ((20, 32, 4), "float32"),
        "train/codes": ((320, 20, 2), "uint16"),
        "test/neighbours": ((120, 20, 6), "uint16"),
    }
    assert np.isfinite(stored["keys"]).all()
    assert stored["train/codes"].max() < 32
