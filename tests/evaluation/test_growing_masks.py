"""Masks that grow and shrink: what was selected under one mask serves the next, and no bit tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conftest import trained_seed
from dkvb.bottleneck.lookup import CpuLookup
from dkvb.evaluation import under_masks
from dkvb.evaluation.chosen_rows import ChosenRows
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_logits, masked_logits_at, masked_predictions
from dkvb.recipe import Recipe
from dkvb.workspace.artifacts import Workspace


@pytest.fixture
def seed(trained: Recipe, workspace: Workspace) -> TrainedSeed:
    return trained_seed(trained, workspace)


@pytest.fixture
def order(seed: TrainedSeed) -> np.ndarray:
    """(C, M), every pair masked sooner or later."""
    shape = seed.bottleneck.keys.shape[:2]
    return np.random.default_rng(1).permutation(int(np.prod(shape))).astype(np.int32).reshape(shape)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_sweep_answers_as_each_of_its_masks_alone(seed: TrainedSeed, order: np.ndarray, split: str) -> None:
    grid = [order.size, 0, *(order.size * i // 8 for i in range(8)), order.size - 3]
    rows = np.arange(0, len(seed.splits.labels[split]), 2)
    swept = masked_logits_at(seed.bottleneck, order, grid, split, rows)
    for n, logits in zip(grid, swept, strict=True):
        assert (logits == masked_logits(seed.bottleneck, order, n, split)[rows]).all(), n
    assert not swept[0].any()  # no pair is left to vote


def test_predictions_of_many_classes_are_made_some_rows_at_a_time(
    seed: TrainedSeed, order: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever logits may take: of a sweep, of one point, of a part of its rows."""
    grid, held = [0, order.size // 3, order.size // 2], []
    answer = under_masks._logits

    def watched(*given: Any) -> np.ndarray:
        logits = answer(*given)
        held.append(logits.nbytes)
        return logits

    monkeypatch.setattr(under_masks, "_logits", watched)
    whole = masked_predictions(seed.bottleneck, order, grid, "test")
    point = whole[0].size * len(seed.splits.classes) * 4
    assert max(held) == 3 * point
    for limit in (point, point // 3):
        held.clear()
        monkeypatch.setattr(under_masks, "LOGITS", limit)
        np.testing.assert_array_equal(masked_predictions(seed.bottleneck, order, grid, "test"), whole)
        assert limit / 2 < max(held) <= limit + 4 * len(seed.splits.classes)


def test_a_sweep_searches_a_row_for_several_steps_at_once(
    seed: TrainedSeed, order: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []
    search = CpuLookup.search

    def counted(self: CpuLookup, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> np.ndarray:
        searched.append(len(queries))
        return search(self, queries, k, allowed)

    monkeypatch.setattr(CpuLookup, "search", counted)
    rows, grid = np.arange(100), [order.size * i // 20 for i in range(10)]
    masked_logits_at(seed.bottleneck, order, grid, "train", rows)
    at_once, searched[:] = sum(searched), []
    for n in grid:
        masked_logits_at(seed.bottleneck, order, [n], "train", rows)
    assert 0 < at_once < sum(searched) / 2


@pytest.mark.parametrize("listed", [False, True])
def test_chosen_rows_answer_as_if_asked_for_the_first_time(seed: TrainedSeed, order: np.ndarray, listed: bool) -> None:
    model = seed.bottleneck
    rows = ChosenRows.of(model, ["validation", "train"], [1, 3])
    asked = rows.listed() if listed else rows
    for part in (0.2, 0.3, 0.3, 0.1, 0.9, 1.0, 0.5, 0.0):
        n = int(part * order.size)
        logits = asked.logits(order < n)
        for split in ("validation", "train"):
            mine = rows.splits == split
            alone = masked_logits_at(model, order, [n], split, rows.places[mine])[0]
            assert (logits[mine] == alone).all(), (part, split)
    assert (rows.logits_as_trained() == rows.logits(order < 0)).all()


def test_rows_that_join_keep_their_lists_and_answers(seed: TrainedSeed, order: np.ndarray) -> None:
    rows = ChosenRows.of(seed.bottleneck, ["train"], [0, 2])
    some, more = np.arange(0, len(rows), 3), np.arange(1, len(rows), 3)
    joined = rows.take(some).listed().joined(rows.take(more).listed())
    both = np.concatenate([some, more])
    assert joined.places.tolist() == rows.places[both].tolist()
    masked = order < order.size // 2
    assert (joined.logits(masked) == rows.logits(masked)[both]).all()
    assert (joined.take(np.arange(5)).logits(masked) == joined.logits(masked)[:5]).all()


def test_codes_of_some_rows_are_those_of_all(trained: Recipe, workspace: Workspace) -> None:
    rows = np.array([5, 2, 40])
    apart = trained_seed(trained, workspace).bottleneck.codes_of("train", rows)
    model = trained_seed(trained, workspace).bottleneck
    assert (apart == model.codes("train")[:, rows]).all()
    assert (model.codes_of("train", rows) == apart).all()
