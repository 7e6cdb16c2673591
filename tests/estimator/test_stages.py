"""The estimator is the stages: of the same data, settings and seed it makes the same bits as a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dkvb
from conftest import trained_seed
from dkvb.deletion import exact, forget
from dkvb.estimator.settings import PLACES, recipe_of
from dkvb.recipe import Recipe, load
from dkvb.workspace import requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.names import PROJECTION, VALUES
from dkvb.workspace.tensors import load_file


def as_in(recipe: Recipe) -> dkvb.KeyValueClassifier:
    """An estimator with a recipe's settings."""
    told: dict[str, Any] = {name: getattr(getattr(recipe, section), key) for name, (section, key) in PLACES.items()}
    return dkvb.KeyValueClassifier(**told | {"seed": recipe.run.seeds[0]})


def rows_of(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) and names (N,) of a split of the tiny data."""
    with np.load(folder / f"{split}.npz") as file:
        return file["x"], file["classes"][file["y"]]


@pytest.fixture
def by_votes(trained: Recipe) -> Recipe:
    """The trained recipe, which forgets as own data do."""
    return trained.with_(unlearn={"method": ["votes"], "nv": "auto"})


def test_keys_codes_and_values_are_those_of_quantize_and_train(
    trained: Recipe, workspace: Workspace, tiny_data: Path
) -> None:
    stored, model = trained_seed(trained, workspace), as_in(trained).fit(*rows_of(tiny_data, "train"))
    own = model._forgetting.trained.bottleneck
    projection = load_file(stored.codes_artifact.path / PROJECTION)["projection"]
    np.testing.assert_array_equal(own.projection, projection)
    np.testing.assert_array_equal(own.keys, stored.bottleneck.keys)
    for split in ("train", "validation"):
        assert own.codes(split).size
        np.testing.assert_array_equal(own.codes(split), stored.bottleneck.codes(split))
    np.testing.assert_array_equal(own.values, load_file(stored.dkvb_artifact.path / VALUES)["values"])
    x, _ = rows_of(tiny_data, "test")
    np.testing.assert_array_equal(model.decision_function(x), dkvb.load("data")(x))


def test_the_mask_is_that_of_dkvb_forget_and_restoring_takes_it_back(
    by_votes: Recipe, workspace: Workspace, tiny_data: Path
) -> None:
    model = as_in(by_votes).fit(*rows_of(tiny_data, "train")).forget(["cat"]).forget("dog")
    x, _ = rows_of(tiny_data, "test")
    alone = as_in(by_votes).fit(*rows_of(tiny_data, "train")).forget("dog")
    for name in ("cat", "dog"):
        forget.run(by_votes, workspace, [name])
    union = requests.forgotten(workspace, trained_seed(by_votes, workspace).dkvb_artifact)
    assert union.mask is not None
    assert union.mask.any()
    np.testing.assert_array_equal(model.model_.mask, union.mask)
    np.testing.assert_array_equal(model.decision_function(x), dkvb.load("data")(x))
    np.testing.assert_array_equal(model.restore(["cat"]).decision_function(x), alone.decision_function(x))


def test_values_without_samples_are_those_of_dkvb_forget_samples(
    by_votes: Recipe, workspace: Workspace, tiny_data: Path
) -> None:
    model = as_in(by_votes).fit(*rows_of(tiny_data, "train")).forget("cat").forget_samples([3, 40, 41])
    forget.run(by_votes, workspace, ["cat"])
    exact.samples(by_votes, workspace, np.array([3, 40, 41]))
    stored = dkvb.load("data")
    assert isinstance(stored, dkvb.Model)
    np.testing.assert_array_equal(model.model_.values, stored.values)
    np.testing.assert_array_equal(model.model_.mask, stored.mask)
    x, _ = rows_of(tiny_data, "test")
    np.testing.assert_array_equal(model.decision_function(x), stored(x))


def test_defaults_are_those_of_the_recipe_for_own_data() -> None:
    own, model = load("features"), dkvb.KeyValueClassifier()
    assert recipe_of({name: getattr(model, name) for name in PLACES}) == own
    assert set(model.get_params()) == {*PLACES, "verbose"}


def test_pairs_and_k_are_no_more_than_rows() -> None:
    x = np.random.default_rng(0).standard_normal((6, 3))
    model = dkvb.KeyValueClassifier(codebooks=4, validation=0.0).fit(x, [0, 0, 0, 1, 1, 1])
    assert model.model_.keys.shape == (4, 6, 14)
    assert model.model_.top_k == 6
