"""Models as torch modules: to the bit what the stages compute, under any mask, and unlearning in memory as the command
does it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner

import dkvb
from conftest import CLASSES, prepare
from deletion_records import a_masking
from dkvb.bottleneck.mask_order import NEVER, unpack
from dkvb.cli import app
from dkvb.encoders.recorded import Encoding
from dkvb.errors import DkvbError, MissingStage, UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_logits
from dkvb.inference.bottleneck_model import Model, Weights
from dkvb.inference.classifier import About, LinearModel
from dkvb.recipe import Encoder, Recipe
from dkvb.stages import unlearn as unlearning
from dkvb.workspace import arrays, request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import canonical_hash
from dkvb.workspace.requests import need_features


def trained(recipe: Recipe, workspace: Workspace, seed: int = 0) -> TrainedSeed:
    prepare(recipe, workspace)
    return TrainedSeed(recipe, workspace, need_features(recipe, workspace), seed)


def samples(models: TrainedSeed, split: str = "test") -> torch.Tensor:
    return torch.from_numpy(models.splits.features_of(split))


def loaded(models: TrainedSeed, **options: Any) -> Model:
    model = dkvb.load(models.workspace.root, **options)
    assert isinstance(model, Model)
    return model


def as_order(masked: np.ndarray, models: TrainedSeed) -> np.ndarray:
    order = np.where(masked, 0, NEVER).astype(np.int32)
    order[models.no_mask < 0] = -1
    return order


@pytest.mark.parametrize(
    ("top_k", "pool", "unused", "neighbours"),
    [(1, "mean", "keep", 6), (2, "mean", "mask", 0), (3, "sum", "keep", 4), (9, "mean", "mask", 32)],
)
def test_logits_are_those_of_the_stages_to_the_bit(
    recipe: Recipe, workspace: Workspace, top_k: int, pool: str, unused: str, neighbours: int
) -> None:
    recipe = recipe.with_(
        keys={"top_k": top_k, "unused": unused, "neighbours": neighbours}, train={"pool": pool, "epochs": 2}
    )
    models = trained(recipe, workspace)
    model = loaded(models)
    masked = np.random.default_rng(0).random(model.mask.shape) < 0.6
    masked[3] = True  # a codebook without any allowed key
    masked[4], masked[4, 5] = True, False  # and one with fewer than k
    masked[5] = False
    for mask in (np.zeros_like(masked), masked):
        other = model.masked(mask)
        for split in ("test", "train"):
            expected = masked_logits(models.bottleneck, as_order(mask, models), 1, split)
            got = other(samples(models, split))
            assert got.dtype == torch.float32
            assert np.array_equal(got.numpy(), expected)
    assert not model.mask.any()
    assert (model.unused == (models.no_mask < 0)).all()


def test_a_sample_has_the_same_logits_in_any_batch(recipe: Recipe, workspace: Workspace) -> None:
    models = trained(recipe, workspace)
    model, x = loaded(models), samples(models)
    whole = model(x)
    assert torch.equal(torch.cat([model(x[i : i + 1]) for i in range(20)]), whole[:20])
    assert torch.equal(torch.cat([model(part) for part in x.split(7)]), whole)
    assert model(x[:0]).shape == (0, len(CLASSES))
    assert torch.equal(model(x.double()), whole)  # it computes in single precision, whatever it is given


def test_arrays_and_tensors_give_the_same_and_a_torch_module_is_only_a_wrapping(
    recipe: Recipe, workspace: Workspace
) -> None:
    models = trained(recipe, workspace)
    x = samples(models)
    for model in (loaded(models), dkvb.load(models.linear_artifact.path)):
        logits = model(x.numpy())
        assert isinstance(logits, np.ndarray)
        assert logits.dtype == np.float32
        assert np.array_equal(model(x).numpy(), logits)
        half = x.to(torch.bfloat16).requires_grad_()
        assert np.array_equal(model(half).numpy(), model(half.detach().float().numpy()))
        module = model.to_torch()
        assert isinstance(module, torch.nn.Module)
        inside = torch.nn.Sequential(torch.nn.Identity(), module).double().to("cpu")
        assert torch.equal(inside(x.double()), model(x))
        assert not list(module.parameters())
        assert not list(module.buffers())
        with pytest.raises(AttributeError, match=r"to_torch\(\)"):
            model.to("cpu")
        for wrong in (x.numpy()[:, :3], x.numpy()[0], x.numpy().astype(str), x.numpy().astype(complex)):
            with pytest.raises(DkvbError, match=r"takes \(B, 12\)"):
                model(wrong)


def test_a_linear_heads_logits_do_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(0)
    for width, classes in ((512, 10), (64, 100), (12, 4)):
        weight, bias = (rng.standard_normal(shape).astype(np.float32) for shape in ((classes, width), (classes,)))
        model = LinearModel(About([str(c) for c in range(classes)], 0, Encoding(None)), weight, bias)
        x = rng.standard_normal((5000, width)).astype(np.float32)
        whole = model(x)
        assert np.allclose(whole, x.astype(np.float64) @ weight.T + bias, atol=1e-4)
        for rows in (slice(0, 1), slice(7, 8), slice(3, 20), slice(2000, 2101), slice(4990, 5000)):
            assert np.array_equal(model(x[rows]), whole[rows])


def test_wide_features_have_the_same_queries_alone_as_in_a_large_batch() -> None:
    rng = np.random.default_rng(0)
    projection, values = (
        rng.standard_normal((6, 512, 8)).astype(np.float32),
        rng.standard_normal((6, 64, 3)).astype(np.float32),
    )
    keys, unused = rng.standard_normal((6, 64, 8)).astype(np.float32), np.zeros((6, 64), bool)
    model = Model(
        About(["a", "b", "c"], 0, Encoding(None)), Weights(projection, keys, values, unused), unused, 3, "mean"
    )
    x = torch.from_numpy(rng.standard_normal((5000, 512)).astype(np.float32))
    assert np.array_equal(np.concatenate([model.select(x[i : i + 1]) for i in range(50)], 1), model.select(x)[:, :50])


@pytest.mark.parametrize("forget", [["cat"], ["dog", 0]])
@pytest.mark.parametrize("unused", ["keep", "mask"])
def test_unlearning_in_memory_makes_the_mask_of_the_command(
    recipe: Recipe, workspace: Workspace, forget: list[Any], unused: str
) -> None:
    recipe = recipe.with_(
        unlearn={"forget": forget, "counts": "last-epoch", "method": "activations"},
        keys={"unused": unused},
        run={"seeds": [1]},
    )
    models = trained(recipe, workspace, 1)
    (entry,) = unlearning.run(recipe, workspace)
    stored = unpack(load_file(Path(entry.artifact) / "mask.safetensors")["mask"], recipe.keys.pairs)
    model = loaded(models)
    new = dkvb.unlearn(model, forget=forget, na=150)
    assert new.mask.sum() == 150
    assert (new.mask == stored & ~model.unused).all()
    assert not model.mask.any()
    assert new.about.forgotten == entry.forget
    assert new.values is model.values
    again = dkvb.load(entry.artifact)
    assert torch.equal(again(samples(models)), new(samples(models)))
    assert torch.equal(
        again.mask_alone(samples(models)).argmax(1) == torch.from_numpy(models.splits.labels["test"]),
        _right(models, stored),
    )
    from_data = dkvb.unlearn(
        model, forget, 150, features=samples(models, "train"), labels=models.splits.labels["train"]
    )
    assert np.array_equal(from_data.mask, new.mask)
    assert dkvb.unlearn(model, forget, 640).mask.sum() < 640


def _right(models: TrainedSeed, stored: np.ndarray) -> torch.Tensor:
    logits = masked_logits(models.bottleneck, as_order(stored, models), 1, "test")
    return torch.from_numpy(logits.argmax(1) == models.splits.labels["test"])


def test_masks_unite(recipe: Recipe, workspace: Workspace) -> None:
    model = loaded(trained(recipe, workspace))
    one, other = dkvb.unlearn(model, "cat", 100), dkvb.unlearn(model, "dog", 100)
    both = dkvb.unlearn(one, "dog", 100)
    assert np.array_equal(both.mask, one.mask | other.mask)
    assert both.about.forgotten == [2, 3]
    assert np.array_equal(dkvb.unlearn(both, "dog", 100).mask, both.mask)


@pytest.mark.parametrize("forget", [["cat"], ["cat", "dog"]])
def test_unlearning_by_votes_makes_the_mask_of_the_command(
    recipe: Recipe, workspace: Workspace, forget: list[Any]
) -> None:
    recipe = recipe.with_(unlearn={"forget": forget, "method": "votes", "nv": 80}, run={"seeds": [1]})
    models = trained(recipe, workspace, 1)
    (entry,) = unlearning.run(recipe, workspace)
    stored = unpack(load_file(Path(entry.artifact) / "mask.safetensors")["mask"], recipe.keys.pairs)
    model = loaded(models)
    assert (model.unlearn(forget, na=80, by="votes").mask == stored).all()
    assert (dkvb.unlearn(model, forget, 80, by="votes").mask == stored).all()
    with pytest.raises(UsageError, match="activations, votes"):
        dkvb.unlearn(model, forget, 80, by="vote")


def test_what_unlearn_refuses(recipe: Recipe, workspace: Workspace) -> None:
    models = trained(recipe, workspace)
    model, x = loaded(models), samples(models)
    with pytest.raises(UsageError, match="did you mean 'cat'"):
        dkvb.unlearn(model, "catt", 10)
    with pytest.raises(UsageError, match="twice"):
        dkvb.unlearn(model, ["cat", 2], 10)
    with pytest.raises(UsageError, match="All 4 classes"):
        dkvb.unlearn(model, CLASSES, 10)
    with pytest.raises(UsageError, match="not between 0 and all 640"):
        dkvb.unlearn(model, "cat", 641)
    with pytest.raises(UsageError, match="needs the features"):
        dkvb.unlearn(model, "cat", 10, counts="forget-set")
    with pytest.raises(UsageError, match="no samples"):
        dkvb.unlearn(model, "cat", 10, features=x, labels=np.zeros(len(x), int))
    with pytest.raises(UsageError, match="one for each"):
        dkvb.unlearn(model, "cat", 10, features=x, labels=[2])
    with pytest.raises(UsageError, match="linear head"):
        dkvb.unlearn(dkvb.load(models.linear_artifact.path), "cat", 10)


def test_what_forward_refuses(recipe: Recipe, workspace: Workspace) -> None:
    model = loaded(trained(recipe, workspace))
    with pytest.raises(DkvbError, match=r"takes \(B, 12\)"):
        model(torch.zeros(2, 13))
    with pytest.raises(DkvbError, match="NaN"):
        model(torch.full((1, 12), torch.nan))
    with pytest.raises(UsageError, match="without an encoder"):
        model.images(torch.zeros(1, 3, 8, 8))


def test_every_artifact_that_holds_a_model_loads(recipe: Recipe, workspace: Workspace) -> None:
    methods = ["examples", "scrub", "scrub-values", "logit-mask", "own-votes"]
    recipe = recipe.with_(unlearn={"method": methods, "forget": ["bird"], "sweep": True})
    models = trained(recipe, workspace)
    entries = {entry.method: entry for entry in unlearning.run(recipe, workspace)}
    x, y = samples(models), models.splits.labels["test"]
    for name, kind in zip(methods, (Model, LinearModel, Model, Model, Model), strict=True):
        model = dkvb.load(entries[name].artifact, keep_labels=True)
        assert type(model) is kind
        predicted = model(x).argmax(1).numpy()
        answers = dkvb.load(entries[name].artifact)(x)
        assert answers[:, 1].isneginf().all()
        assert torch.equal(answers[:, [0, 2, 3]], model(x)[:, [0, 2, 3]])
        for classes, share in (([1], "forget_test"), ([0, 2, 3], "retain_test")):
            of = np.isin(y, classes)
            assert (predicted == y)[of].mean() == pytest.approx(getattr(entries[name].after, share), abs=1e-9), name
    assert dkvb.load(entries["logit-mask"].artifact)(x)[:, 1].isneginf().all()
    head = dkvb.load(models.linear_artifact.path)
    assert float((head(x).argmax(1).numpy() == y).mean()) == pytest.approx(models.linear_artifact.result["test"])
    curve = next(a for a in workspace.all("unlearn") if a.settings["kind"] == "sweep")
    for path in (curve.path, models.features.path):
        with pytest.raises(UsageError, match="no model"):
            dkvb.load(path)


def test_which_model_of_a_workspace(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        dkvb.load(workspace.root)
    workspace.root.mkdir()
    with pytest.raises(MissingStage, match="dkvb train"):
        dkvb.load(workspace.root)
    both = recipe.with_(run={"seeds": [3, 1]})
    models = trained(both, workspace, 1)
    assert loaded(models).about.seed == 1
    assert loaded(models, seed=3).about.seed == 3
    assert loaded(models, recipe=both).about.seed == 3
    assert loaded(models, recipe=tmp_path / "tiny.toml", seed=1).about.seed == 1
    with pytest.raises(MissingStage, match="seed 7"):
        dkvb.load(workspace.root, seed=7)


def test_deletion_requests_are_masked_until_restored(recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    models = trained(recipe, workspace)
    model, x = loaded(models), samples(models)
    mask = dkvb.unlearn(model, "cat", 120).mask
    with requests.held(workspace):
        request = request_writing.open_request(workspace, models.dkvb_artifact, a_masking(2), mask)
    alone = model.masked(mask)(x)
    expected = alone.clone()
    expected[:, 2] = -torch.inf
    for path in (workspace.root, models.dkvb_artifact.path):
        found = dkvb.load(path)
        assert (found.mask == mask).all()
        assert found.about.forgotten == [2]
        assert torch.equal(found(x), expected)
        assert torch.equal(found.mask_alone(x), alone)
        assert torch.equal(dkvb.load(path, keep_labels=True)(x), alone)
        assert torch.equal(found.to_torch()(x), expected)
        assert not dkvb.load(path, requests=False).mask.any()
        assert torch.equal(dkvb.load(path, requests=False)(x), model(x))
    np.savez(tmp_path / "x.npz", x=x.numpy())
    words = ["--recipe", "tiny.toml", "--data-dir", str(workspace.root)]
    result = CliRunner().invoke(app, ["predict", "x.npz", "--json", *words])
    assert [entry["id"] for entry in json.loads(result.stdout)["predict"]] == expected.argmax(1).tolist()
    assert CliRunner().invoke(app, ["export", "out", *words]).exit_code == 0
    assert torch.equal(dkvb.load("out")(x), expected[:, [0, 1, 3]])
    entries = unlearning.run(recipe.with_(unlearn={"method": "activations", "forget": ["dog"]}), workspace)
    both = dkvb.load(entries[0].artifact)
    assert both.about.forgotten == [2, 3]
    assert np.array_equal(both.mask, mask | dkvb.load(entries[0].artifact, requests=False).mask)
    request_writing.change(request, state=requests.PURGED)
    assert torch.equal(loaded(models)(x), expected)
    assert torch.equal(loaded(models, requests=False)(x), expected)
    request_writing.change(request, state=requests.RESTORED)
    assert torch.equal(loaded(models)(x), model(x))


def test_one_class_that_is_left_is_always_the_answer(recipe: Recipe, workspace: Workspace) -> None:
    models = trained(recipe, workspace)
    model, x = loaded(models), samples(models)
    three = dkvb.unlearn(model, ["airplane", "bird", "dog"], 300)
    assert (three(x).argmax(1) == 2).all()
    with pytest.raises(UsageError, match="none left to answer with"):
        dkvb.unlearn(three, "cat", 10)
    every = dkvb.unlearn(three, "cat", 10, keep_labels=True)
    assert every.about.forgotten == [0, 1, 2, 3]
    assert every(x).isfinite().all()
    assert torch.equal(every.mask_alone(x), every(x))


@pytest.mark.parametrize("unused", ["keep", "mask"])
def test_share_of_nearest_pairs_that_the_mask_takes_away(recipe: Recipe, workspace: Workspace, unused: str) -> None:
    models = trained(recipe.with_(keys={"unused": unused, "top_k": 3}), workspace)
    model, x = loaded(models), samples(models)
    assert model.masked_nearest(x).tolist() == [0.0] * len(x)
    mask = np.random.default_rng(0).random(model.mask.shape) < 0.3
    mask[4], mask[7] = True, False
    mask &= ~model.unused
    shares, codes = model.masked(mask).masked_nearest(x), model.select(x)
    for row in range(len(x)):
        taken = [mask[c, code] for c in range(len(codes)) for code in codes[c, row] if code >= 0]
        assert shares[row] == pytest.approx(np.mean(taken))
    assert model.masked(~model.unused).masked_nearest(x).tolist() == [1.0] * len(x)
    assert model.masked_nearest(x[:0]).shape == (0,)
    assert dkvb.load(models.linear_artifact.path).masked_nearest(x) is None


def test_images_go_through_the_encoder(workspace: Workspace) -> None:
    from dkvb.recipe import load
    from dkvb.sources.opening import open_source

    recipe = load("digits").with_(
        keys={"codebooks": 8, "pairs": 16, "epochs": 1}, train={"epochs": 1}, linear={"epochs": 1}
    )
    models = trained(recipe, workspace)
    model, split = loaded(models), open_source(recipe.data).splits["test"]
    images = [split.read(row) for row in range(30)]  # type: ignore[union-attr]
    assert model.encoder["name"] == "pixels"
    expected = model(samples(models)[:30])
    assert torch.equal(model.images(images), expected)
    assert torch.equal(model.images(images[0]), expected[:1])
    ready = torch.stack([model.about.encoding.encoder.preprocess(image) for image in images])
    assert torch.equal(model.images(ready), expected)
    assert model.images([]).shape == (0, 10)
    with pytest.raises(DkvbError, match="H, W"):
        model.images(ready[0])
    with pytest.raises(DkvbError, match=r"takes \(B, 64\)"):
        dkvb.load(models.dkvb_artifact.path).images(images[0].resize((9, 9)))


def test_other_weights_than_those_trained_with_are_refused(recipe: Recipe, workspace: Workspace) -> None:
    model = loaded(trained(recipe, workspace))
    encoding = model.about.encoding
    encoding.settings = Encoder(name="pixels", batch_size=2, size=8)
    encoding.weights_sha256 = "0" * 64
    with pytest.raises(DkvbError, match="not those that the model was trained with"):
        model.images(torch.zeros(1, 3, 8, 8))


def test_importing_is_light_and_unlearn_is_a_plain_function() -> None:
    code = (
        "import sys, dkvb; assert 'torch' not in sys.modules and 'numpy' not in sys.modules; "
        "import inspect; assert inspect.isfunction(dkvb.unlearn) and inspect.isfunction(dkvb.load); "
        "import dkvb.stages.unlearn; assert inspect.isfunction(dkvb.unlearn)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="nothing"):
        _ = dkvb.nothing


def test_stored_counts_are_those_of_the_training_set(recipe: Recipe, workspace: Workspace) -> None:
    models = trained(recipe, workspace)
    counts = arrays.read(models.dkvb_artifact, "counts")
    model = loaded(models)
    assert (model.class_counts([1, 2]) == counts[1] + counts[2]).all()


def test_what_an_artifact_keeps_is_said_and_version_0_1_is_understood(recipe: Recipe, workspace: Workspace) -> None:
    methods = ["activations", "scrub", "logit-mask", "retrain"]
    models = trained(recipe.with_(unlearn={"method": methods, "forget": ["bird"]}), workspace)
    entries = {entry.method: entry for entry in unlearning.run(models.recipe, workspace)}
    assert [entries[name].keeps for name in methods] == ["mask", "weights", "excluded", "nothing"]
    assert not list(Path(entries["retrain"].artifact).glob("*.safetensors"))
    x = samples(models)
    expected = {name: dkvb.load(entries[name].artifact)(x) for name in methods[:3]}
    for name in methods:
        path = Path(entries[name].artifact) / "manifest.json"
        manifest = json.loads(path.read_text())
        del manifest["result"]["keeps"], manifest["checksum"]
        path.write_text(json.dumps(manifest | {"checksum": canonical_hash(manifest)}))
    for name in methods[:3]:
        assert torch.equal(dkvb.load(entries[name].artifact)(x), expected[name])
    with pytest.raises(UsageError, match="holds no model to load"):
        dkvb.load(entries["retrain"].artifact)
