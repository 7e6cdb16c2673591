"""A purge shreds what models of an audit answered to the purged class's rows, and the originals that learned them."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import TOML, blobs, trained_seed
from dkvb.audit import run
from dkvb.audit.oracles import train_models
from dkvb.audit.subjects import subjects
from dkvb.audit.trainers import HeadTrainer
from dkvb.deletion import forget, purge
from dkvb.recipe import load
from dkvb.stages import embed, train
from dkvb.workspace.artifacts import Workspace


def test_no_answer_of_an_audit_is_left(tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs(tmp_path / "tiny-data")
    (tmp_path / "tiny.toml").write_text(TOML, encoding="utf-8")
    recipe = load("tiny.toml")
    for stage in (embed, train):
        stage.run(recipe, workspace)
    seed = trained_seed(recipe, workspace)
    made = train_models(seed, "linear", 1) + train_models(seed, "values", 1, [2]) + train_models(seed, "linear", 1, [1])
    run.run(recipe.with_(unlearn={"forget": ["cat"]}), workspace, 2, subjects(["linear"], ["pour"]))
    audited = workspace.all("audit")
    assert [artifact.kind for artifact in audited] == ["audit entry"] * 3 + ["audit"]
    monkeypatch.setattr(HeadTrainer, "train", lambda self, seed: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_models(seed, "ridge", 1)  # begun, and not finished
    forget.run(recipe.with_(unlearn={"method": "activations", "counts": "last-epoch", "na": 60}), workspace, ["cat"])
    done = purge.run(recipe, workspace, "r0001")
    left = [*(workspace.root / "oracles").glob("*"), *(workspace.root / "audit").glob("*")]
    assert left == []
    assert done.purge is not None
    assert {batch.path.name for batch in (*made, *audited)} <= set(done.purge.done.artifacts), "they are named"
