"""Shadow models: what they learned from, what unlearning leaves of them, and the attack on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import TOML, prepare, trained_seed
from dkvb.audit import run
from dkvb.audit.judge import half_splits
from dkvb.audit.oracles import answers, rows_of, tensors_of, train_models
from dkvb.audit.shadows import BY_CONSTRUCTION, LEAST, Shadows
from dkvb.audit.subjects import subjects
from dkvb.audit.trainers import trainer
from dkvb.errors import UsageError
from dkvb.metrics.per_point import references
from dkvb.recipe import Recipe, load
from dkvb.records.audit import Audit, Kind, Measured, ModelBatch
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.audits import audits

METHODS = ["logit-mask"]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> tuple[Recipe, Workspace, Audit]:
    """An audit with shadow models, which tests only read, and what it was made with."""
    folder = tmp_path_factory.mktemp("attacked")
    text = TOML.replace('"tiny-data"', f'"{tiny_data.as_posix()}"')
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    recipe, workspace = load(str(folder / "tiny.toml")), Workspace(folder / "data", folder / "reports")
    recipe = prepare(recipe, workspace).with_(unlearn={"forget": ["bird"]})
    (made,) = run.run(recipe, workspace, 2, subjects((), METHODS), shadows=LEAST)
    return recipe, workspace, made


def shadows_of(recipe: Recipe, workspace: Workspace, kind: Kind) -> Shadows:
    seed = trained_seed(recipe, workspace)
    rows = rows_of(seed, [1])
    return Shadows(seed, kind, [1], rows.places[rows.split == "train"], LEAST)


@pytest.mark.parametrize("kind", ["values", *(pytest.param(k, marks=pytest.mark.slow) for k in ("linear", "ridge"))])
def test_a_shadow_is_the_model_of_its_half(attacked: tuple[Recipe, Workspace, Audit], kind: Kind) -> None:
    recipe, workspace, _ = attacked
    shadows = shadows_of(recipe, workspace, kind)
    seed, learned = shadows.trained, shadows.learned(3)
    labels = seed.splits.labels["train"]
    assert learned.sum() == len(labels) // 2
    assert (shadows.member[3] == learned[labels == 1][: len(shadows.attacked)]).all()
    batch = shadows.artifact.result_as(ModelBatch)
    assert (batch.role, batch.models, batch.kept) == ("shadow", LEAST, kind != "ridge")
    # the same by leaving the other half out, as requests for single samples do
    rows = rows_of(seed, [1])
    other = replace(seed, left_out=seed.splits.rows["train"][~learned])
    model = trainer(other, kind, (), rows).train(seed.seed + 2_000_000 + 3)
    for name, tensor in model.tensors.items():
        np.testing.assert_array_equal(tensors_of(seed, shadows.artifact, 3)[name], tensor)
    np.testing.assert_allclose(answers([shadows.artifact])[3], model.logits[rows.split == "train"], atol=2e-5)


def test_what_is_attacked_is_what_the_method_left(attacked: tuple[Recipe, Workspace, Audit]) -> None:
    recipe, workspace, audit = attacked
    entry = audit.of("logit-mask", "values")
    assert entry is not None
    shadows = shadows_of(recipe, workspace, "values")
    seed, before = shadows.trained, answers([shadows.artifact])
    left = before.copy()
    left[:, :, 1] = -np.inf
    rows = rows_of(seed, [1])
    mine = rows.split == "train"
    oracles = answers(train_models(seed, "values", 3, [1]))
    taken = references(oracles[:, mine], rows.labels[mine], [1])
    found = half_splits(left, before, taken, [1], shadows.member)
    assert isinstance(found, Measured)
    assert entry.measures["U-LiRA"] == found
    assert found.nothing == found.value, "a margin over retained classes does not change by a logit mask"
    assert found.null == 0.5


@pytest.mark.slow
def test_every_method_is_attacked_or_says_why_not(attacked: tuple[Recipe, Workspace, Audit], tmp_path: Path) -> None:
    recipe, workspace = attacked[0], Workspace(tmp_path / "data", tmp_path / "reports")
    prepare(recipe, workspace)
    wanted = subjects((), ["votes", "logit-mask", "scrub", "pour", "ridge-exact"])
    (audit,) = run.run(recipe, workspace, 2, wanted, shadows=LEAST)
    for entry in audit.entries:
        if entry.role == "retrained":
            assert entry.left_out["U-LiRA"] == BY_CONSTRUCTION
        else:
            assert "U-LiRA" in entry.measures, (entry.key, entry.left_out.get("U-LiRA"))
            assert "U-LiRA" not in entry.left_out
            assert 0 <= entry.measures["U-LiRA"].value <= 1
    (stored,) = audits(workspace)
    assert [entry.measures for entry in stored.entries] == [entry.measures for entry in audit.entries]
    (again,) = run.run(recipe, workspace, 2, wanted, shadows=LEAST)
    assert again.skipped
    assert [entry.measures for entry in again.entries] == [entry.measures for entry in audit.entries]


def test_too_few_shadows_are_refused() -> None:
    run.check(20, 0)
    with pytest.raises(UsageError, match="--shadows 3: give 12 or more"):
        run.check(20, 3)
