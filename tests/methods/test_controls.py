"""Controls that are trained from scratch on the retain set."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from conftest import trained_seed
from dkvb.bottleneck.decoder import start_values
from dkvb.errors import DkvbError
from dkvb.evaluation.under_masks import masked_logits
from dkvb.recipe import Recipe
from dkvb.runtime.seeding import generator
from dkvb.stages import embed, train, unlearn
from dkvb.training.on_retain_set import load_bottleneck, load_head, retrained
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.keys_spec import quantize_spec
from dkvb.workspace.names import VALUES


def test_retrained_values_are_those_of_a_plain_loop_on_the_retain_set(trained: Recipe, workspace: Workspace) -> None:
    one = trained_seed(trained, workspace)
    artifact = retrained(one, [2], "retrain")
    codes, y = one.bottleneck.codes("train"), one.splits.labels["train"]
    rows = np.flatnonzero(y != 2)
    ids = torch.from_numpy(
        (codes + np.arange(20)[:, None, None] * 32).transpose(1, 0, 2).reshape(len(y), -1).astype(np.int64)
    )
    values = start_values(trained.train.values, 20, 32, 4, 0).double().requires_grad_(True)
    adam = torch.optim.Adam([values], lr=trained.train.lr, foreach=False, fused=False)
    for epoch in range(trained.train.epochs):
        order = rows[generator(0, "retrain", "order", epoch).permutation(len(rows))]
        for start in range(0, len(order), 32):
            batch = order[start : start + 32]
            adam.zero_grad()
            torch.nn.functional.cross_entropy(values[ids[batch]].mean(1), torch.from_numpy(y[batch])).backward()
            adam.step()
    found = load_file(artifact.path / VALUES)["values"].reshape(-1, 4)
    np.testing.assert_allclose(found, values.detach().numpy(), rtol=1e-3, atol=1e-4)
    adam = 12 * (20 * 32 * 4) * math.ceil(len(rows) / 32) * trained.train.epochs
    assert artifact.result["flops_adam"] == adam
    assert artifact.result["flops"] == 4 * len(rows) * 20 * 2 * 4 * trained.train.epochs + adam
    model, order = load_bottleneck(one, [2], "retrain")
    assert (masked_logits(model, order, 0, "test").argmax(1) != 2).all(), (
        "no value has ever been drawn towards the forgotten class"
    )


@pytest.mark.parametrize("method", ["retrain", "retrain-keys", "retrain-linear"])
def test_nothing_of_the_forget_set_takes_part(own_recipe: Recipe, tmp_path: Path, method: str) -> None:
    """Whatever the forget set's features are, a model retrained without it is the same to the bit."""
    found = []
    for shift in (0.0, 5.0):
        place = Workspace(tmp_path / f"data{shift}", tmp_path / "reports")
        for split in ("train", "test"):
            with np.load(Path("tiny-data") / f"{split}.npz") as file:
                data = dict(file)
            data["x"] = data["x"] + np.float32(shift) * (data["y"] == 2)[:, None].astype(np.float32)
            np.savez(Path("tiny-data") / f"{split}.npz", **data)
        embed.run(own_recipe, place)
        train.run(own_recipe, place)
        one = trained_seed(own_recipe, place)
        artifact = retrained(one, [2], method)  # type: ignore[arg-type]
        (file,) = artifact.path.glob("*.safetensors")
        found.append(load_file(file))
        if method == "retrain-keys":
            codes = place.need_spec(quantize_spec(own_recipe, 0, one.features, [2]), "keys")
            found[-1]["keys"] = arrays.read(codes, "keys")
            rows = one.splits.labels["train"] != 2
            found[-1]["codes"] = arrays.read(codes, "train/codes")[one.splits.rows["train"]][rows]
    same = {name: np.array_equal(found[0][name], found[1][name]) for name in found[0]}
    if method == "retrain":  # its keys, and so its codes, were fitted with the forget set there
        assert not same["values"]
    else:
        assert all(same.values()), same


def test_controls_are_kept_and_made_again_when_damaged(trained: Recipe, workspace: Workspace) -> None:
    chosen = trained.with_(
        unlearn={"method": ["retrain", "retrain-keys", "retrain-linear"], "forget": ["cat"], "sweep": True}
    )
    entries = unlearn.run(chosen, workspace)
    for entry in entries:
        assert entry.after.forget_test == 0
        assert entry.after.retain_test > 0.8
        assert entry.flops > 0
        assert [p.forget_test for p in entry.curve] == [entry.before.forget_test, 0]
    one = trained_seed(trained, workspace)
    weights = load_head(one, [2])
    path = retrained(one, [2], "retrain-linear").path / "linear.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    again = load_head(trained_seed(trained, workspace), [2])
    assert path.read_bytes() == content
    np.testing.assert_array_equal(again["weight"], weights["weight"])


def test_pairs_that_retraining_never_selected_can_be_masked(trained: Recipe, workspace: Workspace) -> None:
    recipe = trained.with_(keys={"unused": "mask"})
    train.run(recipe, workspace)
    one = trained_seed(recipe, workspace)
    model, order = load_bottleneck(one, [2], "retrain")
    retain = one.splits.labels["train"] != 2
    for c, codes in enumerate(model.codes("train")[:, retain]):
        assert set(np.flatnonzero(order[c] >= 0)) == set(codes.ravel())


def test_an_empty_retain_set_is_refused(trained: Recipe, workspace: Workspace) -> None:
    with pytest.raises(DkvbError, match="Nothing is left to retrain on"):
        retrained(trained_seed(trained, workspace), [0, 1, 2, 3], "retrain")
