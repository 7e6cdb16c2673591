from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars
import pytest
import torch
from typer.testing import CliRunner

from conftest import CLASSES, artifact_bytes, once, prepare
from dkvb.cli import app
from dkvb.errors import DamagedArtifact, MissingStage, UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.under_masks import masked_logits, masked_logits_at
from dkvb.experiments import defended, membership
from dkvb.experiments.held_out import HeldOut, without_class
from dkvb.methods.base import make
from dkvb.metrics.membership import LARGEST, cross_entropy, forest_score, score, seen
from dkvb.recipe import Recipe
from dkvb.stages import embed, train
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.keys_spec import quantize_spec
from dkvb.workspace.requests import need_features

CAT, DOG = 2, 3


@pytest.fixture
def embedded(recipe: Recipe, workspace: Workspace) -> Recipe:
    return prepare(recipe, workspace, embed).with_(unlearn={"forget": ["cat"]})


@pytest.fixture
def studied(recipe: Recipe, workspace: Workspace) -> Recipe:
    """The recipe, with the models that never saw the held-out class in the workspace."""
    fill_studied(recipe, workspace)
    return recipe.with_(unlearn={"forget": ["cat"]})


def fill_studied(recipe: Recipe, workspace: Workspace) -> None:
    def make(place: Workspace) -> None:
        prepare(recipe, place, embed)
        derived, inner, _ = without_class(recipe, place, need_features(recipe, place), DOG)
        train.run(derived, inner)

    once("models without dogs", workspace, make)


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dkvb.metrics.membership.TREES", 20)


def attacked(recipe: Recipe, workspace: Workspace, *methods: str, **more: Any) -> dict[str, dict[str, Any]]:
    return {
        entry.method: entry
        for entry in membership.run(recipe, workspace, methods=methods or membership.DEFENCES, **more)
    }


def derived_study(recipe: Recipe, workspace: Workspace) -> tuple[TrainedSeed, HeldOut]:
    features = need_features(recipe, workspace)
    derived, inner, without = without_class(recipe, workspace, features, DOG)
    models = TrainedSeed(derived, inner, without, 0)
    return models, HeldOut(models.splits, int(features.result["test"]), DOG, [CAT])


def test_cross_entropy_by_hand() -> None:
    logits = np.array([[0.0, np.log(3.0)], [0.0, -np.inf], [1e4, 0.0], [2.0, 2.0]], np.float32)
    np.testing.assert_allclose(
        cross_entropy(logits, np.array([1, 0, 0, 1])), [np.log(4 / 3), 0, 0, np.log(2)], atol=1e-6
    )
    np.testing.assert_array_equal(cross_entropy(logits[1:3], np.array([1, 1])), [LARGEST, LARGEST])


def test_the_attack_by_hand() -> None:
    apart = {"forget": np.array([3.0, 4.0]), "held_out": np.array([0.0, 1.0])}
    assert score(apart, apart) == (1.0, 1.0)
    # the boundary lies at 2, halfway between the two symmetric groups: one of four is on the wrong side of it
    assert score(apart, {"forget": np.array([2.5, 1.9]), "held_out": np.array([1.5, -9.0])})[0] == 0.75
    assert score(apart, {"forget": apart["held_out"], "held_out": apart["forget"]})[0] == 0.0
    same = {"forget": np.array([1.0, 2.0]), "held_out": np.array([1.0, 2.0])}
    assert score(same, same)[0] == 0.5


def test_where_labels_mean_nothing_the_attacker_is_right_half_the_time() -> None:
    rng = np.random.default_rng(0)
    losses = [
        {"forget": rng.exponential(size=n), "held_out": rng.exponential(size=m)} for n, m in ((1000, 1000), (2000, 300))
    ]
    assert score(losses[0], {name: rng.exponential(size=4000) for name in losses[0]})[0] == pytest.approx(0.5, abs=0.03)
    assert score(losses[1], losses[0])[0] == pytest.approx(0.5, abs=0.05), "seven to one is no knowledge"


def test_the_attacker_is_fitted_to_validation_losses_alone(
    studied: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkvb.metrics import membership as metrics

    fitted, scored = [], []

    class Watched(metrics.LogisticRegression):  # type: ignore[misc]
        def fit(self, x: np.ndarray, y: np.ndarray) -> Any:
            fitted.append((x.ravel(), y))
            return super().fit(x, y)

        def predict(self, x: np.ndarray) -> Any:
            scored.append(x.ravel())
            return super().predict(x)

    monkeypatch.setattr(metrics, "LogisticRegression", Watched)
    entry = attacked(studied, workspace, "activations")["activations"]
    losses = polars.read_parquet(entry.artifact + "/losses.parquet")
    by = {key: frame["loss"].to_numpy() for key, frame in losses.group_by("split", "role")}
    ((x, y),) = fitted
    np.testing.assert_array_equal(np.sort(x[y == 1]), np.sort(by["validation", "forget"]))
    np.testing.assert_array_equal(np.sort(x[y == 0]), np.sort(by["validation", "held_out"]))
    tested = np.concatenate([by["test", "forget"], by["test", "held_out"]])
    np.testing.assert_array_equal(np.sort(scored[0]), np.sort(tested))


def test_splits_share_no_sample_and_training_has_none_of_the_held_out_class(
    embedded: Recipe, workspace: Workspace
) -> None:
    models, held = derived_study(embedded, workspace)
    splits, features = models.splits, need_features(embedded, workspace)
    assert not (splits.labels["train"] == DOG).any()
    assert not (splits.labels["validation"] == DOG).any()
    ids = {
        split: arrays.read(models.features, f"{'test' if split == 'test' else 'train'}/ids")[splits.rows[split]]
        for split in splits.rows
    }
    x = {split: splits.features_of(split) for split in splits.rows}
    original = {split: arrays.read(features, f"{split}/features") for split in ("train", "test")}
    seen = [(row.tobytes(), "train") for row in x["train"]]
    for (part, role), (split, rows) in held.rows.items():
        assert set(splits.labels[split][rows]) == {CAT if role == "forget" else DOG}
        assert len(ids[split][rows]) == len(rows) == (16 if part == "validation" else 30)
        source = {row.tobytes() for row in original["train" if part == "validation" else "test"]}
        assert all(row.tobytes() in source for row in x[split][rows])
        seen += [(row.tobytes(), part + role) for row in x[split][rows]]
    assert len({content for content, _ in seen}) == len(seen)
    assert set(splits.labels["test"][held.retain]) == {0, 1}


def test_no_model_depends_on_the_held_out_class(own_recipe: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    recipe = own_recipe.with_(unlearn={"forget": ["cat"]})
    embed.run(recipe, workspace)
    attacked(recipe, workspace, "logit-mask")
    for split in ("train", "test"):
        with np.load(tmp_path / "tiny-data" / f"{split}.npz") as file:
            arrays = dict(file)
        arrays["x"][arrays["y"] == DOG] += 40
        np.savez(tmp_path / "tiny-data" / f"{split}.npz", **arrays)
    other = Workspace(tmp_path / "other", tmp_path / "reports")
    embed.run(recipe, other)
    attacked(recipe, other, "logit-mask")
    first, second = derived_study(recipe, workspace)[0], derived_study(recipe, other)[0]
    assert first.features.fingerprint != second.features.fingerprint
    np.testing.assert_array_equal(first.bottleneck.keys, second.bottleneck.keys)
    np.testing.assert_array_equal(first.bottleneck.values, second.bottleneck.values)
    np.testing.assert_array_equal(first.linear["weight"], second.linear["weight"])


@pytest.mark.parametrize("method", ["activations", "examples"])
def test_masking_goes_as_far_as_the_losses_match(studied: Recipe, workspace: Workspace, method: str) -> None:
    entry = attacked(studied, workspace, method)[method]
    models, held = derived_study(studied, workspace)
    order = make(method, models, [CAT]).order()  # type: ignore[attr-defined]

    def loss(n: int, part: str, role: str) -> float:
        split, rows = held.rows[part, role]
        return float(
            cross_entropy(
                masked_logits(models.bottleneck, order, n, split)[rows], models.splits.labels[split][rows]
            ).mean()
        )

    assert loss(0, "validation", "forget") < loss(0, "validation", "held_out"), (
        "the case is only a case where the class is known"
    )
    for part, role in held.rows:
        assert getattr(entry, f"loss_{part}_{role}") == pytest.approx(loss(entry.n, part, role), rel=1e-5)
    if entry.note is None:
        assert entry.loss_validation_forget >= entry.loss_validation_held_out
        step = max(1, round(order[order < 2**31 - 1].max() / defended.COARSE / defended.FINE))
        assert loss(entry.n - step - 1, "validation", "forget") < loss(entry.n - step - 1, "validation", "held_out")
    else:
        assert entry.n == order[order < 2**31 - 1].max() + 1


def test_logits_of_some_rows_are_those_of_all(studied: Recipe, workspace: Workspace) -> None:
    attacked(studied, workspace, "logit-mask")
    models, _ = derived_study(studied, workspace)
    order = make("activations", models, [CAT]).order()  # type: ignore[attr-defined]
    for split, rows in (
        ("test", np.array([5, 3, 77])),
        ("train", np.arange(0, 100, 7)),
        ("validation", np.array([], int)),
    ):
        found = masked_logits_at(models.bottleneck, order, [0, 90, 10**6], split, rows)
        for place, n in enumerate((0, 90, 10**6)):
            np.testing.assert_array_equal(found[place], masked_logits(models.bottleneck, order, n, split)[rows])


def test_controls(studied: Recipe, workspace: Workspace) -> None:
    entries = attacked(studied, workspace, "logit-mask", "retrain", "retrain-linear", "scrub-r")
    assert entries["logit-mask"].loss_validation_forget == entries["logit-mask"].loss_test_forget == LARGEST
    assert entries["logit-mask"].attack_test == 1.0, "an infinite loss gives the class away"
    for oracle in ("retrain", "retrain-linear"):
        assert entries[oracle].retain_test > 0.9
        assert LARGEST > entries[oracle].loss_test_forget > 1
    assert [entries[name].model for name in ("retrain", "retrain-linear", "scrub-r")] == ["dkvb", "linear", "linear"]
    assert "rewound to epoch" in entries["scrub-r"].note
    models, held = derived_study(studied, workspace)
    student = make("scrub-r", models, [CAT]).forget(6).arrays
    split, rows = held.rows["test", "forget"]
    logits = torch.from_numpy(models.splits.features_of(split)[rows] @ student["weight"].T + student["bias"])
    loss = float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(models.splits.labels[split][rows])))
    assert entries["scrub-r"].loss_test_forget == pytest.approx(loss, rel=1e-4)


def test_the_shift_goes_as_far_as_the_losses_match(studied: Recipe, workspace: Workspace) -> None:
    entry = attacked(studied, workspace, "logit-shift")["logit-shift"]
    assert entry.shift > 0
    assert entry.loss_validation_forget == pytest.approx(entry.loss_validation_held_out, rel=1e-2)
    models, held = derived_study(studied, workspace)
    split, rows = held.rows["validation", "forget"]
    logits = masked_logits(models.bottleneck, models.no_mask, 0, split)[rows]
    logits[:, CAT] -= entry.shift
    loss = cross_entropy(logits, models.splits.labels[split][rows]).mean()
    assert entry.loss_validation_forget == pytest.approx(loss, rel=1e-5)


def test_the_figure_is_how_far_the_attacker_is_from_the_retrained_model(studied: Recipe, workspace: Workspace) -> None:
    entries = attacked(studied, workspace, "logit-mask", "retrain")
    mask, oracle = entries["logit-mask"], entries["retrain"]
    assert mask.from_retrained == abs(mask.attack_test - oracle.attack_test)
    assert mask.forest_from_retrained == abs(mask.forest_test - oracle.forest_test)
    assert oracle.from_retrained == oracle.forest_from_retrained == 0
    assert mask.forest_test > 0.9, "an infinite loss gives the class away to the forest as well"
    alone = attacked(studied, workspace, "logit-mask")["logit-mask"]
    assert (alone.skipped, alone.from_retrained) == (True, None)


def test_the_forest_sees_what_no_threshold_on_the_loss_does() -> None:
    rng = np.random.default_rng(0)

    def samples(count: int) -> dict[str, np.ndarray]:
        near, far = rng.normal(2, 0.1, (count, 3)), rng.normal(0, 0.1, (count, 3))
        far[::2] += 4  # on both sides
        return {"forget": near, "held_out": far}

    assert forest_score(samples(60), samples(200), 0) > 0.95
    losses = [{role: of[:, 0] for role, of in samples(200).items()} for _ in range(2)]
    assert score(*losses)[0] < 0.8


def test_confidence_and_entropy_by_hand() -> None:
    logits = np.array([[0.0, 0.0], [0.0, -np.inf], [0.0, np.log(3.0)]], np.float32)
    loss, confidence, entropy = seen(logits, np.array([0, 0, 1])).T
    np.testing.assert_allclose(loss, [np.log(2), 0, np.log(4 / 3)], atol=1e-6)
    np.testing.assert_allclose(confidence, [0.5, 1, 0.75], atol=1e-6)
    np.testing.assert_allclose(entropy, [np.log(2), 0, np.log(4) - 0.75 * np.log(3)], atol=1e-6)


def test_entries_are_kept_and_a_killed_run_goes_on(
    studied: Recipe, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Workspace(tmp_path / "whole", tmp_path / "reports")
    fill_studied(studied, whole)
    methods = ("activations", "scrub-r", "logit-mask")
    attacked(studied, whole, *methods)
    calls = []
    original = membership.score

    def failing(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(membership, "score", failing)
    with pytest.raises(KeyboardInterrupt):
        attacked(studied, workspace, *methods)
    entries = attacked(studied, workspace, *methods)
    assert [entry.skipped for entry in entries.values()] == [True, False, False]
    assert artifact_bytes(workspace.root) == artifact_bytes(whole.root)
    assert all(entry.skipped for entry in attacked(studied, workspace, *methods).values())


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_seeds_spread_over_processes_give_the_same_bits(embedded: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    apart, seeds = Workspace(tmp_path / "apart", tmp_path / "reports"), embedded.with_(run={"seeds": [0, 1]})
    prepare(embedded, apart, embed)
    entries = membership.run(seeds, workspace, methods=["activations", "retrain"])
    spread = membership.run(seeds.with_(run={"workers": 2}), apart, methods=["activations", "retrain"])
    assert [(e.seed, e.method) for e in spread] == [(s, m) for s in (0, 1) for m in ("activations", "retrain")]
    assert [(e.n, e.attack_test) for e in spread] == [(e.n, e.attack_test) for e in entries]
    assert artifact_bytes(apart.root) == artifact_bytes(workspace.root)


def test_the_recipe_s_own_models_are_left_alone(embedded: Recipe, workspace: Workspace) -> None:
    attacked(embedded, workspace, "logit-mask")
    assert workspace.all("train") == workspace.all("quantize") == []
    assert workspace.get(quantize_spec(embedded, 0, need_features(embedded, workspace))) is None
    assert need_features(embedded, workspace).result["train"] == 320


def test_the_command(embedded: Recipe, workspace: Workspace) -> None:
    def dkvb(*args: str) -> Any:
        return CliRunner().invoke(app, ["membership", "--recipe", "tiny.toml", *args])

    result = dkvb("--forget", "bird", "--held-out", "cat", "--methods", "activations,logit-mask", "--json")
    assert result.exit_code == 0, result.output
    entries = json.loads(result.stdout)["membership"]
    assert [(e["method"], e["forget"], e["held_out"]) for e in entries] == [
        ("activations", [1], 2),
        ("logit-mask", [1], 2),
    ]
    fields = {
        "seed",
        "n",
        "attack_test",
        "attack_validation",
        "loss_validation_forget",
        "loss_validation_held_out",
        "seconds",
    }
    assert all(fields <= e.keys() for e in entries)
    assert "attacker" in dkvb("--forget", "bird", "--held-out", "cat", "--methods", "logit-mask").stdout


@pytest.mark.parametrize(
    ("forget", "held_out", "methods", "says"),
    [
        ("dog", None, ["logit-mask"], "'dog' is both forgotten and held out"),
        ("cat", "cow", ["logit-mask"], "There is no class 'cow'"),
        ("cat", None, ["scrubb"], "no defence 'scrubb'"),
        (["cat", "bird", "airplane"], None, ["logit-mask"], "nothing retained"),
    ],
)
def test_what_makes_no_sense_is_refused(
    studied: Recipe, workspace: Workspace, forget: Any, held_out: str | None, methods: list[str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        membership.run(studied.with_(unlearn={"forget": forget}), workspace, held_out, methods)


@pytest.mark.parametrize(
    "damaged",
    ["unlearn/*/losses.parquet", pytest.param("membership/*/train/*/values.safetensors", marks=pytest.mark.slow)],
)
def test_damage_is_named_with_the_command_that_mends_it(studied: Recipe, workspace: Workspace, damaged: str) -> None:
    first = attacked(studied, workspace, "activations")
    (file,) = workspace.root.glob(damaged)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedArtifact, match="has changed.*`dkvb membership --force`"):
        attacked(studied, workspace, "activations")
    again = attacked(studied, workspace, "activations", force=True)
    assert again["activations"].attack_test == first["activations"].attack_test


def test_a_class_without_samples_is_named() -> None:
    splits: Any = SimpleNamespace(
        labels={"test": np.array([0, 0, 1, 1, 3, 3]), "validation": np.array([0, 1])}, seed=0, classes=CLASSES
    )
    with pytest.raises(UsageError, match="no test samples of 'dog'"):
        HeldOut(splits, 4, DOG, [0])
    with pytest.raises(UsageError, match="no validation samples of 'cat'"):
        HeldOut(splits, 4, DOG, [CAT])


def test_nothing_can_be_attacked_before_it_is_embedded(recipe: Recipe, workspace: Workspace) -> None:
    with pytest.raises(MissingStage, match="dkvb embed"):
        membership.run(recipe, workspace)
