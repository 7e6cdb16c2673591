"""What unlearning costs: FLOP formulas against torch's own counter, and the fields in which results report them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dkvb.bottleneck.mask_order import order_by_count, order_by_first_example, pack, selection_counts
from dkvb.evaluation.seed import TrainedSeed
from dkvb.metrics.flops import ADAM, adam_flops, linear_flops, selection_flops, values_flops
from dkvb.recipe import Recipe
from dkvb.runtime.seeding import generator
from dkvb.stages import unlearn
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features

PAIRS, CODEBOOKS, WIDTH, DIM, TOP_K, LABELS = 32, 20, 12, 4, 2, 4
"""Of the tiny recipe."""


def only(recipe: Recipe, workspace: Workspace, method: str, **settings: object) -> dict[str, Any]:
    (entry,) = unlearn.run(recipe.with_(unlearn={"method": method, "forget": ["cat"], **settings}), workspace)
    return entry


def test_selection_costs_what_torch_counts() -> None:
    x, projection = torch.randn(7, 11), torch.randn(5, 11, 3)
    keys = torch.randn(5, 13, 3)
    with FlopCounterMode(display=False) as counter:
        queries = torch.einsum("nd,cde->cne", x, projection)
        (
            queries.square().sum(2, keepdim=True)
            - 2 * torch.bmm(queries, keys.transpose(1, 2))
            + keys.square().sum(2)[:, None]
        ).argmin(2)
    assert counter.get_total_flops() == selection_flops(7, 11, 5, 13, 3)


def test_training_a_linear_head_costs_what_torch_counts() -> None:
    head = torch.nn.Linear(11, 4)
    adam = torch.optim.Adam(head.parameters())
    with FlopCounterMode(display=False) as counter:
        for _ in range(3):
            for rows in torch.arange(21).split(8):
                adam.zero_grad()
                torch.nn.functional.cross_entropy(
                    head(torch.ones(len(rows), 11)), torch.zeros(len(rows), dtype=torch.int64)
                ).backward()
                adam.step()
    assert counter.get_total_flops() == linear_flops(21, 11, 4, epochs=3)


def test_training_values_costs_what_torch_counts_for_products_with_the_selected_values() -> None:
    values = torch.randn(5 * 13, 4, requires_grad=True)
    ids, shares = torch.randint(0, 13, (21, 5 * 2)), torch.full((21, 1, 10), 0.1)
    with FlopCounterMode(display=False) as counter:
        logits = torch.bmm(shares, values[ids])[:, 0]
        torch.nn.functional.cross_entropy(logits, torch.zeros(21, dtype=torch.int64)).backward()
    assert counter.get_total_flops() == values_flops(21, 5, 2, 4)


def test_adam_moves_every_parameter_in_every_step() -> None:
    assert adam_flops(1000, 21, 8, 3) == ADAM * 1000 * 3 * 3
    products = values_flops(256, 256, 1, 10)
    assert 40 <= adam_flops(256 * 4096 * 10, 256, 256) / products <= 50, "what torch's counter leaves out"


def test_scrub_counts_adam(trained: Recipe, workspace: Workspace) -> None:
    entry = only(trained, workspace, "scrub")
    steps = 3 * -(-64 // 32) + 6 * -(-192 // 32)
    assert entry.flops_adam == ADAM * (WIDTH * LABELS + LABELS) * steps
    assert entry.flops > entry.flops_adam


def test_masking_itself_has_no_flops_and_its_counts_those_of_the_pass_that_they_rest_on(
    trained: Recipe, workspace: Workspace, tmp_path: Path
) -> None:
    s = TrainedSeed(trained, workspace, need_features(trained, workspace), 0)
    rows = s.splits.labels["train"] == 2
    np.savez(tmp_path / "proxy.npz", x=s.splits.features_of("train")[rows][:9])
    proxy = {"counts": "proxy", "proxy": str(tmp_path / "proxy.npz"), "ne": 5}
    one = 2 * CODEBOOKS * DIM * (WIDTH + PAIRS)
    assert rows.sum() == 64
    for method, settings, samples in [
        ("activations", {}, 64),
        ("activations", {"counts": "last-epoch"}, 0),
        ("activations", proxy, 9),
        ("examples", {"ne": 13}, 13),
        ("examples", proxy, 5),
        ("logit-mask", {}, 0),
    ]:
        entry = only(trained, workspace, method, **settings)
        assert (entry.flops, entry.flops_counts) == (0, samples * one), (method, settings)
        assert entry.seconds >= 0
        assert (entry.seconds_counts > 0) == (method != "logit-mask")


def test_the_time_of_counting_is_no_part_of_masking(
    trained: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkvb.methods.activations import Activations

    gather = Activations.gather

    def slow(self: Activations) -> np.ndarray:
        time.sleep(0.2)
        return gather(self)

    monkeypatch.setattr(Activations, "gather", slow)
    entry = only(trained, workspace, "activations")
    assert entry.seconds_counts >= 0.2 > entry.seconds


@pytest.mark.parametrize("via", ["activations", "examples"])
def test_masking_at_the_size_of_cifar10_takes_under_a_second(via: str) -> None:
    """Counting included, on codes in memory; processor time, so that a busy machine does not fail it."""
    codes = np.random.default_rng(0).zipf(1.3, (256, 5000, 1)) % 4096
    codes = codes.astype(np.uint16)
    started = time.process_time()
    if via == "activations":
        order = order_by_count(selection_counts(codes, 4096), generator(0, "ties"))
    else:
        order = order_by_first_example(codes, 4096)
    packed = pack(order < 3000)
    assert time.process_time() - started < 1
    assert packed.shape == (256, 512)
