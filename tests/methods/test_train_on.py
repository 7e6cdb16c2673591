from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner

import oracle
from conftest import artifact_bytes, prepare, trained_seed
from dkvb.bottleneck.decoder import Decoder
from dkvb.bottleneck.mask_order import unpack
from dkvb.cli import app
from dkvb.errors import UsageError
from dkvb.evaluation.queries import group_projections
from dkvb.methods import train_on
from dkvb.methods.scrub import ScrubMethod
from dkvb.recipe import Recipe, load
from dkvb.records.accuracies import Accuracies
from dkvb.records.unlearn import TrainOn, TrainOnPoint, UnlearnResult
from dkvb.runtime.seeding import generator
from dkvb.stages import train, unlearn
from dkvb.training import loop
from dkvb.training.adam import Adam
from dkvb.workspace.artifacts import Workspace


def _accuracies(point: TrainOnPoint) -> Accuracies:
    return Accuracies(**point.model_dump(exclude={"epoch"}))


@pytest.fixture
def trained(recipe: Recipe, workspace: Workspace) -> Recipe:
    """At a rate so low that gradients are still worth clipping afterwards."""
    return prepare(recipe.with_(train={"lr": 0.1}), workspace)


def only(recipe: Recipe, workspace: Workspace, method: str, **settings: object) -> UnlearnResult:
    chosen = {"method": method, "forget": ["cat"], "retrain": 3, **settings}
    (entry,) = unlearn.run(recipe.with_(unlearn=chosen), workspace)
    return entry


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[torch.nn.Module]:
    """Modules that retraining has trained, as it left them."""
    modules: list[torch.nn.Module] = []
    original: Callable[..., Any] = train_on.fit

    def kept(module: torch.nn.Module, *args: Any, **settings: Any) -> Any:
        modules.append(module)
        return original(module, *args, **settings)

    monkeypatch.setattr(train_on, "fit", kept)
    return modules


@pytest.mark.parametrize("method", ["activations", "examples", "scrub", "scrub-values"])
def test_points_and_curve_start_at_the_unlearned_model(trained: Recipe, workspace: Workspace, method: str) -> None:
    entry = only(trained, workspace, method)
    assert [p.epoch for p in entry.retraining] == [0, 1, 2, 3]
    assert _accuracies(entry.retraining[0]) == entry.after
    (artifact,) = [a for a in workspace.all("unlearn") if a.settings["kind"] == "retraining"]
    assert artifact.result_as(TrainOn).points == entry.retraining
    assert {"method", "model", "forget", "forget_names", "seed", "n", "epochs"} <= artifact.result.keys()
    curve = polars.read_parquet(artifact.path / "curve.parquet")
    assert curve.columns == ["epoch", "split", "class", "correct", "total"]
    last = curve.filter((polars.col("epoch") == 3) & (polars.col("split") == "train") & (polars.col("class") != 2))
    assert last["correct"].sum() / last["total"].sum() == entry.retraining[3].retain_train
    again = only(trained, workspace, method)
    assert again.skipped
    assert again.retraining == entry.retraining


def test_masked_pairs_are_neither_selected_nor_changed(
    trained: Recipe, workspace: Workspace, fitted: list[Any]
) -> None:
    entry = only(trained, workspace, "activations", na=250)
    masked = unpack(load_file(entry.artifact + "/mask.safetensors")["mask"], 32)
    (module,) = fitted
    values, start = (
        module.decoder.values.detach().numpy().reshape(20, 32, 4),
        trained_seed(trained, workspace).bottleneck.values,
    )
    assert not masked.ravel()[module.ids.numpy()].any()
    np.testing.assert_array_equal(values[masked], start[masked])
    selected = (
        np.bincount(
            module.ids[trained_seed(trained, workspace).splits.labels["train"] != 2].ravel(), minlength=640
        ).reshape(20, 32)
        > 0
    )
    assert (values[selected] != start[selected]).any(1).all()
    np.testing.assert_array_equal(values[~selected], start[~selected])
    assert entry.retraining[-1].retain_train >= entry.retraining[0].retain_train - 0.02


def test_retraining_is_dense_adam_with_clipped_gradients_on_the_retain_set(
    trained: Recipe, workspace: Workspace, fitted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a separately written loop: selections by full sort, one-hot codes, hand-written clipping and Adam."""
    monkeypatch.setattr(train_on, "BATCH_SIZE", 50)
    monkeypatch.setattr(train_on, "CLIP", 0.002)
    entry = only(trained, workspace, "examples", retrain=2, retrain_lr_examples=0.2)
    s = trained_seed(trained, workspace)
    masked = unpack(load_file(entry.artifact + "/mask.safetensors")["mask"], 32)
    projection = group_projections(s.bottleneck.codes_artifact.path, range(20))
    retain = s.splits.labels["train"] != 2
    x, y = s.splits.features_of("train")[retain], torch.from_numpy(s.splits.labels["train"][retain])
    onehot = torch.zeros(len(x), 640, dtype=torch.float64)
    for c in range(20):
        for row, ids in enumerate(oracle.nearest_allowed(x @ projection[c], s.bottleneck.keys[c], 2, ~masked[c])):
            onehot[row, ids + 32 * c] = 1 / 40
    v = torch.from_numpy(s.bottleneck.values.reshape(640, 4)).double().clone().requires_grad_()
    m, second, step, clipped = torch.zeros_like(v), torch.zeros_like(v), 0, 0
    for epoch in range(2):
        for rows in torch.from_numpy(generator(0, "retrain examples", "order", epoch).permutation(len(x))).split(50):
            step += 1
            p = torch.softmax(onehot[rows] @ v, 1)
            (g,) = torch.autograd.grad(-p[torch.arange(len(rows)), y[rows]].log().mean(), v)
            norm = float(g.norm())
            clipped += norm > 0.002
            g = g * min(1.0, 0.002 / (norm + 1e-6))
            with torch.no_grad():
                m, second = 0.9 * m + 0.1 * g, 0.999 * second + 0.001 * g * g
                v -= 0.2 * (m / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
    assert 0 < clipped < step, "the case is only a case where clipping takes place at some steps"
    np.testing.assert_allclose(fitted[0].decoder.values.detach(), v.detach(), rtol=1e-3, atol=1e-4)


def test_clipping_scales_the_gradient_to_the_norm() -> None:
    """Adam's first moment after one step is a tenth of the gradient that it was given."""
    given = []
    for clip in (None, 0.05, 100.0):
        head = torch.nn.Linear(3, 2, bias=True)
        torch.nn.init.constant_(head.weight, 0.5)
        torch.nn.init.zeros_(head.bias)
        seen: list[torch.Tensor] = []

        def watched(adam: Adam, seen: list[torch.Tensor] = seen, step: Any = Adam.step) -> None:
            seen.append(torch.cat([p.grad.ravel().clone() for p in adam.parameters if p.grad is not None]))
            step(adam)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Adam, "step", watched)
            x = torch.tensor([[3.0, -2.0, 1.0], [1.0, 5.0, 2.0]])
            loop.fit(head, x, torch.tensor([0, 1]), loop.Schedule(1, 0.1, 2, clip), loop.Unit("clip", 0))
        given += seen
    free, clipped, loose = given
    assert float(free.norm()) > 0.1
    torch.testing.assert_close(clipped, free * (0.05 / free.norm()), rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(loose, free, rtol=0, atol=0)


def test_clipping_gives_the_same_bits_on_any_number_of_threads() -> None:
    before, found = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            values = torch.nn.Parameter(torch.zeros(2**18, 5))
            values.grad = torch.randn(values.shape, generator=torch.Generator().manual_seed(0))
            module = torch.nn.Module()
            module.values = values
            loop._clip(module, 0.1)
            found.append(values.grad)
        finally:
            torch.set_num_threads(before)
    assert float(found[0].double().norm()) == pytest.approx(0.1, rel=1e-5)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_codebooks_with_too_few_allowed_keys_vote_with_those_there_are(
    trained: Recipe, workspace: Workspace, pool: str
) -> None:
    s = trained_seed(trained, workspace)
    masked = np.random.default_rng(0).random((20, 32)) < 0.97
    allowed = (~masked).sum(1)
    assert {0, 1} <= set(allowed.tolist()), "the case is only a case where some codebooks have none and some have one"
    projection = group_projections(s.bottleneck.codes_artifact.path, range(20))
    for split in ("test", "train"):
        ids = train_on.masked_ids(s.bottleneck, split, masked)
        decoder = Decoder(torch.from_numpy(s.bottleneck.values.reshape(640, 4)).clone(), 2, pool, allowed)  # type: ignore[arg-type]
        expected = oracle.bottleneck_logits(
            s.splits.features_of(split)[:30], projection, s.bottleneck.keys, s.bottleneck.values, masked, 2, pool
        )
        with torch.inference_mode():
            np.testing.assert_allclose(decoder(ids[:30]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stop_at", [2, 4])
def test_killed_retraining_resumes_at_the_epoch_to_the_same_bits(
    trained: Recipe, workspace: Workspace, tmp_path: Path, stop_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Workspace(tmp_path / "whole", tmp_path / "reports")
    prepare(trained, whole)
    only(trained, whole, "activations")
    monkeypatch.setattr(loop, "SAVE_EVERY", -1.0)
    original, calls = train.predict, []

    def failing(module: torch.nn.Module, inputs: torch.Tensor) -> np.ndarray:
        calls.append(1)
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return original(module, inputs)

    monkeypatch.setattr(train_on, "predict", failing)
    with pytest.raises(KeyboardInterrupt):
        only(trained, workspace, "activations")
    calls.clear()
    monkeypatch.setattr(train_on, "predict", lambda *args: calls.append(1) or original(*args))
    only(trained, workspace, "activations")
    assert len(calls) == 2 * (3 - (stop_at - 1) // 2), "finished epochs are not trained again"
    assert artifact_bytes(workspace.root) == artifact_bytes(whole.root)


def test_scrub_goes_on_from_the_very_student_with_min_passes_alone(
    trained: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads, passes = [], []
    original = ScrubMethod.train

    def watched(self: Any, student: torch.nn.Linear, inputs: torch.Tensor, epochs: int) -> Any:
        passes.append(self.recipe.max_steps)
        for epoch in original(self, student, inputs, epochs):
            heads.append(student.weight.detach().clone())
            yield epoch

    monkeypatch.setattr(ScrubMethod, "train", watched)
    entry = only(trained.with_(scrub={"min_steps": 2, "max_steps": 3}), workspace, "scrub", retrain=4)
    kept = load_file(entry.artifact + "/weights.safetensors")["weight"]
    assert passes == [3, 2], "the third max pass belongs to no epoch of the unlearning at hand"
    assert len(heads) == 2 + 6
    np.testing.assert_array_equal(heads[3], kept)
    assert not np.array_equal(heads[-1], kept)
    (artifact,) = [a for a in workspace.all("unlearn") if a.settings["kind"] == "retraining"]
    whole = artifact.result_as(TrainOn).from_original
    assert whole is not None
    assert _accuracies(whole[0]) == entry.before
    assert [_accuracies(p) for p in whole[2:]] == [_accuracies(p) for p in entry.retraining]


def test_controls_are_not_retrained_and_nothing_is_without_being_asked(trained: Recipe, workspace: Workspace) -> None:
    assert only(trained, workspace, "logit-mask").retraining is None
    assert only(trained, workspace, "activations", retrain=0).retraining is None
    assert not [a for a in workspace.all("unlearn") if a.settings["kind"] == "retraining"]
    with pytest.raises(UsageError, match="unlearn.retrain"):
        trained.with_(unlearn={"retrain": -1})


def test_the_flag(recipe: Recipe, workspace: Workspace) -> None:
    prepare(recipe, workspace)
    flags = [
        "unlearn",
        "--recipe",
        "tiny.toml",
        "--forget",
        "cat",
        "--method",
        "activations",
        "--method",
        "logit-mask",
        "--retrain",
        "2",
    ]
    result = CliRunner().invoke(app, [*flags, "--json"])
    assert result.exit_code == 0, result.output
    activations, mask = json.loads(result.stdout)["unlearn"]
    assert [p["epoch"] for p in activations["retraining"]] == [0, 1, 2]
    assert "retraining" not in mask
    assert "Retrained" in CliRunner().invoke(app, flags).stdout


def test_learning_rates_are_those_of_table_7() -> None:
    found = {name: load(name).unlearn for name in ("cifar10", "cifar100", "lacuna100")}
    assert [u.retrain_lr_activations for u in found.values()] == [0.3, 0.1, 0.1]
    assert [u.retrain_lr_examples for u in found.values()] == [0.3, 0.1, 0.3]
    assert (train_on.BATCH_SIZE, train_on.CLIP) == (256, 0.1)
