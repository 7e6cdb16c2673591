"""Batches of models: the first ones are the models that training makes, all are independent, and a killed batch goes
on."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from conftest import trained_seed
from dkvb.audit import model_store, oracles
from dkvb.audit.oracles import APART, answers, rows_of, tensors_of, train_models, training_seed
from dkvb.audit.ridge import PENALTY, fit_ridge
from dkvb.audit.rows import EACH, Rows
from dkvb.audit.trainers import HeadTrainer, Model, ValuesTrainer
from dkvb.errors import DkvbError, UsageError
from dkvb.evaluation.under_masks import masked_logits, masked_logits_at
from dkvb.recipe import Recipe
from dkvb.records.audit import ModelBatch
from dkvb.training.on_retain_set import load_bottleneck, load_head
from dkvb.workspace.artifacts import Workspace

FORGET = [1]


def test_rows_are_all_held_out_ones_and_training_rows_of_the_classes(trained: Recipe, workspace: Workspace) -> None:
    seed = trained_seed(trained, workspace)
    rows, everyone = rows_of(seed, FORGET), rows_of(seed)
    labels = seed.splits.labels
    assert rows.labels[rows.split == "test"].tolist() == labels["test"].tolist()
    assert rows.labels[rows.split == "validation"].tolist() == labels["validation"].tolist()
    assert set(rows.labels[rows.split == "train"]) == {1}
    assert (rows.split == "train").sum() == min(EACH, (labels["train"] == 1).sum())
    assert (everyone.labels[rows.within(everyone)] == rows.labels).all()
    assert (everyone.split == "train").sum() == len(labels["train"])


def test_the_first_models_are_those_of_training_and_retraining(trained: Recipe, workspace: Workspace) -> None:
    seed = trained_seed(trained, workspace)
    rows, test = rows_of(seed, FORGET), rows_of(seed, FORGET).split == "test"
    (originals,) = train_models(seed, "values", 2)
    assert (tensors_of(seed, originals, 0)["values"] == seed.bottleneck.values).all()
    logits = answers([originals])[:, rows.within(rows_of(seed))]
    assert (logits[0, test] == masked_logits(seed.bottleneck, seed.no_mask, 0, "test")).all()
    for kind, what in (("values", "retrain"), ("values-keys", "retrain-keys")):
        (batch,) = train_models(seed, kind, 2, FORGET)  # type: ignore[arg-type]
        for place, again in enumerate((False, True) if what == "retrain" else (False,)):
            model, order = load_bottleneck(seed, FORGET, what, again)  # type: ignore[arg-type]
            expected = masked_logits(model, order, 0, "test")
            assert (answers([batch])[place, test] == expected).all()
            learned = rows.places[rows.split == "train"]
            on_train = masked_logits_at(model, order, [0], "train", learned)[0]
            assert (answers([batch])[place, rows.split == "train"] == on_train).all()


def test_heads_are_those_of_training_and_retraining(trained: Recipe, workspace: Workspace) -> None:
    seed = trained_seed(trained, workspace)
    (originals,) = train_models(seed, "linear", 2)
    made = tensors_of(seed, originals, 0)
    assert (made["weight"] == seed.linear["weight"]).all()
    assert (made["bias"] == seed.linear["bias"]).all()
    (batch,) = train_models(seed, "linear", 1, FORGET)
    head, rows = load_head(seed, FORGET), rows_of(seed, FORGET)
    expected = seed.splits.features_of("test") @ head["weight"].T + head["bias"]
    assert answers([batch])[0, rows.split == "test"] == pytest.approx(expected, abs=1e-5)
    (exact,) = train_models(seed, "converged", 1, FORGET)
    logits, test = answers([exact])[0], rows.split == "test"
    right = logits[test].argmax(1) == rows.labels[test]
    assert not right[rows.labels[test] == 1].any()
    assert right[rows.labels[test] != 1].mean() > 0.9
    with pytest.raises(UsageError, match="the same from every start"):
        train_models(seed, "converged", 2)


def test_models_differ_and_none_shares_its_start_with_one_of_the_other_role(
    trained: Recipe, workspace: Workspace
) -> None:
    seed = trained_seed(trained, workspace)
    for kind in ("values", "linear", "ridge"):
        logits = answers(train_models(seed, kind, 3, FORGET))  # type: ignore[arg-type]
        for first, second in ((0, 1), (1, 2), (0, 2)):
            assert np.abs(np.where(np.isfinite(logits), logits, 0)[first] - logits.clip(-1e9)[second]).max() > 1e-3
    seeds = {role: {training_seed(5, role, i) for i in range(100)} for role in ("original", "oracle")}
    assert seeds["original"] & seeds["oracle"] == {5}
    assert max(seeds["original"]) == 5 + APART + 99


def test_ridge_regression_is_its_formula(trained: Recipe, workspace: Workspace) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)).astype(np.float32), np.arange(60) % 3
    head = fit_ridge(x, y, 4, seed=1, width=20)
    phi = np.maximum(x.astype(np.float64) @ head.directions, 0)
    gram = phi.T @ phi
    gram += np.eye(20) * PENALTY * np.trace(gram) / 20
    expected = phi @ np.linalg.inv(gram) @ phi.T @ np.eye(4)[y]
    assert head.logits(x)[:, :3] == pytest.approx(expected[:, :3], abs=1e-4)
    assert (head.logits(x)[:, 3] == -np.inf).all()
    # without a class it is what subtracting the class's sums leaves
    kept = y != 2
    less = gram - phi[~kept].T @ phi[~kept]
    less += np.eye(20) * PENALTY * (np.trace(phi[kept].T @ phi[kept]) - np.trace(phi.T @ phi)) / 20
    expected = phi @ np.linalg.solve(less, phi.T @ np.eye(4)[y] - phi[~kept].T @ np.eye(4)[y[~kept]])
    without = fit_ridge(x[kept], y[kept], 4, seed=1, width=20)
    assert without.logits(x)[:, :2] == pytest.approx(expected[:, :2], abs=1e-4)
    # and in other units it is the same
    assert fit_ridge(1000 * x, y, 4, seed=1, width=20).logits(1000 * x)[:, :3] == pytest.approx(
        head.logits(x)[:, :3], abs=1e-4
    )


def test_a_killed_batch_goes_on_with_the_model_at_which_it_stopped(
    trained: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = trained_seed(trained, workspace)
    train, made = HeadTrainer.train, []

    def dying(self: HeadTrainer, of: int) -> Model:
        made.append(of)
        if len(made) == 3:
            raise KeyboardInterrupt
        return train(self, of)

    monkeypatch.setattr(HeadTrainer, "train", dying)
    with pytest.raises(KeyboardInterrupt):
        train_models(seed, "linear", 4, FORGET)
    batches = train_models(seed, "linear", 4, FORGET)
    assert made == [0, 1, 2, 2, 3]
    assert train_models(seed, "linear", 4, FORGET)[0].path == batches[0].path
    assert len(made) == 5, "what is done is not done again"
    resumed = answers(batches)
    monkeypatch.setattr(HeadTrainer, "train", train)
    (batches[0].path / "logits" / "c" / "0" / "0" / "0").write_bytes(b"damaged")
    assert (answers(train_models(seed, "linear", 4, FORGET)) == resumed).all(), "made again where it was altered"


@pytest.mark.slow
def test_processes_make_the_same_models(trained: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = answers(train_models(trained_seed(trained, workspace), "linear", 3))
    two = trained.with_(run={"workers": 2})
    monkeypatch.setattr(oracles, "BATCH", 2)
    batches = train_models(trained_seed(two, workspace), "linear", 3)
    assert [batch.result_as(ModelBatch).first for batch in batches] == [0, 2]
    assert (answers(batches) == alone).all()


def test_large_models_are_trained_again_and_large_answers_halved(
    trained: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = trained_seed(trained, workspace)
    (kept,) = train_models(seed, "values", 1)
    exact = answers([kept])
    monkeypatch.setattr(model_store, "LARGE", 100)
    monkeypatch.setattr(model_store, "HALF", 100)
    (bare,) = train_models(seed, "values", 2)
    assert (kept.result_as(ModelBatch).kept, bare.result_as(ModelBatch).kept) == (True, False)
    assert not list(bare.path.glob("model-*"))
    again = tensors_of(seed, bare, 0)["values"]
    assert (again == load_file(kept.path / "model-0.safetensors")["values"]).all()
    halved = answers([bare])
    assert halved[:1] == pytest.approx(exact, abs=5e-3)
    assert (halved[:1] != exact).any()


def test_nothing_to_train_is_refused(trained: Recipe, workspace: Workspace) -> None:
    seed = trained_seed(trained, workspace)
    with pytest.raises(DkvbError, match="Nothing is left"):
        train_models(seed, "values", 2, [0, 1, 2, 3])
    with pytest.raises(UsageError, match="0 models"):
        train_models(seed, "values", 0)
    assert len(Rows.of(seed.splits, [])) == sum(len(seed.splits.labels[split]) for split in ("test", "validation"))
    assert isinstance(oracles.trainer(seed, "values", (), rows_of(seed)), ValuesTrainer)
