"""Estimates: measured rates, corrected by what ran in the workspace; data that are not here, by a published size."""

from __future__ import annotations

import numpy as np
import pytest

import fixed_rates
from dkvb.errors import DkvbError
from dkvb.experiments import estimates
from dkvb.experiments.estimates import Estimator
from dkvb.experiments.rates import Shape, measure
from dkvb.experiments.sizes import Size
from dkvb.experiments.workload import parts
from dkvb.recipe import Encoder, Recipe, load
from dkvb.stages import unlearn
from dkvb.workspace.artifacts import Workspace

SIZE = Size(train=320, test=120, width=12, classes=4)


@pytest.fixture(autouse=True)
def _fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed_rates.fix(monkeypatch)


def test_on_an_empty_machine_the_rates_are_all(recipe: Recipe, workspace: Workspace) -> None:
    found = Estimator(workspace).estimate("quantize", recipe, SIZE)
    expected = parts("quantize", recipe, SIZE, fixed_rates.RATES, None)["quantize"]
    assert (found.seconds, found.source) == (pytest.approx(expected, abs=1e-3), "machine")


def test_what_ran_here_corrects_what_the_rates_say(trained: Recipe, workspace: Workspace) -> None:
    one = trained.with_(unlearn={"method": ["activations", "retrain-keys"], "forget": "cat"})
    results = {entry.method: entry for entry in unlearn.run(one, workspace)}
    (features,) = workspace.all("embed")
    assert Size.embedded(features) == SIZE
    estimator = Estimator(workspace)
    for stage, step in (("embed", "embed"), ("quantize", "quantize")):
        (ran,) = [artifact for artifact in workspace.all(stage) if "without" not in artifact.settings][:1]
        found = estimator.estimate(step, trained, SIZE)
        if stage == "embed":
            assert found.seconds == pytest.approx(ran.seconds, abs=1e-3)
        assert found.source == "workspace"
    models = sum(artifact.seconds for artifact in workspace.all("train"))
    assert estimator.estimate("train", trained, SIZE).seconds == pytest.approx(models, abs=2e-3)
    (again,) = [a for a in workspace.all("unlearn") if a.settings["method"] == "retrain-keys"]
    said = max(again.seconds, results["retrain-keys"].seconds)
    assert estimator.estimate("retrain-keys", one, SIZE).seconds == pytest.approx(said, abs=2e-3)
    assert estimator.estimate("retrain", one, SIZE).source == "machine", "it did not run"


def test_twice_the_rows_are_no_more_than_twice_the_time(trained: Recipe, workspace: Workspace) -> None:
    estimator = Estimator(workspace)
    once, twice = (estimator.estimate("train", trained, Size(n, 120, 12, 4)).seconds or 0 for n in (320, 640))
    assert once < twice <= 2 * once


def test_an_encoder_that_does_not_run_here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*args: object) -> None:
        raise DkvbError("no such library")

    monkeypatch.setattr(estimates, "load_encoder", gone)
    found = Estimator(workspace).estimate("embed", load("cifar10"), Size(100, 20, 512, 10))
    assert (found.seconds, found.source, found.disk) == (None, None, 120 * 512 * 4)


def test_an_encoder_is_timed_once_for_all_its_weights(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from dkvb.encoders.speed import Speed

    loaded: list[Encoder] = []
    monkeypatch.setattr(estimates, "load_encoder", lambda settings, device, mode: loaded.append(settings))
    monkeypatch.setattr(estimates, "time_encoder", lambda encoder, batch: Speed(20, 10, 2.0, 2.0))
    estimator, size = Estimator(workspace), Size(100, 20, 512, 10)
    for name in ("cifar10", "cifar100"):
        assert estimator.estimate("embed", load(name), size).seconds == pytest.approx(12.2, abs=0.05)
    assert [settings.weights for settings in loaded] == ["random"]


def test_keys_are_no_more_than_the_samples_at_which_they_start(workspace: Workspace) -> None:
    keys = {"codebooks": 4, "pairs": 4096, "init": "sample", "adapt": True}
    recipe = Recipe().with_(data={"source": "features"}, keys=keys)
    few = Estimator(workspace).estimate("train", recipe, Size(100, 20, 8, 3))
    assert few.disk == 4 * 100 * 3 * 4 * 5 // 4


def test_published_sizes() -> None:
    assert Size.published(load("cifar100")) == Size(50_000, 10_000, 512, 100)
    assert Size.published(load("cifar10-resnet50")) == Size(50_000, 10_000, 2048, 10)
    assert Size.published(load("folder")) is None


def test_sizes_of_data_that_are_here(recipe: Recipe, workspace: Workspace) -> None:
    assert Size.of(recipe, workspace) == SIZE
    assert Size.of(load("digits"), workspace).rows == 1797


def test_every_rate_is_measured(recipe: Recipe) -> None:
    for keys in ({}, {"pairs": 4096}):
        rates = vars(measure(Shape.of(recipe.with_(keys=keys), 12, 4)))
        assert all(np.isfinite(rate) and rate > 0 for rate in rates.values()), rates


def test_what_changes_no_rate_is_measured_once(recipe: Recipe) -> None:
    other = recipe.with_(keys={"epochs": 9}, train={"epochs": 50, "lr": 0.5, "values": "zeros"}, linear={"epochs": 1})
    assert Shape.of(other, 12, 4) == Shape.of(recipe, 12, 4)
    assert Shape.of(recipe.with_(keys={"pairs": 16}), 12, 4) != Shape.of(recipe, 12, 4)
