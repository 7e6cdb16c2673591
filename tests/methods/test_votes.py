"""Votes: the ranking against a slow version, and what the method makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import trained_seed
from dkvb.bottleneck.mask_order import NEVER
from dkvb.bottleneck.votes import own_votes, rank_by_score, vote_scores, vote_shares
from dkvb.methods.base import make
from dkvb.methods.pair_masking import Masking
from dkvb.methods.votes import Votes
from dkvb.recipe import Recipe
from dkvb.stages import unlearn
from dkvb.workspace.artifacts import Workspace

CODEBOOKS, PAIRS, CLASSES = 3, 5, 4


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((CODEBOOKS, PAIRS, CLASSES)).astype(np.float32)


@pytest.fixture
def counts() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 4, (CLASSES, CODEBOOKS, PAIRS)).astype(np.uint32)


def slow(values: np.ndarray, counts: np.ndarray, forget: list[int], rank: str) -> np.ndarray:
    """The equations, one number at a time."""
    scores = np.zeros(values.shape[:2])
    for c in range(CODEBOOKS):
        for m in range(PAIRS):
            row = [float(v) for v in values[c, m]]
            mean = sum(row) / len(row)
            v = [max(0.0, x - mean) for x in row]
            n = [int(counts[label, c, m]) for label in range(CLASSES)]
            for f in forget:
                if rank == "value":
                    scores[c, m] += v[f] if n[f] else 0
                elif rank == "counted":
                    scores[c, m] += n[f] * v[f]
                else:
                    scores[c, m] += n[f] * v[f] / (1 + sum(a * b for a, b in zip(n, v, strict=True)))
    return scores


@pytest.mark.parametrize("forget", [[2], [0, 3]])
def test_scores_are_those_of_the_equations(values: np.ndarray, counts: np.ndarray, forget: list[int]) -> None:
    for rank in ("value", "counted"):
        scores = vote_scores(values, forget, counts[forget], rank)
        np.testing.assert_allclose(scores, slow(values, counts, forget, rank), rtol=1e-12)
    shares = vote_shares(values, forget, counts)
    np.testing.assert_allclose(shares, slow(values, counts, forget, "share"), rtol=1e-12)


@pytest.mark.parametrize("forget", [[2], [0, 3]])
def test_own_votes_are_those_of_the_equations(values: np.ndarray, counts: np.ndarray, forget: list[int]) -> None:
    counts[:, 1, 2] = np.isin(np.arange(CLASSES), forget)  # selected by these classes alone
    lowered, own = own_votes(values, forget, counts)
    for c in range(CODEBOOKS):
        for m in range(PAIRS):
            row, mean = values[c, m], float(values[c, m].astype(np.float64).mean())
            used = [int(counts[label, c, m]) * max(0.0, float(row[label]) - mean) for label in range(CLASSES)]
            theirs = sum(used[f] for f in forget)
            assert own[c, m] == (theirs > 0 and theirs >= 0.9 * sum(used))
            expected = [min(row) if label in forget else v for label, v in enumerate(row)]
            assert lowered[c, m].tolist() == expected
    assert own[1, 2] == any(values[1, 2, f] > values[1, 2].mean() for f in forget)
    assert not own.all()


def test_taking_back_own_votes_forgets_the_class_and_nothing_else(trained: Recipe, workspace: Workspace) -> None:
    (entry,) = unlearn.run(trained.with_(unlearn={"method": "own-votes", "forget": ["cat"]}), workspace)
    assert (entry.before.forget_test or 0) > 0.8
    assert entry.after.forget_test == entry.after.forget_train == 0
    assert entry.after.retain_test >= entry.before.retain_test
    assert 0 < entry.masked < entry.pairs_total / 4
    assert entry.keeps == "weights"


def test_without_counts_no_pair_is_left_out(values: np.ndarray) -> None:
    everything = np.ones((1, CODEBOOKS, PAIRS), np.uint32)
    assert (vote_scores(values, [1]) == vote_scores(values, [1], everything)).all()


def test_ranks_the_highest_first_and_never_what_has_no_vote() -> None:
    scores = np.array([[0.0, 3.0, 1.0], [2.0, 0.0, 1.0]])
    order = rank_by_score(scores, 0, [0])
    assert order[0, 1] == 0
    assert order[1, 0] == 1
    assert {order[0, 2], order[1, 2]} == {2, 3}
    assert order[0, 0] == order[1, 1] == NEVER
    ties = {tuple(rank_by_score(np.ones((2, 3)), seed, [0]).ravel()) for seed in range(8)}
    assert len(ties) > 1, "ties fall as the seed has it"
    assert (rank_by_score(scores, 5, [0]) == rank_by_score(scores, 5, [0])).all()


@pytest.mark.parametrize("rank", ["value", "counted", "share"])
def test_unlearns_a_class_and_touches_no_value(rank: str, trained: Recipe, workspace: Workspace) -> None:
    recipe = trained.with_(unlearn={"method": "votes", "forget": "cat", "rank": rank})
    (entry,) = unlearn.run(recipe, workspace)
    assert entry.n_name == "N_v"
    assert entry.after.forget_train == 0
    assert entry.judged_on == ["validation", "train"]
    assert entry.after.retain_test is not None
    assert entry.before.retain_test is not None
    assert entry.after.retain_test > entry.before.retain_test - 0.05
    assert entry.masked == entry.n


def test_needs_no_data(trained: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order comes from the model alone: no code and no feature is read."""
    seed = trained_seed(trained, workspace)

    def refuse(*_: object) -> None:
        raise AssertionError("data were read")

    monkeypatch.setattr(type(seed.bottleneck), "codes", refuse)
    monkeypatch.setattr(type(seed.splits), "features_of", refuse)
    assert (make("votes", seed, [2]).order() < NEVER).any()


def test_several_classes_at_once(trained: Recipe, workspace: Workspace) -> None:
    recipe = trained.with_(unlearn={"method": "votes", "forget": ["cat", "dog"]})
    (entry,) = unlearn.run(recipe, workspace)
    assert entry.forget == [2, 3]
    assert entry.after.forget_train == 0


@pytest.mark.parametrize("method", ["votes", "activations", "examples"])
def test_n_is_the_smallest_that_does_it(method: str, trained: Recipe, workspace: Workspace) -> None:
    recipe = trained.with_(unlearn={"method": method, "na": "auto", "ne": "auto"})
    seed = trained_seed(recipe, workspace)
    masking = make(method, seed, [2])
    assert isinstance(masking, Masking)
    chosen = masking.choose_n()
    order, evidence = masking.order(), masking.evidence()
    reached = [n for n in range(masking.most + 1) if evidence.reached((order < n) | (seed.no_mask < 0))]
    assert chosen.n in reached
    assert chosen.n - 1 not in reached
    assert chosen.evaluations <= 16


def test_a_class_without_validation_rows_is_judged_on_training_rows(trained: Recipe, workspace: Workspace) -> None:
    seed = trained_seed(trained, workspace)
    seed.splits.labels["validation"] = np.where(
        seed.splits.labels["validation"] == 2, 1, seed.splits.labels["validation"]
    )
    chosen = Votes(seed, [2]).choose_n()
    assert chosen.judged_on == ["train"]
    assert chosen.n > 0


def test_without_any_row_every_pair_with_a_vote_is_masked(trained: Recipe, workspace: Workspace) -> None:
    seed = trained_seed(trained, workspace)
    for split in ("train", "validation"):
        seed.splits.labels[split] = np.where(seed.splits.labels[split] == 2, 1, seed.splits.labels[split])
    votes = Votes(seed, [2])
    chosen = votes.choose_n()
    assert chosen.judged_on == []
    assert chosen.n == votes.most > 0
    assert chosen.note is not None
    assert "no row of cat" in chosen.note


def test_a_class_that_is_not_recognised_needs_no_mask(trained: Recipe, workspace: Workspace) -> None:
    seed = trained_seed(trained, workspace)
    seed.bottleneck.values[:, :, 2] = -100
    chosen = Votes(seed, [2]).choose_n()
    assert chosen.n == 0
    assert chosen.note is not None
    assert "not recognised to begin with" in chosen.note
