from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import polars
import pytest
import torch
from safetensors.numpy import load_file

import oracle
from conftest import artifact_bytes, prepare, trained_seed
from dkvb.bottleneck.decoder import Decoder, flat_ids, start_values
from dkvb.errors import DamagedArtifact, DkvbError, MissingStage
from dkvb.evaluation.queries import group_projections
from dkvb.evaluation.under_masks import masked_logits
from dkvb.recipe import Recipe, Train
from dkvb.records.over_seeds import OverSeeds
from dkvb.runtime.seeding import generator
from dkvb.stages import embed, train, unlearn
from dkvb.stages.over_seeds import over_seeds
from dkvb.training import loop
from dkvb.training.adam import Adam
from dkvb.training.linear_head import ITERATIONS, converged_head
from dkvb.training.on_retain_set import load_head
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.names import COUNTS, METRICS, VALUES
from dkvb.workspace.requests import need_features
from dkvb.workspace.specs import dkvb_spec, linear_spec


def test_training_quantizes_first_learns_and_reports(embedded: Recipe, workspace: Workspace) -> None:
    dkvb, linear = train.run(embedded, workspace)
    assert (dkvb.model, linear.model) == ("dkvb", "linear")
    for entry in (dkvb, linear):
        assert entry.test > 0.9
        assert len(entry.per_class_test) == 4
        assert sum(entry.misclassified_test) == round((1 - entry.test) * 120)
        metrics = polars.read_parquet(entry.artifact + "/metrics.parquet")
        assert metrics["epoch"].to_list() == list(range(1, 7))
        assert metrics["loss"][-1] < metrics["loss"][0]
    assert dkvb.parameters == 20 * 32 * 4
    assert [entry.skipped for entry in train.run(embedded, workspace)] == [True, True]


def test_per_class_counts_are_the_selections_of_training(trained: Recipe, workspace: Workspace) -> None:
    s = trained_seed(trained, workspace)
    codes, labels = s.bottleneck.codes("train"), s.splits.labels["train"]
    counts = arrays.read(s.dkvb_artifact, COUNTS)
    assert counts.shape == (4, 20, 32)
    for c in range(4):
        np.testing.assert_array_equal(counts[c, 5], np.bincount(codes[5][labels == c].ravel(), minlength=32))
    np.testing.assert_array_equal(s.class_counts([1, 3]), counts[1] + counts[3])


@pytest.mark.parametrize("pool", ["mean", "sum"])
@pytest.mark.parametrize("share", [0.0, 0.4, 0.97])
def test_masked_logits_equal_the_definition(recipe: Recipe, workspace: Workspace, pool: str, share: float) -> None:
    recipe = prepare(recipe.with_(train={"pool": pool, "epochs": 1}), workspace)
    s = trained_seed(recipe, workspace)
    masked = np.random.default_rng(0).random((20, 32)) < share
    order = np.where(masked, 0, 2**31 - 1).astype(np.int32)
    projection = group_projections(s.bottleneck.codes_artifact.path, range(20))
    for split in ("test", "train"):
        features = s.splits.features_of(split)[:40]
        expected = oracle.bottleneck_logits(
            features, projection, s.bottleneck.keys, s.bottleneck.values, masked, 2, pool
        )
        np.testing.assert_allclose(masked_logits(s.bottleneck, order, 1, split)[:40], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_smoothed_labels_are_those_of_torch(pool: Literal["mean", "sum"]) -> None:
    """Against torch's own loss with label smoothing on values looked up by index, with torch's plain Adam."""
    rng = np.random.default_rng(2)
    codes, labels = rng.integers(0, 5, (3, 24, 2)), torch.from_numpy(rng.integers(0, 4, 24))
    start = start_values("normal", 3, 5, 4, 0)
    decoder = Decoder(start.clone(), 2, pool)
    schedule = loop.Schedule.of(Train(epochs=3, lr=0.1, batch_size=7, label_smoothing=0.1))
    history = loop.fit(decoder, flat_ids(codes, 5), labels, schedule, loop.Unit("here", 9))
    places = torch.from_numpy((codes + np.arange(3)[:, None, None] * 5).transpose(1, 0, 2).reshape(24, 6))
    values = start.double().requires_grad_()
    adam, criterion = torch.optim.Adam([values], 0.1), torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    for epoch in range(3):
        total = 0.0
        for rows in torch.from_numpy(generator(9, "here", "order", epoch).permutation(24)).split(7):
            adam.zero_grad()
            loss = criterion(values[places[rows]].mean(1) * (2 if pool == "sum" else 1), labels[rows])
            loss.backward()
            adam.step()
            total += loss.item() * len(rows)
        assert history.rows[epoch]["loss"] == pytest.approx(total / 24, rel=1e-4)
    np.testing.assert_allclose(decoder.values.detach(), values.detach(), rtol=1e-3, atol=1e-4)


def test_settings_that_came_later_change_no_earlier_fingerprint(trained: Recipe, workspace: Workspace) -> None:
    features = need_features(trained, workspace)
    before = {"epochs", "lr", "batch_size"}
    linear = linear_spec(trained, 0, features)
    assert set(linear.settings["linear"]) == before | {"converged"}
    values = dkvb_spec(trained, 0, "keys")
    assert set(values.settings["train"]) == before | {"values", "pool"}
    smoothed = dkvb_spec(trained.with_(train={"label_smoothing": 0.1}), 0, "keys")
    assert smoothed.settings["train"]["label_smoothing"] == 0.1
    assert smoothed.fingerprint != values.fingerprint
    assert linear_spec(trained.with_(linear={"until": "converged"}), 0, features).fingerprint != linear.fingerprint


def test_training_is_dense_adam_on_the_mean_of_selected_values() -> None:
    """Against a plain loop with one-hot codes and hand-written Adam: rows keep moving after their last hit."""
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(0, 5, (2, 24, 1)), torch.from_numpy(rng.integers(0, 3, 24))
    values = start_values("normal", 2, 5, 3, 0)
    decoder = Decoder(values.clone(), 1, "mean")
    loop.fit(decoder, flat_ids(codes, 5), labels, loop.Schedule(4, 0.1, 7), loop.Unit("here", 9))
    onehot = torch.zeros(24, 10, dtype=torch.float64)
    for c in range(2):
        onehot[torch.arange(24), torch.from_numpy(codes[c, :, 0]) + 5 * c] = 0.5
    v = values.double().requires_grad_()
    m, s, step = torch.zeros_like(v), torch.zeros_like(v), 0
    for epoch in range(4):
        for rows in torch.from_numpy(generator(9, "here", "order", epoch).permutation(24)).split(7):
            step += 1
            p = torch.softmax(onehot[rows] @ v, 1)
            (g,) = torch.autograd.grad(-p[torch.arange(len(rows)), labels[rows]].log().mean(), v)
            with torch.no_grad():
                m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
                v -= 0.1 * (m / (1 - 0.9**step)) / ((s / (1 - 0.999**step)).sqrt() + 1e-8)
    np.testing.assert_allclose(decoder.values.detach(), v.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stop_at", [2, 5])
def test_interrupted_training_resumes_at_the_epoch_to_the_same_bits(
    embedded: Recipe, workspace: Workspace, tmp_path: Path, stop_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Workspace(tmp_path / "whole", tmp_path / "reports")
    prepare(embedded, whole, embed)
    train.run(embedded, whole)
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0)
    original, epochs = train.predict, []

    def failing(module: torch.nn.Module, inputs: torch.Tensor) -> np.ndarray:
        epochs.append(1)
        if len(epochs) == stop_at:
            raise KeyboardInterrupt
        return original(module, inputs)

    monkeypatch.setattr(train, "predict", failing)
    with pytest.raises(KeyboardInterrupt):
        train.run(embedded, workspace)
    assert list(workspace.root.glob("train/*/checkpoint.safetensors"))
    epochs.clear()
    monkeypatch.setattr(train, "predict", lambda *args: epochs.append(1) or original(*args))
    train.run(embedded, workspace)
    assert len(epochs) == 6 - (stop_at - 1) + 6 + 2, "finished epochs are not trained again"
    assert artifact_bytes(workspace.root) == artifact_bytes(whole.root)


def test_a_damaged_checkpoint_counts_as_none(tmp_path: Path) -> None:
    head = torch.nn.Linear(3, 2)
    adam = Adam(head, 0.1)
    head(torch.ones(1, 3)).sum().backward()
    adam.step()
    history = loop.History([{"epoch": 1, "loss": 1.0}])
    path = tmp_path / loop.CHECKPOINT
    loop._save(path, head, adam, history)
    assert loop._restore(path, torch.nn.Linear(3, 2), Adam(head, 0.1), loop.History()) == 1
    other = torch.nn.Linear(4, 2)
    assert loop._restore(path, other, Adam(other, 0.1), loop.History()) == 0, "of another shape"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert loop._restore(path, torch.nn.Linear(3, 2), Adam(head, 0.1), loop.History()) == 0
    path.write_bytes(content[:50])
    assert loop._restore(path, torch.nn.Linear(3, 2), Adam(head, 0.1), loop.History()) == 0


def test_a_loss_that_is_not_finite_names_epoch_and_step(embedded: Recipe, workspace: Workspace) -> None:
    with pytest.raises(DkvbError, match=r"train linear.*epoch \d+, step \d+.*learning rate of 1e\+38"):
        train.run(embedded.with_(linear={"lr": 1e38}), workspace)


def test_unused_pairs_can_be_masked(embedded: Recipe, workspace: Workspace) -> None:
    recipe = embedded.with_(keys={"unused": "mask", "init": "official", "pairs": 400})
    train.run(recipe, workspace)
    s = trained_seed(recipe, workspace)
    used = s.class_counts(range(4)) > 0
    assert not used.all(), "the case is only a case where some pair was never selected"
    projection = group_projections(s.bottleneck.codes_artifact.path, range(20))
    expected = oracle.bottleneck_logits(
        s.splits.features_of("test"), projection, s.bottleneck.keys, s.bottleneck.values, ~used, 2, "mean"
    )
    np.testing.assert_allclose(masked_logits(s.bottleneck, s.no_mask, 0, "test"), expected, rtol=1e-4, atol=1e-5)


def test_training_needs_embeddings_and_sound_codes(recipe: Recipe, workspace: Workspace) -> None:
    with pytest.raises(MissingStage, match="dkvb embed"):
        train.run(recipe, workspace)
    embed.run(recipe, workspace)
    entry = train.run(recipe, workspace)[0]
    values = Path(entry.artifact) / VALUES
    content = bytearray(values.read_bytes())
    content[-1] ^= 1
    values.write_bytes(content)
    with pytest.raises(DamagedArtifact, match="values.safetensors.*dkvb train --force"):
        train.run(recipe, workspace)
    train.run(recipe, workspace, force=True)
    assert load_file(values)["values"].shape == (20, 32, 4)


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_seeds_spread_over_processes_give_the_same_bits(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    seeds = recipe.with_(run={"seeds": [0, 1]}, unlearn={"method": ["activations", "scrub"]})
    apart = Workspace(tmp_path / "apart", tmp_path / "reports")
    for place, settings in ((workspace, seeds), (apart, seeds.with_(run={"workers": 2}))):
        prepare(recipe, place, embed)
        trained = train.run(settings, place)
        forgotten = unlearn.run(settings, place)
        assert [(e.seed, e.model) for e in trained] == [(s, m) for s in (0, 1) for m in ("dkvb", "linear")]
        assert [(e.seed, e.method) for e in forgotten] == [(s, m) for s in (0, 1) for m in seeds.unlearn.methods]
    assert artifact_bytes(apart.root) == artifact_bytes(workspace.root)


def test_a_linear_head_is_also_trained_to_convergence(embedded: Recipe, workspace: Workspace) -> None:
    entry = train.run(embedded.with_(linear={"converged": True}), workspace)[1]
    head = entry.converged
    assert head is not None
    assert 0 < head.iterations < ITERATIONS
    weights = load_file(Path(entry.artifact) / train.CONVERGED)
    s = trained_seed(embedded, workspace)
    x, y = s.splits.features_of("train").astype(np.float64), s.splits.labels["train"]
    logits = x @ weights["weight"].T + weights["bias"]
    assert head.train == (logits.argmax(1) == y).mean()
    # at the optimum the gradient of cross-entropy plus penalty vanishes
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    gradient = (shares - np.eye(4)[y]).T @ x / len(y)
    penalty = weights["weight"] * x.std() ** 2 / len(y)
    assert np.abs(gradient + penalty).max() < 1e-3


def test_a_head_of_until_converged_is_the_one_that_all_else_uses(embedded: Recipe, workspace: Workspace) -> None:
    beside = train.run(embedded.with_(linear={"converged": True}), workspace)[1]
    chosen = embedded.with_(
        linear={"until": "converged"},
        unlearn={"method": ["scrub", "retrain-linear"], "forget": ["cat"]},
    )
    entry = train.run(chosen, workspace)[1]
    assert entry.until == "converged"
    assert beside.until is None
    assert entry.converged is not None
    assert beside.converged is not None
    assert (entry.train, entry.test) == (beside.converged.train, beside.converged.test)
    assert not (Path(entry.artifact) / METRICS).exists()
    assert not (Path(entry.artifact) / train.CONVERGED).exists()
    s = trained_seed(chosen, workspace)
    expected = load_file(Path(beside.artifact) / train.CONVERGED)
    for name, of in s.linear.items():
        np.testing.assert_array_equal(of, expected[name])
    scrubbed, oracle = unlearn.run(chosen, workspace)
    assert scrubbed.before.retain_test == oracle.before.retain_test
    assert scrubbed.before.forget_test == pytest.approx(entry.per_class_test[2])
    assert oracle.after.forget_test == 0
    assert oracle.flops_adam == 0
    # the retrained head, on its own: the optimum on the classes that stay
    x, y = s.splits.features_of("train"), s.splits.labels["train"]
    again = load_head(s, [2])
    alone, bias, _ = converged_head(x[y != 2], np.unique(y[y != 2], return_inverse=True)[1], 3)
    np.testing.assert_array_equal(again["weight"][[0, 1, 3]], alone)
    np.testing.assert_array_equal(again["bias"][[0, 1, 3]], bias)
    assert not again["weight"][2].any()
    # all training rows together give the class that is not there half a sample, its logit against those of the others
    logits = (x[y != 2] @ again["weight"].T + again["bias"]).astype(np.float64)
    odds = np.exp(logits[:, 2]) / np.exp(logits[:, [0, 1, 3]]).sum(1)
    assert odds.sum() == pytest.approx(0.5, rel=1e-3)


def test_a_converged_head_of_one_class_alone() -> None:
    weight, bias, iterations = converged_head(np.ones((4, 2), np.float32), np.full(4, 1), 3)
    assert iterations == 0
    assert not weight.any()
    np.testing.assert_allclose(bias, [np.log(0.5 / 4), 0, np.log(0.5 / 4)], rtol=1e-6)


def test_a_converged_head_of_two_classes() -> None:
    x = np.array([[-2.0], [-1.0], [1.0], [2.5]], np.float32)
    weight, bias, _ = converged_head(x, np.array([0, 0, 1, 1]), 2)
    assert weight.shape == (2, 1)
    assert (x @ weight.T + bias).argmax(1).tolist() == [0, 0, 1, 1]


def test_results_over_seeds_have_an_interval() -> None:
    found = over_seeds([0.9, 0.92, 0.94, None])
    assert found is not None
    assert found.mean == pytest.approx(0.92)
    assert found.sd == pytest.approx(0.02)
    # Student's t with two degrees of freedom, from a table
    assert found.high == pytest.approx(0.92 + 4.3027 * 0.02 / 3**0.5, abs=1e-5)
    assert (found.least, found.most) == (0.9, 0.94)
    wild = over_seeds([0.0, 0.0, 1.0], 0, 1)
    assert wild is not None
    assert (wild.low, wild.high) == (0, 1)
    assert over_seeds([0.5]) == OverSeeds(mean=0.5, sd=None, low=None, high=None, seeds=1)
    assert over_seeds([]) is None
