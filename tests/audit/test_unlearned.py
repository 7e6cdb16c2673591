"""Unlearning an original in an audit is what `dkvb unlearn` does to a trained model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from conftest import trained_seed
from dkvb.audit.bench import Bench
from dkvb.audit.oracles import answers, train_models
from dkvb.audit.subjects import Subject, subjects
from dkvb.audit.unlearned import choose, unlearn
from dkvb.bottleneck.mask_order import unpack
from dkvb.evaluation.under_masks import masked_logits
from dkvb.methods.base import make
from dkvb.methods.on_head import rival, searched
from dkvb.recipe import Recipe
from dkvb.records.audit import Kind
from dkvb.workspace.artifacts import Workspace

FORGET = [1]


def bench(trained: Recipe, workspace: Workspace, kind: Kind, models: int = 2) -> Bench:
    seed = trained_seed(trained.with_(unlearn={"nv": "auto", "choose": "validation"}), workspace)
    return Bench(seed, kind, FORGET, train_models(seed, kind, models))


def subject(name: str) -> Subject:
    return next(one for one in subjects((), [name]) if one.method == name)


def test_masking_the_first_original_is_masking_the_trained_model(trained: Recipe, workspace: Workspace) -> None:
    stand = bench(trained, workspace, "values")
    assert choose(stand, subject("votes")) is None
    left, other = (unlearn(stand, subject("votes"), model, None) for model in (0, 1))
    method = make("votes", stand.trained, FORGET)
    n = method.choose_n().n  # type: ignore[attr-defined]
    kept = method.forget(n).arrays
    assert left.choice is not None
    assert (left.choice.n, left.choice.words) == (n, f"N_v {n}")
    assert (left.tensors["masked"] == unpack(kept["mask"], stand.trained.keys.pairs)).all()
    assert left.stored == kept["mask"].nbytes + kept["shape"].nbytes
    order = np.where(left.tensors["masked"], -1, stand.trained.no_mask)
    expected = masked_logits(stand.trained.bottleneck, order, 0, "test")
    assert (left.logits[stand.rows.split == "test"] == expected).all()
    assert (left.tensors["values"] != other.tensors["values"]).any(), "each is another original"
    forgotten = (stand.rows.labels == 1) & (stand.rows.split != "test")
    assert not (left.logits[forgotten].argmax(1) == 1).any()


def test_a_logit_mask_excludes_and_own_votes_change_values(trained: Recipe, workspace: Workspace) -> None:
    stand = bench(trained, workspace, "values", 1)
    original = answers(stand.originals)[0]
    choice = choose(stand, subject("logit-mask"))
    left = unlearn(stand, subject("logit-mask"), 0, choice)
    assert (left.logits[:, 1] == -np.inf).all()
    assert left.tensors["excluded"].tolist() == [1]
    test = stand.rows.split == "test"
    assert left.logits[test][:, [0, 2, 3]] == pytest.approx(original[: test.sum()][:, [0, 2, 3]], abs=1e-6)
    own = unlearn(stand, subject("own-votes"), 0, choose(stand, subject("own-votes")))
    assert (own.tensors["values"] != stand.trained.bottleneck.values).any()


def test_a_rival_is_searched_once_and_run_on_each_head(trained: Recipe, workspace: Workspace) -> None:
    stand = bench(trained, workspace, "linear")
    choice = choose(stand, subject("delete"))
    found = searched(rival("delete"), stand.head(0), dataclasses.replace(stand.data, kept={}))
    assert choice is not None
    assert choice.n == found.at.n
    assert choice.words is not None
    assert choice.words.startswith("lr ")
    for model in (0, 1):
        data = dataclasses.replace(stand.data, seed=stand.seed(model), kept={})
        setting = rival("delete").settings_tried[choice.n - 1]
        expected = rival("delete").unlearn(stand.head(model), data, setting)
        left = unlearn(stand, subject("delete"), model, choice)
        assert (left.logits == expected.logits(stand.asked)).all()
        assert left.flops == rival("delete").flops(data.size(4), setting)
    tilted = unlearn(stand, subject("tilted"), 0, choose(stand, subject("tilted")))
    assert tilted.tensors == {}, "a rule on answers"
    assert tilted.stored is None


def test_subtracting_sums_is_the_ridge_regression_without_the_class(trained: Recipe, workspace: Workspace) -> None:
    stand = bench(trained, workspace, "ridge", 1)
    assert choose(stand, subject("ridge-exact")) is None
    left = unlearn(stand, subject("ridge-exact"), 0, None)
    retrained = answers(train_models(stand.trained, "ridge", 1, FORGET))[0]  # of the same random features
    kept = [0, 2, 3]
    assert left.logits[:, kept] == pytest.approx(retrained[:, kept], abs=2e-2)
    assert (left.logits[:, 1] == -np.inf).all()
    assert (left.logits[:, kept].argmax(1) == retrained[:, kept].argmax(1)).mean() > 0.99
