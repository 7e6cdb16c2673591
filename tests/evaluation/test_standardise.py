"""Columns out of proportion, and the linear heads that are trained beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import TOML, blobs, trained_seed
from dkvb.evaluation.standardise import Standardiser
from dkvb.methods.scrub import ScrubMethod
from dkvb.recipe import load
from dkvb.records.train import TrainResult
from dkvb.stages import embed, train
from dkvb.training.on_retain_set import load_head
from dkvb.workspace.artifacts import Workspace


def out_of_line(folder: Path, factor: float = 1.0, offset: float = 0.0, column: int = 5) -> None:
    for split in ("train", "test"):
        arrays = dict(np.load(folder / f"{split}.npz"))
        arrays["x"][:, column] = arrays["x"][:, column] * factor + offset
        np.savez(folder / f"{split}.npz", **arrays)


def test_features_in_proportion_are_left_as_they_are() -> None:
    x = np.random.default_rng(0).standard_normal((500, 6)).astype(np.float32)
    x[:, 2] = x[:, 2] * 15 + 60  # wide and far, within what CLIP's columns are, doubled
    in_line = Standardiser.of(x)
    weight, bias = x[:3].copy(), np.ones(3, np.float32)
    assert len(in_line.columns) == 0
    assert in_line(x) is x
    assert in_line.fold(weight, bias)[0] is weight


def test_mean_and_spread_of_columns_out_of_proportion() -> None:
    rng = np.random.default_rng(1)
    plain = rng.standard_normal((20_000, 5))
    x = plain.copy()
    x[:, 1] += 1e5  # far away
    x[:, 3] *= 1e4  # wide
    x[:, 4] = 1e6  # constant, and far away
    in_line = Standardiser.of(x.astype(np.float32))
    usual = np.median(plain[:, :4].std(0) * [1, 1, 1, 1e4])
    assert in_line.columns.tolist() == [1, 3, 4]
    assert in_line.mean == pytest.approx([1e5 + plain[:, 1].mean(), 1e4 * plain[:, 3].mean(), 1e6], rel=1e-6)
    assert in_line.times == pytest.approx([1, 1e4 * plain[:, 3].std() / usual, 1], rel=1e-3)
    assert in_line(x.astype(np.float32))[:, [1, 3, 4]].std(0) == pytest.approx([1, 1, 0], abs=0.02)
    assert "columns 1, 3, 4 of the features are out of proportion" in in_line.in_words()


def test_folded_weights_answer_for_features_as_they_are() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((300, 4))
    x[:, 2] = x[:, 2] * 500 + 3000
    in_line = Standardiser.of(x)
    weight, bias = rng.standard_normal((3, 4)).astype(np.float32), rng.standard_normal(3).astype(np.float32)
    folded = in_line.fold(weight, bias)
    assert x @ folded[0].T + folded[1] == pytest.approx(in_line(x) @ weight.T + bias, abs=1e-3)
    for back, given in zip(in_line.unfold(*folded), (weight, bias), strict=True):
        assert back == pytest.approx(given, abs=1e-5)


@pytest.mark.parametrize("until", ["epochs", "converged"])
@pytest.mark.parametrize(("factor", "offset"), [(1.0, 1e4), (1e5, 0.0)])
def test_linear_heads_learn_beside_a_column_out_of_proportion(
    until: str, factor: float, offset: float, tmp_path: Path, workspace: Workspace
) -> None:
    blobs(tmp_path / "tiny-data")
    out_of_line(tmp_path / "tiny-data", factor, offset)
    (tmp_path / "tiny.toml").write_text(TOML.replace("[linear]", f'[linear]\nuntil = "{until}"'), encoding="utf-8")
    recipe = load("tiny.toml")
    embed.run(recipe, workspace)
    results = train.run(recipe, workspace)
    (linear,) = (result for result in results if isinstance(result, TrainResult) and result.model == "linear")
    assert linear.test > 0.95

    trained = trained_seed(recipe, workspace)
    x, y = trained.splits.features_of("test"), trained.splits.labels["test"]
    for head in (trained.linear, load_head(trained, [1])):
        predicted = (x @ head["weight"].T + head["bias"]).argmax(1)
        assert (predicted == y)[y != 1].mean() > 0.95
    assert not (predicted == 1).any()

    outcome = ScrubMethod(trained, [1]).forget(6)
    scrubbed = (x @ outcome.arrays["weight"].T + outcome.arrays["bias"]).argmax(1)
    assert scrubbed.tolist() == outcome.after["test"].tolist()
    assert (scrubbed == y)[y != 1].mean() > 0.9
